"""The tables that stallscan reads and writes: the competition's, and predictions.csv."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from stallscan.data._csv import check_filenames, fail, fail_if, parse_numbers, read_csv

if TYPE_CHECKING:
    import pandas as pd

METADATA_COLUMNS = (
    "filename",
    "url",
    "project_id",
    "num_frames",
    "crowd_score",
    "tier1",
    "micro",
    "nano",
)
"""Columns of the competition's train_metadata.csv."""

TEST_METADATA_COLUMNS = ("filename", "url", "num_frames")
"""Columns of the competition's test_metadata.csv."""

LABEL_COLUMNS = ("filename", "stalled")
"""Columns of labels and of a submission."""

BOX_COLUMNS = ("roi_z0", "roi_y0", "roi_x0", "roi_z1", "roi_y1", "roi_x1")
"""The half-open box of the outline, in voxels."""

PREDICTION_COLUMNS = (
    "filename",
    "probability",
    "stalled",
    "status",
    "message",
    "n_frames",
    *BOX_COLUMNS,
    "outline",
    "model",
)
"""Columns of predictions.csv."""

STATUSES = ("ok", "flagged", "failed")
"""ok; flagged: predicted, but outline or frames are suspect; failed: no probability."""

_LABEL_RULE = "allowed are 0 (flowing) and 1 (stalled); correct the table"


def read_labels(path: str | Path, *, undecidable: bool = False) -> pd.DataFrame:
    """The labels of a set of videos, in the order of the table.

    Args:
        path: CSV, plain or ``.gz`` or ``.xz``, with the columns ``filename`` and ``stalled``;
            others are left out.
        undecidable: whether ``stalled`` may be empty, where nobody could decide.

    Returns:
        Columns ``filename`` (str) and ``stalled``: int64, 0 or 1; with ``undecidable`` Int64, which
        may be missing.

    Raises:
        TableError: the file cannot be read, or a row is wrong; the message names the line. Every
            ``stalled`` is empty.
    """
    path = Path(path)
    table = read_csv(path, LABEL_COLUMNS)
    check_filenames(path, table["filename"])
    stalled = parse_numbers(
        path, table["stalled"], allowed=_LABEL_RULE, low=0, high=1, whole=True, empty=undecidable
    )
    if stalled.isna().all():
        fail(
            path,
            f"stalled is empty in all {len(table):,} rows, so nothing is labelled; "
            "fill in 0 (flowing) or 1 (stalled), and leave only undecidable vessels empty",
        )
    labels = table[["filename"]].reset_index(drop=True)
    labels["stalled"] = stalled.reset_index(drop=True).astype("Int64" if undecidable else "int64")
    labels.attrs["path"] = str(path)  # so that later errors can name the file
    return labels


def only_decided(videos: pd.DataFrame) -> pd.DataFrame:
    """The videos whose label is not empty.

    Args:
        videos: any table with ``stalled``, as from ``read_labels(path, undecidable=True)``.

    Returns:
        The same columns, ``stalled`` as int64.
    """
    return videos[videos["stalled"].notna()].astype({"stalled": "int64"}).reset_index(drop=True)


def read_predictions(path: str | Path) -> pd.DataFrame:
    """A table of predictions, ours or any with the columns ``filename`` and ``probability``.

    Args:
        path: CSV, plain or ``.gz`` or ``.xz``.

    Returns:
        ``filename`` (str), ``probability`` (float64, NaN where the row failed), ``status`` (str)
        and ``message`` (str) always; the other columns of predictions.csv where the table has
        them: ``stalled``, ``n_frames`` and the box as nullable Int64, ``outline`` and ``model`` as
        str.

    Raises:
        TableError: the file cannot be read, or a row is wrong; the message names the line.
    """
    import pandas as pd

    path = Path(path)
    table = read_csv(path, ("filename", "probability"))
    check_filenames(path, table["filename"])
    probability = parse_numbers(
        path,
        table["probability"],
        allowed="allowed are 0 to 1, or an empty field where the row failed; "
        "apply the sigmoid to logits",
        low=0,
        high=1,
        whole=False,
    )
    result = pd.DataFrame({"filename": table["filename"], "probability": probability})
    if "stalled" in table:
        result["stalled"] = _decisions(path, table["stalled"], probability)
    result["status"] = _statuses(path, table, probability)
    result["message"] = table.get("message", "")
    for name in ("n_frames", *BOX_COLUMNS):
        if name in table:
            rule = "allowed are whole numbers from 0 up, or an empty field; correct the table"
            numbers = parse_numbers(
                path, table[name], allowed=rule, low=0, high=2**31 - 1, whole=True
            )
            result[name] = numbers.astype("Int64")
    for name in ("outline", "model"):
        if name in table:
            result[name] = table[name]
    return result.reset_index(drop=True)


def _decisions(path: Path, column: pd.Series[str], probability: pd.Series[float]) -> pd.Series[int]:
    stalled = parse_numbers(
        path, column, allowed=_LABEL_RULE, low=0, high=1, whole=True, empty=True
    )
    undecided = stalled.isna() & probability.notna()
    if undecided.any():
        line = undecided.index[undecided][0]
        fail(
            path,
            f"stalled is '' in line {line} although probability is {probability[line]:g}: allowed "
            "are 0 and 1; fill the column, or remove it to decide by a threshold",
        )
    return stalled.astype("Int64")


def _statuses(path: Path, table: pd.DataFrame, probability: pd.Series[float]) -> pd.Series[str]:
    if "status" not in table:
        return probability.isna().map({True: "failed", False: "ok"})
    status: pd.Series[str] = table["status"]
    rule = f"allowed are {', '.join(STATUSES)}; correct the table, or remove the column"
    fail_if(path, status, ~status.isin(STATUSES), allowed=rule)
    wrong = (status == "failed") != probability.isna()
    if wrong.any():
        line = wrong.index[wrong][0]
        found = "empty" if probability.isna()[line] else f"{probability[line]:g}"
        fail(
            path,
            f"status is {status[line]!r} in line {line} although probability is {found}: a row has "
            "no probability exactly where it failed; correct either",
        )
    return status
