"""A table that says where videos are: the competition's metadata, or any with these columns."""

from __future__ import annotations

import posixpath
from pathlib import Path

from stallscan.data._csv import check_filenames, fail, read_csv
from stallscan.errors import OptionError
from stallscan.types import Location
from stallscan.video.remote import base_name, on_disk, parse_location

TABLE_SUFFIXES = (".csv", ".csv.gz", ".csv.xz")
COLUMNS = ("filename", "url")


def is_table(place: Location) -> bool:
    """Whether the name is a table's."""
    return base_name(place).lower().endswith(TABLE_SUFFIXES)


def read_video_list(place: Location) -> list[Location]:
    """Where the videos of a table are, in its order.

    Args:
        place: CSV, plain or ``.gz`` or ``.xz``, on disk or in a bucket, with the columns
            ``filename`` and ``url``. A url is ``s3://…``, a path, or relative to the table.

    Raises:
        TableError: the table cannot be read, or a row is wrong; the message names the line.
        FetchError: it cannot be fetched.
    """
    with on_disk(place) as path:
        table = read_csv(path, COLUMNS)
        check_filenames(path, table["filename"])
        return [
            _location(path, place, line, name, url)
            for line, name, url in zip(table.index, table["filename"], table["url"], strict=True)
        ]


def _location(path: Path, table: Location, line: int, name: str, url: str) -> Location:
    try:
        location = _resolve(table, url)
    except OptionError as error:
        fail(path, f"url of line {line}: {error}")
    if base_name(location) != name:
        fail(
            path,
            f"url is {url!r} in line {line}, whose filename is {name!r}; allowed are urls that end "
            "in the filename, by which rows are named: correct the table",
        )
    return location


def _resolve(table: Location, url: str) -> Location:
    if "://" in url:
        return parse_location(url)
    if url.startswith("/"):
        return Path(url)
    if ".." in url.split("/"):
        raise OptionError(
            f"{url!r} leaves the folder of the table; give an absolute path or an s3:// URL"
        )
    if isinstance(table, Path):
        return table.parent / url
    return posixpath.join(posixpath.dirname(table), url)
