"""predictions.csv, written row by row so that a kill loses nothing."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from stallscan.data.tables import PREDICTION_COLUMNS
from stallscan.errors import OutputConflictError
from stallscan.types import Box


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of predictions.csv; what is unknown is empty.

    Attributes:
        filename: base name of the video.
        status: ok, flagged (predicted, but the outline is suspect) or failed.
        message: why it is not ok.
        probability: that the vessel is stalled.
        stalled: the call.
        n_frames: frames decoded.
        box: around the outline.
        outline: the verdict's word.
        model: name of the model.
    """

    filename: str
    status: str
    message: str = ""
    probability: float | None = None
    stalled: int | None = None
    n_frames: int | None = None
    box: Box | None = None
    outline: str = ""
    model: str = ""

    def fields(self) -> list[str]:
        """In the order of the table's columns."""
        values = (
            self.filename,
            None if self.probability is None else f"{self.probability:.6f}",
            self.stalled,
            self.status,
            " ".join(self.message.split()),  # one line each, whatever a library's error says
            self.n_frames,
            *(self.box if self.box is not None else (None,) * 6),
            self.outline,
            self.model,
        )
        return ["" if value is None else str(value) for value in values]


class PredictionsWriter:
    """Appends rows to ``<out>.partial`` and renames it at the end; a context manager.

    Args:
        out: the final table.
        filenames: base names of all inputs, in order.

    Attributes:
        n_rows: rows that are there.
        counts: how many of them by status, and ``stalled``.

    Raises:
        OutputConflictError: what is there belongs to other inputs.
    """

    def __init__(self, out: Path, filenames: list[str]) -> None:
        self.out = out
        self.partial = out.with_name(out.name + ".partial")
        self.filenames = filenames
        if out.exists() and not self.partial.exists():
            out.replace(self.partial)  # killed between the renaming and the record
        self.n_rows = 0
        self.counts = Counter[str]()
        self._read()
        self._file: IO[str] | None = None

    def _read(self) -> None:
        """Whole rows of an earlier start; a torn last line is cut off."""
        if not self.partial.exists():
            return
        content = self.partial.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            with self.partial.open("r+b") as file:
                file.truncate(len(whole))
        rows = list(csv.DictReader(whole.decode().splitlines()))
        found = [row["filename"] for row in rows]
        if found != self.filenames[: len(found)]:
            raise OutputConflictError(
                f"{self.partial}: its {len(found)} rows are not the first inputs of this run; "
                "choose another --out or pass --overwrite"
            )
        for row in rows:
            self._count(row["status"], row["stalled"])

    def __enter__(self) -> PredictionsWriter:
        is_new = not self.partial.exists() or self.partial.stat().st_size == 0
        self._file = self.partial.open("a", newline="", encoding="utf-8")
        if is_new:
            self._write(list(PREDICTION_COLUMNS))
        return self

    def append(self, row: Row) -> None:
        """Write the next row."""
        self._write(row.fields())
        self._count(row.status, str(row.stalled))

    def _count(self, status: str, stalled: str) -> None:
        self.n_rows += 1
        self.counts[status] += 1
        self.counts["stalled"] += stalled == "1"

    def _write(self, fields: list[str]) -> None:
        assert self._file is not None, "use the writer as a context manager"
        csv.writer(self._file, lineterminator="\n").writerow(fields)
        self._file.flush()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._file is not None
        self._file.close()
        if kind is None and self.n_rows == len(self.filenames):
            self.partial.replace(self.out)
