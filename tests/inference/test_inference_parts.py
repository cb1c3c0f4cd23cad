"""Rows of predictions in Parquet, whole parts or none, on disk and in a bucket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from s3_server import BUCKET, s3_server
from stallscan.data.tables import read_predictions
from stallscan.errors import FetchError, OutputConflictError
from stallscan.inference import parts as module
from stallscan.inference.parts import SCHEMA, Parts, to_table
from stallscan.inference.table import PredictionsWriter, Row
from stallscan.types import Box, Location
from stallscan.video import remote

ROWS = [
    Row(filename="0.mp4", status="failed", message="0.mp4: breaks off, \n he said", model="m"),
    Row(
        filename="1.mp4", status="ok", probability=0.123457, stalled=0, n_frames=12,
        box=Box(0, 1, 2, 12, 5, 6), outline="ok", model="m",
    ),
    Row(
        filename="2.mp4", status="flagged", message="näher", probability=1e-6, stalled=1,
        n_frames=9, box=Box(0, 0, 0, 9, 1, 1), outline="jumps", model="m",
    ),
]  # fmt: skip


def table(*numbers: int):  # type: ignore[no-untyped-def]
    return to_table(numbers, [(ROWS[number], number) for number in numbers])


@pytest.fixture(params=["disk", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Location]:
    if request.param == "disk":
        yield tmp_path / "p.parts"
        return
    with pytest.MonkeyPatch.context() as patch, s3_server(patch):
        patch.setattr(remote.time, "sleep", lambda seconds: None)
        yield f"s3://{BUCKET}/runs/1"


def test_parts_in_any_order_give_the_table_that_rows_in_order_give(
    place: Location, tmp_path: Path
) -> None:
    parts = Parts(place, "run")
    assert not parts.done(3).any()
    parts.append(table(2))
    assert not Parts(place, "run").done(3).any()  # not yet a part
    parts.flush()
    parts.flush()
    parts.append(table(0))
    parts.flush()
    again = Parts(place, "run")
    assert again.done(3).tolist() == [True, False, True]
    with pytest.raises(OutputConflictError, match="has 2 of 3 rows"):
        again.write_csv(tmp_path / "p.csv", ["0.mp4", "1.mp4", "2.mp4"])
    again.append(table(1))
    again.flush()
    names = [row.filename for row in ROWS]
    counts = again.write_csv(tmp_path / "p.csv", names)
    assert counts == {"failed": 1, "ok": 1, "flagged": 1, "stalled": 1}
    assert again.n_networks() == 3
    with PredictionsWriter(tmp_path / "q.csv", names) as writer:
        for row in ROWS:
            writer.append(row)
    assert writer.counts == counts
    assert (tmp_path / "p.csv").read_bytes() == (tmp_path / "q.csv").read_bytes()
    assert read_predictions(tmp_path / "p.csv")["probability"][1] == 0.123457


def test_parts_of_another_run(place: Location) -> None:
    parts = Parts(place, "one run")
    parts.append(table(0, 1))
    parts.flush()
    with pytest.raises(OutputConflictError, match="holds parts of another run"):
        Parts(place, "another")
    assert not Parts(place, "another", overwrite=True).done(3).any()
    assert not Parts(place, "another").done(3).any()


def test_when_a_part_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "p"
    parts = Parts(place, "run")
    monkeypatch.setattr(module, "FLUSH_ROWS", 2)
    parts.append(table(0))
    assert not place.exists()
    parts.append(table(1))
    assert [path.name for path in place.iterdir()] == ["part-000000.parquet"]
    monkeypatch.setattr(module, "FLUSH_SECONDS", 0.0)
    parts.append(table(2))
    assert len(list(place.iterdir())) == 2
    (place / ".part-000002.parquet.tmp").write_bytes(b"torn")
    assert Parts(place, "run").done(3).all()


def test_a_folder_by_its_url(tmp_path: Path) -> None:
    parts = Parts(f"file://{tmp_path}/p", "run")
    parts.append(table(0))
    parts.flush()
    assert (tmp_path / "p" / "part-000000.parquet").exists()


def test_no_row_twice(tmp_path: Path) -> None:
    parts = Parts(tmp_path / "p", "run")
    for rows in ((2, 1), (1, 0, 2)):
        parts.append(table(*rows))
        parts.flush()
    names = [row.filename for row in ROWS]
    assert sum(parts.write_csv(tmp_path / "p.csv", names).values()) == 4  # a stalled one in it
    assert list(read_predictions(tmp_path / "p.csv")["filename"]) == names


def test_a_bucket_that_is_not_there(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch, s3_server(patch) as server:
        server.forbidden = ("/secret",)
        with pytest.raises(FetchError, match="s3://secret/parts: may not be read"):
            Parts("s3://secret/parts", "run")
    assert SCHEMA.names[:2] == ["row", "filename"]
