"""The competition's submission: ``filename,stalled`` in the order of its format file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from stallscan.data._csv import check_filenames, fail, read_csv, some
from stallscan.data.tables import LABEL_COLUMNS
from stallscan.errors import OptionError

if TYPE_CHECKING:
    import pandas as pd


def read_submission_format(path: str | Path) -> list[str]:
    """The filenames of a submission, in their order.

    Args:
        path: CSV with the columns ``filename`` and ``stalled``; the values of the latter are
            placeholders and are not read.

    Raises:
        TableError: the file cannot be read, or a filename is empty or stands twice.
    """
    path = Path(path)
    filenames = read_csv(path, LABEL_COLUMNS)["filename"]
    check_filenames(path, filenames)
    return [str(name) for name in filenames]


def check_submission_filenames(filenames: Iterable[str], format_path: str | Path) -> list[str]:
    """Check that these videos are exactly those that a submission needs.

    Worth a call before hours of prediction.

    Returns:
        The format's filenames, in their order.

    Raises:
        TableError: videos of the format are missing, or there are others.
    """
    expected = read_submission_format(format_path)
    given = set(filenames)
    missing = [name for name in expected if name not in given]
    extra = sorted(given.difference(expected))
    if missing or extra:
        parts = []
        if missing:
            parts.append(
                f"{len(missing):,} of its {len(expected):,} videos have no prediction "
                f"({some(missing)})"
            )
        if extra:
            parts.append(f"{len(extra):,} predicted videos are not in it ({some(extra)})")
        fail(
            Path(format_path),
            f"{' and '.join(parts)}; predict exactly the videos that this format names",
        )
    return expected


def write_submission(
    path: str | Path,
    predictions: pd.DataFrame,
    format_path: str | Path,
    *,
    failed_as: Literal[0, 1] | None = None,
) -> int:
    """Write a submission; all of it or nothing.

    Args:
        path: the CSV to write; replaced if it exists.
        predictions: as from :func:`stallscan.data.read_predictions`, with a ``stalled`` column.
        format_path: the competition's submission_format.csv.
        failed_as: the call for videos without a probability; None refuses them.

    Returns:
        The number of failed videos that were written as ``failed_as``.

    Raises:
        TableError: the videos are not those of the format, or one failed and ``failed_as`` is None.
        OptionError: ``failed_as`` is not 0, 1 or None, or there is no ``stalled`` column.
    """
    import pandas as pd

    if failed_as not in (None, 0, 1):
        raise OptionError(f"failed_as is {failed_as!r}: allowed are 0, 1 and None")
    if "stalled" not in predictions:
        raise OptionError("predictions has no column 'stalled'; decide by a threshold first")
    order = check_submission_filenames(predictions["filename"], format_path)
    stalled = pd.Series(
        predictions["stalled"].array, index=pd.Index(predictions["filename"]), dtype="Int64"
    ).reindex(order)
    failed = list(stalled.index[stalled.isna()])
    if failed and failed_as is None:
        fail(
            Path(path),
            f"{len(failed):,} of {len(order):,} videos failed and have no call ({some(failed)}); "
            "repair them, or pass --failed-as 0 (or 1) to submit them as that",
        )
    if failed_as is not None:
        stalled = stalled.fillna(failed_as)
    table = pd.DataFrame({"filename": order, "stalled": stalled.astype("int64").to_numpy()})
    partial = Path(f"{path}.tmp")
    table.to_csv(partial, index=False, lineterminator="\n")
    partial.replace(path)
    return len(failed)
