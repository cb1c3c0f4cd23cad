"""A folder shaped as the competition's: which tables it has, and which videos."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stallscan.data.metadata import read_metadata
from stallscan.data.tables import read_labels
from stallscan.data.videos import SPLITS

if TYPE_CHECKING:
    import pandas as pd

_SUFFIXES = (".csv", ".csv.gz", ".csv.xz")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tables:
    """What tables a folder has, by split (``train``, ``test``).

    Attributes:
        metadata: as from `stallscan.data.read_metadata`.
        labels: as from `stallscan.data.read_labels`, missing where undecidable.
    """

    metadata: dict[str, pd.DataFrame]
    labels: dict[str, pd.DataFrame]


def read_tables(folder: Path) -> Tables:
    """All tables of a data set: ``{train,test}_{metadata,labels}`` as .csv, .csv.gz or .csv.xz.

    Raises:
        TableError: one of them cannot be read, or a row is wrong.
    """
    metadata, labels = {}, {}
    for split in SPLITS:
        if (path := find_table(folder, f"{split}_metadata")) is not None:
            metadata[split] = read_metadata(path)
        if (path := find_table(folder, f"{split}_labels")) is not None:
            labels[split] = read_labels(path, undecidable=True)
    return Tables(metadata=metadata, labels=labels)


def find_table(folder: Path, stem: str) -> Path | None:
    """``stem`` as .csv, .csv.gz or .csv.xz in a folder; None where there is none."""
    paths = (folder / f"{stem}{suffix}" for suffix in _SUFFIXES)
    return next((path for path in paths if path.is_file()), None)
