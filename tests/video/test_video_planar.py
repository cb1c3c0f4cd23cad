"""A PlanarClip answers as a Clip of the same file does."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stacks import drawn, encode, write_gif

from stallscan.errors import DamagedVideoError
from stallscan.types import Box
from stallscan.video import Clip, PlanarClip, read_clip, read_stack
from stallscan.video.planar import _MIN_CHROMA

SETTINGS = {
    "as written": ((64, 96), {}),
    "untagged, 98×66": ((66, 98), {}),
    "418×384": ((384, 418), {}),
    "tiny": ((4, 6), {}),
    "full range": ((66, 98), {"pix_fmt": "yuvj420p", "color_range": 2}),
    "BT.709": ((66, 98), {"colorspace": 1, "color_range": 1}),
    "BT.709, full range": ((64, 130), {"colorspace": 1, "color_range": 2}),
}


def written(path: Path, setting: str) -> np.ndarray:
    """Noise with coloured spots, so that every pixel of a conversion matters."""
    size, options = SETTINGS[setting]
    rng = np.random.default_rng(5)
    array = np.repeat(rng.integers(0, 256, (5, *size, 1), np.uint8), 3, axis=-1)
    h, w = size
    array[:, h // 4 : h // 2, w // 3 : w // 2] = rng.integers(0, 256, (5, 1, 1, 3))
    encode(path, array, qp="4", **options)
    return array


@pytest.mark.parametrize("setting", SETTINGS)
def test_any_box_is_that_of_the_whole_conversion(tmp_path: Path, setting: str) -> None:
    path = tmp_path / "a.mp4"
    written(path, setting)
    stack, clip = read_stack(path), read_clip(path)
    assert isinstance(stack, PlanarClip)
    assert stack.shape == clip.shape and stack.source == clip.source == str(path)
    assert stack.voxel_size_um is None and stack.rescaling is None and stack.damage == ""

    @settings(max_examples=40, deadline=None, derandomize=True)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        ends = [sorted(data.draw(st.sets(st.integers(0, n), min_size=2, max_size=2)))
                for n in clip.shape]  # fmt: skip
        box = Box(*(low for low, _ in ends), *(high for _, high in ends))
        for asked in (dataclasses.replace(stack), stack):  # converted anew; perhaps kept
            np.testing.assert_array_equal(asked.rgb(box), clip.rgb(box))

    check()
    whole = Box(0, 0, 0, *clip.shape)
    np.testing.assert_array_equal(stack.rgb(whole), clip.array)


@pytest.mark.parametrize("setting", SETTINGS)
def test_no_colour_lies_outside_of_the_coloured_box(tmp_path: Path, setting: str) -> None:
    path = tmp_path / "a.mp4"
    written(path, setting)
    rgb = read_clip(path).array.astype(int)
    box = read_stack(path).colored()
    is_colored = np.ptp(rgb, axis=-1) > 60
    assert box is not None and (is_colored.any() or setting == "tiny")
    is_colored[box.slices] = False
    assert not is_colored.any()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.sampled_from([1, 5, 9]),  # BT.709, BT.601, BT.2020
    st.sampled_from([1, 2]),
    st.tuples(*[st.integers(0, 255)] * 3),
)
def test_the_least_chroma_of_a_colour(
    colorspace: int, color_range: int, yuv: tuple[int, int, int]
) -> None:
    """By the matrices themselves: channels 60 apart need chroma beyond the limit, if no more."""
    red, blue = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 9: (0.2627, 0.0593)}[colorspace]
    y, u, v = yuv[0], yuv[1] - 128, yuv[2] - 128
    scale, offset = (255 / 224, 16) if color_range == 1 else (1.0, 0)
    luma = (y - offset) * (255 / 219 if color_range == 1 else 1)
    r, b = luma + 2 * (1 - red) * scale * v, luma + 2 * (1 - blue) * scale * u
    g = (luma - red * r - blue * b) / (1 - red - blue)
    if np.ptp(np.clip([r, g, b], 0, 255)) >= 60:
        assert max(abs(u), abs(v)) > _MIN_CHROMA


def test_a_coloured_box_is_no_larger_than_need_be(tmp_path: Path) -> None:
    array = np.full((4, 64, 96, 3), 90, np.uint8)
    array[2, 20:30, 40:60] = (240, 104, 17)
    encode(tmp_path / "a.mp4", array, qp="0")
    assert read_stack(tmp_path / "a.mp4").colored() == Box(0, 20, 40, 4, 30, 60)


def test_a_grey_stack_has_no_coloured_box(tmp_path: Path) -> None:
    encode(tmp_path / "a.mp4", np.full((4, 64, 96, 3), 90, np.uint8))
    assert read_stack(tmp_path / "a.mp4").colored() is None


@pytest.mark.parametrize("step", [1, 3, 8])
@pytest.mark.parametrize("setting", ["as written", "full range", "BT.709", "418×384"])
def test_grey_is_that_of_a_clip(tmp_path: Path, setting: str, step: int) -> None:
    size, options = SETTINGS[setting]
    grey = np.random.default_rng(6).integers(0, 256, (4, *size, 1), np.uint8)
    encode(tmp_path / "a.mp4", np.repeat(grey, 3, axis=-1), qp="4", **options)
    planar, clip = (
        read_stack(tmp_path / "a.mp4").grey(step),
        read_clip(tmp_path / "a.mp4").grey(step),
    )
    assert planar.shape == clip.shape == (4, -(-size[0] // step), -(-size[1] // step))
    assert np.abs(planar.astype(int) - clip).max() <= 2


@pytest.mark.parametrize(
    ("name", "size", "options"),
    [
        ("a.mp4", (33, 49), {"pix_fmt": "yuv444p"}),
        ("a.avi", (33, 48), {"codec": "mpeg4"}),
        ("a.avi", (32, 49), {"codec": "mpeg4"}),
        ("a.mp4", (32, 48), {"pix_fmt": "yuv444p"}),
        ("a.mkv", (32, 48), {"pix_fmt": "yuv420p10le"}),
    ],
)
def test_other_formats_fall_back_to_a_clip(
    tmp_path: Path, name: str, size: tuple[int, int], options: dict[str, str]
) -> None:
    encode(tmp_path / name, drawn(4, *size), **options)
    stack, clip = read_stack(tmp_path / name), read_clip(tmp_path / name)
    assert isinstance(stack, Clip) and stack.damage == ""
    np.testing.assert_array_equal(stack.array, clip.array)


def test_a_gif_falls_back_to_a_clip(tmp_path: Path) -> None:
    write_gif(tmp_path / "a.gif", drawn())
    stack = read_stack(tmp_path / "a.gif")
    assert isinstance(stack, Clip)
    np.testing.assert_array_equal(stack.array, drawn())


def test_damage_is_kept_with_what_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    encode(path, drawn(12, 64, 96))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(DamagedVideoError):
        read_stack(path)
    stack, clip = read_stack(path, partial=True), read_clip(path, partial=True)
    assert isinstance(stack, PlanarClip)
    assert stack.damage == clip.damage and "the file ends early" in stack.damage
    assert 1 <= stack.shape[0] < 12
    np.testing.assert_array_equal(stack.rgb(Box(0, 0, 0, *stack.shape)), clip.array)
