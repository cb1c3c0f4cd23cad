"""Storing: sizes of stored frames, resampling that is the same for a window, palettes."""

import numpy as np
import pytest

from stallscan.simulate.outline import Outline
from stallscan.simulate.recording import Recording, palette, resample, sample_recording
from stallscan.simulate.settings import PRESETS, load_settings
from stallscan.types import Box

SHAPE = (4, 384, 512)


def smooth_frames() -> np.ndarray:
    y, x = np.mgrid[:96, :128]
    plane = 100 + 50 * np.sin(x / 8) * np.cos(y / 6)
    return np.repeat(plane[None], 2, axis=0).astype(np.float32)


@pytest.mark.parametrize("scale", [0.5, 0.77, 1.0, 1.4])
def test_stored_frames_are_even_and_scaled(scale: float) -> None:
    height, width = Recording(crf=20, scale=scale).out_size(SHAPE)
    assert height % 2 == 0 and width % 2 == 0
    assert height == pytest.approx(384 * scale, abs=1) and width == pytest.approx(
        512 * scale, abs=1
    )


@pytest.mark.parametrize("scale", [0.6, 0.8, 1.25, 1.5])
def test_resampling_keeps_places_and_grey(scale: float) -> None:
    """Pixel centres are mapped: x becomes (x + ½) scale - ½."""
    size = (round(96 * scale), round(128 * scale))
    found = resample(smooth_frames(), scale, (0, 0), Box(0, 0, 0, 2, *size))
    assert found.shape == (2, *size) and found.dtype == np.float32
    y, x = (np.mgrid[: size[0], : size[1]] + 0.5) / scale - 0.5
    expected = 100 + 50 * np.sin(x / 8) * np.cos(y / 6)
    inside = (slice(None), slice(6, -6), slice(6, -6))
    np.testing.assert_allclose(found[inside], np.stack([expected] * 2)[inside], atol=1.6)


@pytest.mark.parametrize("scale", [0.6, 1.25])
def test_a_window_gives_the_pixels_of_the_whole(scale: float) -> None:
    whole_size = (round(96 * scale), round(128 * scale))
    whole = resample(smooth_frames(), scale, (0, 0), Box(0, 0, 0, 2, *whole_size))
    box = Box(0, 30, 40, 2, 45, 60)
    source = (slice(None), slice(15, 96), slice(20, 128))
    part = resample(smooth_frames()[source], scale, (15, 20), box)
    np.testing.assert_allclose(part, whole[:, 30:45, 40:60], atol=0.05)


def test_without_smaller_frames_nothing_happens() -> None:
    assert Recording(crf=20).words == ()
    assert Recording(crf=20).out_size(SHAPE) == SHAPE[1:]
    rgb = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    np.testing.assert_array_equal(palette(rgb.copy(), 256), rgb)


@pytest.mark.parametrize("levels", [24, 64])
def test_a_palette_has_so_many_levels_and_stays_near(levels: int) -> None:
    rgb = np.repeat(np.arange(256, dtype=np.uint8)[None, None, :, None], 3, axis=3)
    found = palette(rgb.copy(), levels)
    assert len(np.unique(found)) == levels
    difference = rgb.astype(int) - found
    assert difference.min() >= 0 and difference.max() <= 256 / levels + 1


def test_gifs_are_named_and_come_in_their_share() -> None:
    rng = np.random.default_rng(0)
    settings = load_settings("clogloss", ["gif_share=0.3", "gif_scale=0.5,0.9"])
    found = [sample_recording(rng, settings) for _ in range(400)]
    gifs = [r for r in found if r.words == ("gif",)]
    assert len(gifs) / 400 == pytest.approx(0.3, abs=0.07)
    for recording in found:
        assert 14 <= recording.crf <= 20
        if recording.words:
            assert 0.5 <= recording.scale <= 0.9 and 24 <= recording.levels <= 64
        else:
            assert recording.scale == 1 and recording.levels == 256
    assert all(not sample_recording(rng, PRESETS["clogloss"]).words for _ in range(50))


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.4])
def test_the_box_is_tight_around_the_line_in_the_stored_frame(scale: float) -> None:
    corners = np.array([[100, 60], [180, 60], [180, 140], [100, 140]], np.float32)
    outline = Outline(contour_px=corners, color=(240, 104, 17), thickness_px=3)
    box = Recording(crf=20, scale=scale).box_of(outline, SHAPE)
    assert box[0] == 0 and box[3] == 4
    expected = np.array([59, 99, 142, 182]) * scale
    np.testing.assert_allclose([*box[1:3], *box[4:]], expected, atol=2.0)
