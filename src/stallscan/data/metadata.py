"""The competition's table of videos: project, frames, the crowd's score and the subsets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from stallscan.data._csv import check_columns, check_filenames, fail_if, parse_numbers, read_csv
from stallscan.data.tables import METADATA_COLUMNS, TEST_METADATA_COLUMNS

if TYPE_CHECKING:
    import pandas as pd

_BOOLEANS = ("True", "False", "TRUE", "FALSE", "true", "false")  # pandas, spreadsheets, JSON


def read_metadata(path: str | Path) -> pd.DataFrame:
    """Metadata of training or test videos, in the order of the table.

    Test metadata is a table with none of the columns that only training metadata has; a table with
    some of them must have all.

    Args:
        path: CSV, plain or ``.gz`` or ``.xz``, with the columns `METADATA_COLUMNS` or
            `TEST_METADATA_COLUMNS`; others are left out.

    Returns:
        ``filename`` and ``url`` (str), ``num_frames`` (int32); of training videos also
        ``project_id`` (categorical), ``crowd_score`` (float64, 0 to 1, as it stands in the table:
        see :func:`stallscan.data.crowd_scores`) and ``tier1``, ``micro``, ``nano`` (bool).

    Raises:
        TableError: the file cannot be read, or a row is wrong; the message names the line.
    """
    import pandas as pd

    path = Path(path)
    table = read_csv(path, TEST_METADATA_COLUMNS)
    of_training = not set(METADATA_COLUMNS).difference(TEST_METADATA_COLUMNS).isdisjoint(table)
    if of_training:
        check_columns(path, list(table.columns), METADATA_COLUMNS)
    check_filenames(path, table["filename"])
    metadata = pd.DataFrame({"filename": table["filename"], "url": table["url"]})
    if of_training:
        project: pd.Series[str] = table["project_id"]
        rule = "every video needs a project; one name for all will do"
        fail_if(path, project, project == "", allowed=rule)
        metadata["project_id"] = project.astype("category")
    rule = "allowed are whole numbers from 1 up; correct the table"
    metadata["num_frames"] = parse_numbers(
        path, table["num_frames"], allowed=rule, low=1, high=2**31 - 1, whole=True, empty=False
    ).astype("int32")
    if of_training:
        rule = "allowed are 0 to 1, the share of the crowd that calls it stalled; correct the table"
        # float32 would move scores across a threshold.
        metadata["crowd_score"] = parse_numbers(
            path, table["crowd_score"], allowed=rule, low=0, high=1, whole=False, empty=False
        )
        for name in ("tier1", "micro", "nano"):
            metadata[name] = _booleans(path, table[name])
    metadata = metadata.reset_index(drop=True)
    metadata.attrs["path"] = str(path)  # so that later errors can name the file
    return metadata


def _booleans(path: Path, column: pd.Series[str]) -> pd.Series[bool]:
    truth = column.map({word: word.lower() == "true" for word in _BOOLEANS})
    rule = "allowed are True and False; correct the table"
    fail_if(path, column, truth.isna(), allowed=rule)
    return truth.astype(bool)
