"""Tables of regions: boxes, polygons, and every way to get them wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stallscan.data.rois import read_rois
from stallscan.errors import TableError

BOX = "filename,roi_y0,roi_x0,roi_y1,roi_x1\n"


def table(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "rois.csv"
    path.write_text(text)
    return path


def test_boxes_become_rectangles(tmp_path: Path) -> None:
    rois = read_rois(table(tmp_path, BOX + "a.mp4,10,20,41,61\n"))
    np.testing.assert_array_equal(rois["a.mp4"], [(10, 20), (10, 60), (40, 60), (40, 20)])


def test_polygons_are_points_as_in_svg(tmp_path: Path) -> None:
    text = 'filename,polygon\na.mp4,"20,10 60,10 60.4,40.6"\nb.mp4," 1,2  3,4 5,6 "\n'
    rois = read_rois(table(tmp_path, text))
    np.testing.assert_array_equal(rois["a.mp4"], [(10, 20), (10, 60), (41, 60)])
    np.testing.assert_array_equal(rois["b.mp4"], [(2, 1), (4, 3), (6, 5)])


def test_a_polygon_counts_more_than_a_box(tmp_path: Path) -> None:
    text = "filename,roi_y0,roi_x0,roi_y1,roi_x1,polygon\n"
    text += 'a.mp4,0,0,9,9,"20,10 60,10 60,40"\nb.mp4,0,0,9,9,\n'
    rois = read_rois(table(tmp_path, text))
    assert len(rois["a.mp4"]) == 3 and len(rois["b.mp4"]) == 4


def test_predictions_are_such_a_table(tmp_path: Path) -> None:
    text = (
        "filename,probability,stalled,status,message,n_frames,roi_z0,roi_y0,roi_x0,roi_z1,roi_y1,"
        "roi_x1,outline,model\n"
        "a.mp4,0.5,1,ok,,60,0,10,20,60,41,61,ok,m\n"
        "b.mp4,,,failed,why,,,,,,,,,m\n"
    )
    rois = read_rois(table(tmp_path, text))
    assert list(rois) == ["a.mp4"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "filename,x\na.mp4,1\n",
            "neither a column .polygon. nor roi_y0.*found .filename., .x.*give",
        ),
        ("name,polygon\na.mp4,1\n", "no column 'filename'.*did you mean 'name'"),
        (BOX + "a.mp4,10,20,41,61\na.mp4,1,2,3,4\n", "'a.mp4' stands in lines 2 and 3.*keep one"),
        (BOX + "a.mp4,10,20,41,\n", "line 2 has 3 of 4 box columns; fill all or none"),
        (BOX + "a.mp4,10,20,10,61\n", r"box of line 2 is empty \(y 10 to 10, x 20 to 61\).*half"),
        (BOX + "a.mp4,-1,20,41,61\n", "roi_y0 is '-1' in line 2.*whole pixels from 0.*correct"),
        (BOX + "a.mp4,1.5,20,41,61\n", "roi_y0 is '1.5' in line 2"),
        (BOX + "a.mp4,,,,\n", "none of its 1 rows has a region; fill"),
        ('filename,polygon\na.mp4,"1,2 3,4"\n', "polygon of line 2 has 2 points, need 3"),
        ('filename,polygon\na.mp4,"1,2 3,4 1,2"\n', "need 3 different ones"),
        (
            "filename,polygon\na.mp4,M 1 2 L 3 4\n",
            "polygon is 'M 1 2 L 3 4' in line 2.*SVG.*correct",
        ),
        ('filename,polygon\na.mp4,"1,2 3,4 1e20,4"\n', "polygon is '1,2 3,4 1e20,4' in line 2"),
        ('filename,polygon\na.mp4,"1,2 3,4 nan,4"\n', "polygon is '1,2 3,4 nan,4' in line 2"),
        ('filename,polygon\na.mp4,"1,2 3,4 5"\n', "polygon is '1,2 3,4 5' in line 2"),
    ],
)
def test_wrong_tables(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(TableError, match=rf"rois\.csv: .*{message}"):
        read_rois(table(tmp_path, text))
