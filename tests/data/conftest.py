"""The competition's real tables, read once, where they are at hand."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

from stallscan.data import read_labels, read_metadata


@pytest.fixture(scope="session")
def real_folder() -> Path:
    """The folder of the competition's tables."""
    if not os.environ.get("STALLSCAN_REAL_DATA"):
        pytest.skip("STALLSCAN_REAL_DATA does not name the folder of the real tables")
    return Path(os.environ["STALLSCAN_REAL_DATA"]) / "clogloss"


@pytest.fixture(scope="session")
def real_tables(real_folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Metadata and labels of all 573,048 training videos."""
    return (
        read_metadata(real_folder / "train_metadata.csv.xz"),
        read_labels(real_folder / "train_labels.csv.xz"),
    )
