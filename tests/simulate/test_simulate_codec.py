"""The emulated codec against x264 itself, and its contract."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stallscan.errors import OptionError
from stallscan.simulate.h264.recode import recode
from stallscan.types import FloatArray, UInt8Array
from stallscan.video.read import read_clip
from stallscan.video.write import write_clip

ORANGE = (240, 104, 17)
LUMA = np.array([0.299, 0.587, 0.114])


@pytest.fixture(scope="module")
def clip() -> UInt8Array:
    """Dark noise, a bright bar and an orange ring: (13, 96, 96, 3)."""
    rng = np.random.default_rng(5)
    grey = np.clip(rng.normal(25, 12, (13, 96, 96)), 0, 255)
    grey[:, 40:46, 10:86] += 60
    rgb = np.repeat(grey[..., None], 3, axis=3).clip(0, 255).astype(np.uint8)
    y, x = np.mgrid[:96, :96]
    rgb[:, np.abs(np.hypot(y - 48, x - 48) - 30) < 1.5] = ORANGE
    return rgb


def decoded(clip: UInt8Array, crf: int, folder: Path) -> UInt8Array:
    path = folder / "clip.mp4"
    write_clip(path, clip, crf=crf, preset="veryfast")
    return read_clip(path).array


def error(a: UInt8Array, b: UInt8Array) -> FloatArray:
    """Per frame: root mean square luma difference."""
    return np.asarray(np.sqrt((((a.astype(float) - b) @ LUMA) ** 2).mean(axis=(1, 2))))


def redness(rgb: UInt8Array) -> FloatArray:
    return np.asarray(rgb[..., 0].astype(float) - rgb[..., 2])


@pytest.mark.parametrize("crf", [12, 18, 24])
def test_loses_as_much_as_x264(clip: UInt8Array, crf: int, tmp_path: Path) -> None:
    theirs = decoded(clip, crf, tmp_path)
    ours = recode(clip, crf)
    np.testing.assert_allclose(error(ours, clip), error(theirs, clip), rtol=0.15)


def test_smears_and_flickers_orange_as_x264(clip: UInt8Array, tmp_path: Path) -> None:
    theirs, ours = redness(decoded(clip, 18, tmp_path)), redness(recode(clip, 18))
    tinted = [np.mean((red > 20) & (red < 60)) for red in (ours, theirs)]
    flicker = [np.abs(np.diff(red, axis=0)).mean() for red in (ours, theirs)]
    assert tinted[0] == pytest.approx(tinted[1], rel=0.1)
    assert flicker[0] == pytest.approx(flicker[1], rel=0.6)  # ours searches less motion


def test_colours_without_loss_are_those_of_the_video(tmp_path: Path) -> None:
    # Flat patches survive the codec, so what is left is the conversion.
    patches = np.array([(0, 0, 0), (255, 255, 255), (90, 90, 90), ORANGE], np.uint8)
    flat = np.broadcast_to(
        patches.repeat(32, axis=0)[None, None].repeat(32, axis=1), (1, 32, 128, 3)
    ).copy()
    middle = np.arange(16, 128, 32)
    theirs = decoded(flat, 8, tmp_path)[0, 16, middle].astype(int)
    ours = recode(flat, 8)[0, 16, middle].astype(int)
    np.testing.assert_allclose(ours, theirs, atol=3)


def test_blocks_lie_where_they_do_in_the_frame(clip: UInt8Array) -> None:
    whole = recode(clip, 24)
    part = clip[:, 21:75, 27:83]
    inner = np.s_[:, 11:-11, 11:-11]
    there = whole[:, 21:75, 27:83][inner]
    right = error(recode(part, 24, (21, 27))[inner], there).mean()
    wrong = error(recode(part, 24, (5 + 4, 11 + 4))[inner], there).mean()
    assert right < 0.8 * wrong


def test_higher_crf_loses_more(clip: UInt8Array) -> None:
    losses = [error(recode(clip, crf), clip).mean() for crf in (8, 16, 24, 32)]
    assert losses == sorted(losses)
    assert losses[-1] > 4 * losses[0]


@pytest.mark.parametrize("shape", [(1, 1, 1, 3), (2, 5, 3, 3), (3, 17, 33, 3), (7, 40, 31, 3)])
def test_any_size_and_the_same_bytes_again(shape: tuple[int, ...]) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    before = rgb.copy()
    once, again = recode(rgb, 20, (3, 30)), recode(np.asfortranarray(rgb), 20, (3, 30))
    assert once.shape == shape
    assert once.dtype == np.uint8
    np.testing.assert_array_equal(once, again)
    np.testing.assert_array_equal(rgb, before)


@pytest.mark.parametrize("crf", [7, 36])
def test_names_a_crf_outside_the_range(crf: int) -> None:
    with pytest.raises(OptionError, match=rf"crf is {crf}, allowed are 8 to 35"):
        recode(np.zeros((1, 4, 4, 3), np.uint8), crf)


def test_names_a_wrong_array() -> None:
    with pytest.raises(OptionError, match=r"\(4, 4, 3\) of float32"):
        recode(np.zeros((4, 4, 3), np.float32), 18)  # type: ignore[arg-type]
