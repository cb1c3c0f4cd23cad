"""The sheet of vessels."""

import cv2
import numpy as np
import pytest

from stallscan.errors import OptionError
from stallscan.report import Tile, sharpest_slices, write_montage
from stallscan.report.montage import _RIGHT, _UNKNOWN, _WRONG, _rgb


def volume(n=10, y=40, x=50, grey=128):
    return np.full((n, y, x, 3), grey, np.uint8)


def tile(**changes):
    values = {"images": volume(), "filename": "demo_0003.mp4", "probability": 0.93, "stalled": True}
    return Tile(**(values | changes))


@pytest.mark.parametrize(
    ("changes", "caption", "right"),
    [
        ({"truth": True}, "demo_0003.mp4 · 0.93 stalled · truth stalled", True),
        ({"truth": False}, "demo_0003.mp4 · 0.93 stalled · truth flowing", False),
        ({}, "demo_0003.mp4 · 0.93 stalled", None),
        (
            {"probability": 0.2, "stalled": False, "truth": False, "status": "flagged"},
            "demo_0003.mp4 · 0.20 flowing · truth flowing · flagged",
            True,
        ),
        (
            {"probability": None, "stalled": None, "images": None, "status": "failed"},
            "demo_0003.mp4 · no prediction · failed",
            None,
        ),
    ],
)
def test_captions(changes, caption, right):
    assert tile(**changes).caption == caption
    assert tile(**changes).right is right


def test_long_filenames_keep_both_ends():
    caption = tile(filename="a_very_long_name_" * 5 + "0001.mp4").caption
    assert caption.startswith("a_very_long") and "0001.mp4 · 0.93 stalled" in caption
    assert "…" in caption and len(caption) < 70


@pytest.mark.parametrize(
    "images",
    [np.zeros((4, 5, 6), np.uint8), np.zeros((4, 5, 6, 3)), np.zeros((0, 5, 6, 3), np.uint8)],
)
def test_images_must_be_rgb(images):
    with pytest.raises(OptionError, match=r"demo_0003.mp4: images have shape .*pass RGB slices"):
        tile(images=images)


def test_sharpest_slices_finds_what_is_in_focus():
    stack = volume(30)
    stack[17:23, ::2] = 255
    assert sharpest_slices(stack, 6) == slice(17, 23)
    assert sharpest_slices(stack[:4], 6) == slice(0, 4)
    with pytest.raises(OptionError, match="n is 0: allowed are 1 and more"):
        sharpest_slices(stack, 0)


def read(path):
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


def share(image, color):
    return np.mean((image == color).all(axis=-1))


def test_the_sheet_shows_images_and_verdict_colours(tmp_path):
    orange = np.zeros((6, 30, 40, 3), np.uint8)
    orange[:] = (240, 104, 17)
    cases = {_RIGHT: True, _WRONG: False, _UNKNOWN: None}
    for color, truth in cases.items():
        sheet = read(write_montage(tmp_path / "m.png", [tile(images=orange, truth=truth)]))
        assert share(sheet, (240, 104, 17)) > 0.3  # exact pixels: no blur, no colour map
        assert share(sheet, _rgb(color)) > 0.002
        for other in set(cases) - {color}:
            assert share(sheet, _rgb(other)) == 0


def test_all_shapes_fit_on_one_sheet(tmp_path):
    tiles = [
        tile(truth=True),
        tile(images=volume(1, 200, 30), truth=False),
        tile(images=volume(3, 12, 300)),
        tile(images=volume()[0]),
        tile(images=None, probability=None, stalled=None, status="failed"),
        tile(images=volume(400, 8, 9), filename=r"a $\frac$ & <b>.mp4"),
        tile(images=volume(20, 300, 440)),
    ]
    for n_columns in (1, 2, 3):
        sheet = read(write_montage(tmp_path / "m.png", tiles, n_columns=n_columns))
        height, width = sheet.shape[:2]
        assert width <= n_columns * 860 + 60
        assert height <= 200 * -(-len(tiles) // n_columns) + 150
        # Nothing is cut off: a white margin all around.
        for edge in (sheet[:10], sheet[-10:], sheet[:, :10], sheet[:, -10:]):
            assert (edge == 255).all()


def test_slices_are_shown_in_order(tmp_path):
    ramp = np.stack([np.full((40, 40, 3), 40 * i, np.uint8) for i in range(6)])
    sheet = read(write_montage(tmp_path / "m.png", [tile(images=ramp)]))
    row = sheet[sheet.shape[0] - 28 - 60, :, 0].astype(int)
    seen = [value for value in row[np.r_[True, np.diff(row) != 0]] if value in range(0, 201, 40)]
    assert seen == [0, 40, 80, 120, 160, 200]


def test_options(tmp_path):
    with pytest.raises(OptionError, match=r"tiles is empty.*at least one vessel"):
        write_montage(tmp_path / "m.png", [])
    with pytest.raises(OptionError, match="n_columns is 0: allowed are 1"):
        write_montage(tmp_path / "m.png", [tile()], n_columns=0)
