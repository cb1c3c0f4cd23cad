"""Predictions and labels side by side: which rows count, and where the others went."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stallscan.errors import TableError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, kw_only=True)
class InputTable:
    """A table that was read: its path and the SHA-256 of its bytes."""

    path: Path
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Where the rows of both tables went; only evaluated videos enter the metrics.

    Attributes:
        n_predictions: rows of the table of predictions.
        n_labels: rows of the table of labels.
        n_evaluated: videos with a probability and a label.
        n_flagged: evaluated videos whose status is flagged.
        n_failed: labelled videos whose prediction failed.
        n_failed_stalled: failed videos that are labelled stalled.
        n_undecidable: predicted videos whose label is empty, failed ones among them.
        n_unlabelled: predictions without a label.
        n_unpredicted: labels without a prediction.
    """

    n_predictions: int
    n_labels: int
    n_evaluated: int
    n_flagged: int
    n_failed: int
    n_failed_stalled: int
    n_undecidable: int
    n_unlabelled: int
    n_unpredicted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinedTables:
    """Predictions and labels joined on the filename, every check done.

    Attributes:
        evaluated: columns of the predictions and ``label``; rows with probability and label.
        failed: the same columns; labelled rows without a probability.
        undecidable: columns of the predictions; rows whose label is empty.
        counts: where the rows went.
        predictions: the first table.
        labels: the second table.
    """

    evaluated: pd.DataFrame
    failed: pd.DataFrame
    undecidable: pd.DataFrame
    counts: Counts
    predictions: InputTable
    labels: InputTable


def join_tables(predictions_path: str | Path, labels_path: str | Path) -> JoinedTables:
    """Read both tables and join them on the filename, in the order of the predictions.

    Raises:
        TableError: a table cannot be read or is wrong, or no video has a probability and a label.
    """
    from stallscan.data.tables import read_labels, read_predictions

    predictions_path, labels_path = Path(predictions_path), Path(labels_path)
    predictions = read_predictions(predictions_path)
    labels = read_labels(labels_path, undecidable=True)
    joined = predictions.merge(
        labels.rename(columns={"stalled": "label"}), on="filename", validate="one_to_one"
    )
    if joined.empty:
        raise TableError(
            f"{predictions_path}: none of its {len(predictions):,} filenames (such as "
            f"{predictions['filename'].iloc[0]!r}) is among the {len(labels):,} of {labels_path} "
            f"(such as {labels['filename'].iloc[0]!r}); names must be equal, with their suffix and "
            "without folders"
        )
    undecided = joined["label"].isna()
    undecidable = joined[undecided].drop(columns="label")
    decided = joined[~undecided].astype({"label": "int64"})
    if decided.empty:
        raise TableError(
            f"{labels_path}: stalled is empty for all {len(undecidable):,} predicted videos, so "
            "nothing can be scored; predict videos that are labelled 0 (flowing) or 1 (stalled)"
        )
    lost = decided["probability"].isna()
    evaluated, failed = decided[~lost], decided[lost]
    if evaluated.empty:
        raise TableError(
            f"{predictions_path}: all {len(failed):,} labelled videos failed, none has a "
            f"probability (line of {failed['filename'].iloc[0]!r}: "
            f"{failed['message'].iloc[0] or 'no message'!r}); repair the videos and predict again"
        )
    counts = Counts(
        n_predictions=len(predictions),
        n_labels=len(labels),
        n_evaluated=len(evaluated),
        n_flagged=int((evaluated["status"] == "flagged").sum()),
        n_failed=len(failed),
        n_failed_stalled=int(failed["label"].sum()),
        n_undecidable=len(undecidable),
        n_unlabelled=len(predictions) - len(joined),
        n_unpredicted=len(labels) - len(joined),
    )
    return JoinedTables(
        evaluated=evaluated.reset_index(drop=True),
        failed=failed.reset_index(drop=True),
        undecidable=undecidable.reset_index(drop=True),
        counts=counts,
        predictions=_fingerprint(predictions_path),
        labels=_fingerprint(labels_path),
    )


def _fingerprint(path: Path) -> InputTable:
    return InputTable(path=path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
