"""A table of regions, for labs that do not draw orange outlines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stallscan.data._csv import check_filenames, fail, parse_numbers, read_csv
from stallscan.types import IntArray

if TYPE_CHECKING:
    import pandas as pd

PLANE_COLUMNS = ("roi_y0", "roi_x0", "roi_y1", "roi_x1")
"""Half-open box in pixels, as in predictions.csv, which is such a table too."""

MAX_PX = 1_000_000
"""Largest coordinate of a polygon."""


def read_rois(path: str | Path) -> dict[str, IntArray]:
    """Regions of videos.

    Args:
        path: CSV with ``filename`` and either a box (``roi_y0, roi_x0, roi_y1, roi_x1``, half open,
            pixels) or ``polygon``, the vertices as in SVG: ``"x,y x,y x,y"``. Where a table has
            both, the polygon counts if it is not empty. Depth is always the whole stack's.

    Returns:
        ``(n, 2)`` int vertices ``(y, x)`` by base name. A row with neither is left out: such are
        the failed rows of a predictions.csv.

    Raises:
        TableError: the file cannot be read, or a row is wrong; the message names the line.
    """
    path = Path(path)
    if not path.is_file():
        fail(
            path,
            f"does not exist; pass a CSV table with filename and {', '.join(PLANE_COLUMNS)}, or "
            "filename and polygon",
        )
    table = read_csv(path, ("filename",))
    check_filenames(path, table["filename"])
    has_box = set(PLANE_COLUMNS) <= set(table.columns)
    if not has_box and "polygon" not in table:
        fail(
            path,
            f"has neither a column 'polygon' nor {', '.join(PLANE_COLUMNS)} (found "
            f"{', '.join(map(repr, table.columns))}); give a box or a polygon for each video",
        )
    corners = _boxes(path, table) if has_box else {}
    rois: dict[str, IntArray] = {}
    for line, name in table["filename"].items():
        text = str(table.at[line, "polygon"]) if "polygon" in table else ""
        if text:
            rois[name] = _polygon(path, line, text)
        elif line in corners:
            rois[name] = corners[line]
    if not rois:
        fail(path, f"none of its {len(table):,} rows has a region; fill the columns")
    return rois


def _boxes(path: Path, table: pd.DataFrame) -> dict[object, IntArray]:
    rule = "allowed are whole pixels from 0 up; correct the table"
    numbers = {
        name: parse_numbers(path, table[name], allowed=rule, low=0, high=2**31 - 1, whole=True)
        for name in PLANE_COLUMNS
    }
    corners: dict[object, IntArray] = {}
    for line in table.index:
        values = [numbers[name][line] for name in PLANE_COLUMNS]
        n_empty = sum(value != value for value in values)
        if n_empty == 4:
            continue
        if n_empty:
            fail(path, f"line {line} has {4 - n_empty} of 4 box columns; fill all or none")
        y0, x0, y1, x1 = map(int, values)
        if y1 <= y0 or x1 <= x0:
            fail(
                path,
                f"the box of line {line} is empty (y {y0} to {y1}, x {x0} to {x1}); it is half "
                "open, so its ends must be greater than its beginnings",
            )
        corners[line] = np.array(
            [(y0, x0), (y0, x1 - 1), (y1 - 1, x1 - 1), (y1 - 1, x0)], dtype=np.int64
        )
    return corners


def _polygon(path: Path, line: object, text: str) -> IntArray:
    try:
        points = [[float(value) for value in point.split(",")] for point in text.split()]
        xy = np.array(points)  # fails where points differ in length
        if xy.shape[1:] != (2,) or not (np.abs(xy) <= MAX_PX).all():
            raise ValueError
    except ValueError:
        short = text if len(text) < 40 else text[:39] + "…"
        fail(
            path,
            f"polygon is {short!r} in line {line}: allowed are points as in SVG, 'x,y x,y x,y', in "
            f"pixels up to {MAX_PX:,}; correct the table",
        )
    polygon: IntArray = np.rint(xy[:, ::-1]).astype(np.int64)  # (n, yx)
    if len(np.unique(polygon, axis=0)) < 3:
        fail(path, f"polygon of line {line} has {len(polygon)} points, need 3 different ones")
    return polygon
