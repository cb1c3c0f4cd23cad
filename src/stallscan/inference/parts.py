"""Rows of predictions in Parquet, as they come: a part every half minute, on disk or in a bucket.

Rows come in any order, so each knows its number. A part is there as a whole or not at all.
"""

from __future__ import annotations

import csv
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stallscan.data.tables import BOX_COLUMNS, PREDICTION_COLUMNS
from stallscan.errors import OutputConflictError
from stallscan.inference.table import Row
from stallscan.types import BoolArray, Box, Location
from stallscan.video.remote import open_folder, parse_location, patiently

Result = TypeVar("Result")

FLUSH_ROWS = 10_000
FLUSH_SECONDS = 30.0
"""A kill loses what came since the last part: at most so many rows, or so many seconds of them."""

_RUN = b"stallscan_run"

SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("filename", pa.string()),
        ("probability", pa.float64()),
        ("stalled", pa.int8()),
        ("status", pa.string()),
        ("message", pa.string()),
        ("n_frames", pa.int32()),
        *((name, pa.int32()) for name in BOX_COLUMNS),
        ("outline", pa.string()),
        ("model", pa.string()),
        ("n_networks", pa.int32()),
    ]
)
"""Columns of predictions.csv, before them the number of the input from 0, after them how many
networks were asked."""


def to_table(numbers: Iterable[int], rows: Iterable[tuple[Row, int]]) -> pa.Table:
    """Rows as `SCHEMA` has them."""
    records = []
    for number, (row, n_networks) in zip(numbers, rows, strict=True):
        box = row.box if row.box is not None else (None,) * len(BOX_COLUMNS)
        records.append(
            {
                "row": number,
                **{name: getattr(row, name) for name in _SCALARS},
                **dict(zip(BOX_COLUMNS, box, strict=True)),
                "n_networks": n_networks,
            }
        )
    return pa.Table.from_pylist(records, schema=SCHEMA)


_SCALARS = [name for name in PREDICTION_COLUMNS if name not in BOX_COLUMNS]


class Parts:
    """The folder of parts; written by one process alone.

    Args:
        place: a folder, or s3://bucket/prefix.
        run: what the rows are of; parts of another are refused.
        overwrite: remove what is there.

    Raises:
        OutputConflictError: there are parts of another run.
        FetchError: the bucket cannot be read.
    """

    def __init__(self, place: Location, run: str, *, overwrite: bool = False) -> None:
        self.place = parse_location(place) if isinstance(place, str) else place
        self._files, self._root = open_folder(self.place)
        self._run = run
        self._pending: list[pa.Table] = []
        self._flushed_s = time.monotonic()
        self._names = self._list()
        if overwrite:
            for name in self._names:
                self._do(partial(self._files.rm_file, f"{self._root}/{name}"))
            self._names = []
        for name in self._names[:1]:
            found = (pq.read_schema(self._open(name)).metadata or {}).get(_RUN, b"").decode()
            if found != run:
                raise OutputConflictError(
                    f"{place}: holds parts of another run; give another --parts, or pass "
                    "--overwrite"
                )

    def done(self, n: int) -> BoolArray:
        """``(n,)``: which rows are there."""
        found = np.zeros(n, bool)
        for name in self._names:
            found[pq.read_table(self._open(name), columns=["row"])["row"].to_numpy()] = True
        return found

    def append(self, table: pa.Table) -> None:
        """Add rows; every now and then they become a part."""
        self._pending.append(table)
        n = sum(each.num_rows for each in self._pending)
        if n >= FLUSH_ROWS or time.monotonic() >= self._flushed_s + FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Make a part of what has come since the last."""
        self._flushed_s = time.monotonic()
        if not self._pending:
            return
        table = pa.concat_tables(self._pending).replace_schema_metadata({_RUN: self._run})
        content = BytesIO()
        pq.write_table(table, content)
        number = 1 + int(self._names[-1].partition("-")[2].partition(".")[0]) if self._names else 0
        name = f"part-{number:06d}.parquet"
        self._do(lambda: self._write(name, content.getvalue()))
        self._names.append(name)
        self._pending.clear()

    def write_csv(self, out: Path, filenames: Sequence[str]) -> Counter[str]:
        """predictions.csv in the order of the inputs; whole, or not at all.

        Returns:
            Counts by status, and ``stalled``.

        Raises:
            OutputConflictError: rows are missing, as where another process has removed some.
        """
        tables = [pq.read_table(self._open(name)) for name in self._names]
        table = pa.concat_tables(tables) if tables else SCHEMA.empty_table()
        # A row is twice in it where two processes wrote to one place: the same, so once is enough.
        numbers, first = np.unique(table["row"].to_numpy(), return_index=True)
        if not np.array_equal(numbers, np.arange(len(filenames))):
            raise OutputConflictError(
                f"{self.place}: has {len(numbers):,} of {len(filenames):,} rows, although all have "
                "come; see that no other process writes there, then run the same command again"
            )
        table = table.take(first)
        counts = Counter[str]()
        unfinished = out.with_name(out.name + ".tmp")
        with unfinished.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(PREDICTION_COLUMNS)
            for row in _rows(table):
                writer.writerow(row.fields())
                counts[row.status] += 1
                counts["stalled"] += row.stalled == 1
        unfinished.replace(out)
        return counts

    def n_networks(self) -> int:
        """Networks that were asked, over all rows."""
        tables = (pq.read_table(self._open(name), columns=["n_networks"]) for name in self._names)
        return sum(int(table["n_networks"].to_numpy().sum()) for table in tables)

    def _list(self) -> list[str]:
        """Names of the parts; none where there is no folder yet."""

        def ask() -> list[str]:
            try:
                found: list[str] = self._files.ls(self._root, detail=False, refresh=True)
            except FileNotFoundError:
                return []
            return found

        names = sorted(path.rpartition("/")[2] for path in self._do(ask))
        return [name for name in names if name.startswith("part-") and name.endswith(".parquet")]

    def _open(self, name: str) -> BytesIO:
        return BytesIO(self._do(lambda: self._files.cat_file(f"{self._root}/{name}")))

    def _write(self, name: str, content: bytes) -> None:
        path = f"{self._root}/{name}"
        if isinstance(self.place, str):  # an object is there when all of it is
            self._files.pipe_file(path, content)
            return
        folder = Path(self._root)
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = folder / f".{name}.tmp"
        unfinished.write_bytes(content)
        unfinished.replace(path)

    def _do(self, ask: Callable[[], Result]) -> Result:
        return patiently(self.place, ask) if isinstance(self.place, str) else ask()


def _rows(table: pa.Table) -> Iterator[Row]:
    for batch in table.to_batches(max_chunksize=10_000):
        for record in batch.to_pylist():
            box = [record[name] for name in BOX_COLUMNS]
            yield Row(
                **{name: record[name] for name in _SCALARS},
                box=None if box[0] is None else Box(*box),
            )
