"""Reading a CSV table so that every fault is told with its line, value and remedy."""

from __future__ import annotations

import difflib
import gzip
import lzma
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from stallscan.errors import TableError

if TYPE_CHECKING:
    import pandas as pd

_COMPRESSED = (".gz", ".xz")


def read_csv(path: Path, required: Sequence[str]) -> pd.DataFrame:
    """All columns of a table as text without outer blanks; an empty field is ``""``.

    The index is the line in the file, counted from 1 with the header, so that errors can name it.

    Args:
        path: ``.csv``, also ``.csv.gz`` and ``.csv.xz``.
        required: columns that must be there.

    Raises:
        TableError: missing, empty, damaged, not CSV, or without a required column.
    """
    import pandas as pd

    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        fail(path, f"{what}; pass a CSV table with the columns {', '.join(required)}")
    try:
        with warnings.catch_warnings():
            # Rows longer than the header would lose fields with no more than this warning.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            table = pd.read_csv(
                path,
                dtype=str,
                keep_default_na=False,
                skip_blank_lines=False,  # so that the index tells the line
                index_col=False,
                encoding="utf-8-sig",  # spreadsheets write a byte order mark
                compression="infer" if path.suffix in _COMPRESSED else None,
            )
    except pd.errors.EmptyDataError:
        fail(path, f"is empty; pass a CSV table with the columns {', '.join(required)}")
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        fail(path, f"is not a CSV table ({_one_line(error)}); every line needs the header's fields")
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        fail(path, f"is not UTF-8 text (byte 0x{byte:02x}); save the table as CSV in UTF-8")
    except (EOFError, lzma.LZMAError, gzip.BadGzipFile, zlib.error) as error:
        fail(path, f"cannot be decompressed ({_one_line(error)}); copy or compress it again")
    except OSError as error:
        fail(path, f"cannot be read ({error.strerror or error}); check the file's permissions")
    table.columns = table.columns.str.strip()
    table.index += 2
    check_columns(path, list(table.columns), required)
    # A line with fewer fields than the header has missing values for the rest.
    table = table.fillna("")
    table = table.apply(lambda column: column.str.strip())
    rows: pd.DataFrame = table.loc[(table != "").any(axis=1)]
    if rows.empty:
        fail(path, "has a header but no rows; pass a table with at least one video")
    return rows


def check_columns(path: str | Path, columns: list[str], required: Sequence[str]) -> None:
    """Every required column is there, once.

    Raises:
        TableError: a column is missing or stands twice.
    """
    twice = sorted({c for c in required if columns.count(c) > 1})
    if twice:
        fail(path, f"column {twice[0]!r} stands more than once in the header; keep one")
    missing = [c for c in required if c not in columns]
    if not missing:
        return
    found = ", ".join(repr(_short(c)) for c in columns[:12]) + (" …" if len(columns) > 12 else "")
    if len(columns) == 1 and any(mark in columns[0] for mark in ";\t"):
        remedy = "the fields must be separated by commas: save the table as comma-separated CSV"
    else:
        by_lower = {c.lower(): c for c in columns}
        close = difflib.get_close_matches(missing[0].lower(), by_lower, n=1)
        hint = f"did you mean {by_lower[close[0]]!r}? " if close else ""
        remedy = f"{hint}needed are {', '.join(required)}"
    fail(path, f"has no column {missing[0]!r} (found {found}); {remedy}")


def check_filenames(path: Path, filenames: pd.Series[str]) -> None:
    """Every row names a video, and no two rows the same one.

    Raises:
        TableError: an empty or a duplicate filename.
    """
    empty = filenames.index[filenames == ""]
    if len(empty):
        fail(path, f"line {empty[0]} has no filename; give the video's name or remove the line")
    if filenames.is_unique:
        return
    twice = filenames[filenames.duplicated(keep=False)]
    first = twice[twice == twice.iloc[0]].index
    fail(
        path,
        f"filename {twice.iloc[0]!r} stands in lines {first[0]} and {first[1]} "
        f"({twice.nunique():,} filenames stand more than once); keep one row for each video",
    )


def parse_numbers(
    path: Path,
    column: pd.Series[str],
    *,
    allowed: str,
    low: float,
    high: float,
    whole: bool,
    empty: bool = True,
) -> pd.Series[float]:
    """A column of text as float64; NaN for an empty field.

    Args:
        path: for the message.
        column: text, indexed by line.
        allowed: what the message says is allowed, and what to do.
        low: smallest value allowed.
        high: largest value allowed.
        whole: integers only.
        empty: whether a field may be empty.

    Raises:
        TableError: a field that is no number or a number outside the range, or is empty.
    """
    import pandas as pd

    numbers = pd.to_numeric(column.where(column != ""), errors="coerce").astype("float64")
    wrong = ~numbers.between(low, high)  # NaN is between nothing
    if empty:
        wrong &= column != ""
    if whole:
        wrong |= numbers.notna() & (numbers % 1 != 0)
    fail_if(path, column, wrong, allowed=allowed)
    return numbers


def fail_if(path: Path, column: pd.Series[str], wrong: pd.Series[bool], *, allowed: str) -> None:
    """Name the first wrong field of a column, if there is one.

    Args:
        path: for the message.
        column: text, indexed by line.
        wrong: which fields are.
        allowed: what the message says is allowed, and what to do.

    Raises:
        TableError: a field is wrong.
    """
    if wrong.any():
        line = wrong.index[wrong][0]
        more = f" ({wrong.sum():,} such rows)" if wrong.sum() > 1 else ""
        fail(path, f"{column.name} is {column[line]!r} in line {line}{more}: {allowed}")


def fail(path: str | Path, message: str) -> NoReturn:
    """Raise the error that names the file.

    Raises:
        TableError: always.
    """
    raise TableError(f"{path}: {message}") from None


def origin(table: pd.DataFrame, otherwise: str) -> str:
    """The file that a table was read from, for messages; ``otherwise`` if it came from none."""
    return str(table.attrs.get("path", otherwise))


def some(names: Sequence[str], limit: int = 3) -> str:
    """The first names of many, for messages: ``"a.mp4, b.mp4, c.mp4 …"``."""
    return ", ".join(names[:limit]) + (" …" if len(names) > limit else "")


def _one_line(error: BaseException) -> str:
    return _short(" ".join(str(error).split()), 120)


def _short(text: str, length: int = 40) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
