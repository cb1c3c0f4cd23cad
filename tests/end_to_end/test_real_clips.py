"""The two real clips through the model in the box, as a user would."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

from stallscan.cli import main

REAL_DATA = os.environ.get("STALLSCAN_REAL_DATA")


@pytest.mark.skipif(REAL_DATA is None, reason="STALLSCAN_REAL_DATA is not set")
def test_both_clips_get_a_box_a_verdict_and_a_probability(tmp_path: Path) -> None:
    clips = sorted((Path(str(REAL_DATA)) / "clips").glob("*.gif"))
    out = tmp_path / "p.csv"
    assert main(["predict", *map(str, clips), "--out", str(out), "-q"]) == 0
    table = pd.read_csv(out).set_index("filename")
    assert list(table.index) == ["105668.gif", "200149.gif"]
    assert list(table["outline"]) == ["ok", "ok"]
    assert table["probability"].between(0, 1).all()
    assert table["n_frames"].tolist() == [39, 16]
    # Inclusive pixels of the drawn line; the table's boxes are half open.
    expected = {"105668.gif": (106, 123, 136, 166), "200149.gif": (23, 189, 53, 218)}
    for name, (top, left, bottom, right) in expected.items():
        row = table.loc[name]
        found = (row["roi_y0"], row["roi_x0"], row["roi_y1"] - 1, row["roi_x1"] - 1)
        assert found == pytest.approx((top, left, bottom, right), abs=3)
