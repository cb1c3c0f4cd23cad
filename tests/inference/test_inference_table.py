"""predictions.csv, row by row."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from stallscan.data.tables import PREDICTION_COLUMNS, read_predictions
from stallscan.errors import OutputConflictError
from stallscan.inference.table import PredictionsWriter, Row
from stallscan.types import Box

NAMES = ["a.mp4", "b.mp4", "c.mp4"]
ROWS = [
    Row(
        filename="a.mp4",
        status="ok",
        probability=0.25,
        stalled=0,
        n_frames=7,
        box=Box(0, 1, 2, 7, 30, 40),
        outline="ok",
        model="tiny",
    ),
    Row(filename="b.mp4", status="failed", message='b.mp4: "odd",\n  and torn', model="tiny"),
    Row(filename="c.mp4", status="flagged", probability=1.0, stalled=1, message="x", model="tiny"),
]


def write(out: Path, rows: list[Row]) -> None:
    with PredictionsWriter(out, NAMES) as writer:
        for row in rows[writer.n_rows :]:
            writer.append(row)


def test_the_table_reads_back(tmp_path: Path) -> None:
    out = tmp_path / "p.csv"
    write(out, ROWS)
    with out.open() as file:
        header, first, second, _ = csv.reader(file)
    assert tuple(header) == PREDICTION_COLUMNS
    assert first == ["a.mp4", "0.250000", "0", "ok", "", "7", *"012", "7", "30", "40", "ok", "tiny"]
    assert second[4] == 'b.mp4: "odd", and torn'  # one line, whatever the message was
    table = read_predictions(out)
    assert list(table["status"]) == ["ok", "failed", "flagged"]
    assert table["probability"].isna().tolist() == [False, True, False]


def test_nothing_stands_at_the_place_of_the_table_before_the_end(tmp_path: Path) -> None:
    out = tmp_path / "p.csv"
    write(out, ROWS[:2])
    assert not out.exists() and (tmp_path / "p.csv.partial").exists()
    write(out, ROWS)
    assert out.exists() and not (tmp_path / "p.csv.partial").exists()


@pytest.mark.parametrize("torn", range(0, 260, 7))
def test_a_kill_at_any_byte_loses_no_whole_row(tmp_path: Path, torn: int) -> None:
    whole, out = tmp_path / "whole.csv", tmp_path / "p.csv"
    write(whole, ROWS)
    (tmp_path / "p.csv.partial").write_bytes(whole.read_bytes()[:torn])
    write(out, ROWS)
    assert out.read_bytes() == whole.read_bytes()


def test_a_kill_after_the_renaming_is_no_loss(tmp_path: Path) -> None:
    out = tmp_path / "p.csv"
    write(out, ROWS)
    before = out.read_bytes()
    with PredictionsWriter(out, NAMES) as writer:
        assert writer.n_rows == 3
    assert out.read_bytes() == before


def test_rows_of_other_inputs_are_refused(tmp_path: Path) -> None:
    out = tmp_path / "p.csv"
    write(out, ROWS[:2])
    with pytest.raises(OutputConflictError, match=r"p\.csv\.partial: its 2 rows") as caught:
        PredictionsWriter(out, ["other.mp4", *NAMES])
    assert "--overwrite" in str(caught.value)
