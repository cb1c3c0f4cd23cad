"""CLAHE: an independent slow reading, OpenCV where the two must agree, symmetry, time."""

from __future__ import annotations

import itertools
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pixel_volumes import check_pure, drawn, every_dtype, every_shape, in_greys, noise_volume

from stallscan.augment import CLAHE
from stallscan.errors import OptionError


def uneven_volume(shape: tuple[int, ...], seed: int = 0) -> NDArray[np.uint8]:
    """Dim, brighter towards one corner."""
    rng = np.random.default_rng(seed)
    slope = np.indices(shape[:3]).sum(axis=0) / (sum(shape[:3]) - 3)
    slope = slope[..., None] if len(shape) == 4 else slope
    return np.clip(rng.gamma(3, 12, shape) * (0.5 + slope), 0, 255).astype(np.uint8)


def slow(volume: NDArray[Any], limit: float, grid: tuple[int, int, int]) -> NDArray[np.float64]:
    """Voxel by voxel, tile by tile; of bytes ``(z, y, x)``."""
    tiles = [np.arange(n) * m // n for n, m in zip(volume.shape, grid, strict=True)]
    curves = {}
    for tile in np.ndindex(grid):
        inside = np.ix_(*(np.flatnonzero(t == k) for t, k in zip(tiles, tile, strict=True)))
        share = np.bincount(volume[inside].ravel(), minlength=256) / volume[inside].size
        kept = np.minimum(share, limit / 256)
        curves[tile] = 255 * np.cumsum(kept + (1 - kept.sum()) / 256)
    out = np.zeros(volume.shape)
    for place in np.ndindex(volume.shape):
        centres = [
            min(max((i + 0.5) * m / n - 0.5, 0), m - 1)
            for i, n, m in zip(place, volume.shape, grid, strict=True)
        ]
        for side in itertools.product((0, 1), repeat=3):
            tile, weight = [], 1.0
            for centre, far, n_tiles in zip(centres, side, grid, strict=True):
                before = int(centre)
                weight *= centre - before if far else 1 - (centre - before)
                tile.append(min(before + far, n_tiles - 1))
            out[place] += weight * curves[tuple(tile)][volume[place]]
    return out


@every_dtype
@every_shape
def test_it_is_pure(dtype: str, shape: tuple[int, ...]) -> None:
    check_pure(CLAHE(tile_grid=(2, 3, 3)), noise_volume(shape, dtype))


@pytest.mark.parametrize("grid", [(1, 1, 1), (1, 3, 2), (2, 1, 3), (3, 2, 4)])
@pytest.mark.parametrize("limit", [1.0, 3.3, 256.0])
def test_an_independent_slow_reading(grid: tuple[int, int, int], limit: float) -> None:
    volume = uneven_volume((6, 11, 13))
    expected = slow(volume, limit, grid)
    transform, params = CLAHE(tile_grid=grid), {"clip_limit": limit}
    found = transform.apply(volume, params)
    np.testing.assert_allclose(found, expected, atol=0.501)
    for form in (volume.astype(np.uint16) * 257, volume / np.float32(255)):
        found = in_greys(transform.apply(form, params))
        np.testing.assert_allclose(found, expected, atol=0.01)


def test_between_grey_levels_the_curve_is_straight() -> None:
    levels = np.linspace(0, 255, 1021, dtype=np.float32).reshape(1, 1, -1) / 255  # quarters
    found = CLAHE(tile_grid=(1, 1, 1)).apply(levels, {"clip_limit": 5.0}).ravel()
    np.testing.assert_allclose(found[2::4], (found[:-1:4] + found[4::4]) / 2, atol=1e-5)


@pytest.mark.parametrize("limit", [1.0, 2.0, 4.0, 40.0])
def test_one_tile_of_a_frame_as_opencv_does_it(limit: float) -> None:
    """OpenCV shares out whole voxels, the rest of them to the darkest levels."""
    frame = uneven_volume((1, 200, 256))[0]
    expected = cv2.createCLAHE(limit, (1, 1)).apply(frame).astype(int)
    found = CLAHE(tile_grid=(1, 1, 1)).apply(frame[None], {"clip_limit": limit})[0]
    assert np.abs(found - expected).max() <= 1


def test_many_tiles_of_a_frame_as_opencv_does_it_but_for_half_a_voxel() -> None:
    """OpenCV measures from a voxel's corner, which shifts its tiles."""
    frame = uneven_volume((1, 512, 512))[0]
    expected = cv2.createCLAHE(3.0, (8, 8)).apply(frame).astype(int)
    found = CLAHE(tile_grid=(1, 8, 8)).apply(frame[None], {"clip_limit": 3.0})[0]
    away = np.abs(found - expected)
    assert away.mean() < 0.5 and away.max() <= 5
    assert np.abs(expected - frame.astype(int)).mean() > 50


def test_mirrored_before_or_after_is_the_same() -> None:
    volume = uneven_volume((6, 12, 18, 2))
    transform, params = CLAHE(tile_grid=(2, 4, 3)), {"clip_limit": 3.0}
    expected = transform.apply(volume, params)
    for axis in range(3):
        found = np.flip(transform.apply(np.flip(volume, axis), params), axis)
        assert np.abs(found.astype(int) - expected).max() <= 1  # rounding of the mixing


def test_by_default_all_frames_have_the_same_curves() -> None:
    volume = uneven_volume((8, 24, 24))
    volume[5] //= 2  # a dim frame
    volume[2, 7, 7] = volume[5, 7, 7] = 40
    found = CLAHE(p=1)(image=volume, rng=0)["image"]
    assert found[2, 7, 7] == found[5, 7, 7]
    assert found[5].mean() < 0.8 * found[4].mean()
    apart = CLAHE(tile_grid=(8, 8, 8)).apply(volume, {"clip_limit": 3.0})
    assert apart[2, 7, 7] != apart[5, 7, 7]


def test_the_limit_is_that_of_the_slope_and_one_more() -> None:
    volume = uneven_volume((4, 20, 20)) // 4
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    steepest = []
    for limit in (1.0, 2.0, 5.0):
        both = np.concatenate([np.tile(levels, (1, 2, 2))[:, :20, :20], volume])
        found = CLAHE(tile_grid=(1, 1, 1)).apply(both / np.float32(255), {"clip_limit": limit})
        curve = np.sort(np.unique(found))
        steepest.append(255 * np.diff(curve).max())
        assert steepest[-1] <= limit + 1 + 1e-3
    assert steepest == sorted(steepest) and steepest[-1] > 3


def test_all_channels_make_one_histogram() -> None:
    grey = uneven_volume((4, 16, 17, 1))
    transform, params = CLAHE(), {"clip_limit": 3.0}
    found = transform.apply(np.repeat(grey, 3, axis=3), params)
    np.testing.assert_array_equal(found, np.repeat(transform.apply(grey, params), 3, axis=3))


def test_limits_are_drawn_evenly() -> None:
    rng = np.random.default_rng(0)
    limits = [CLAHE((2, 6)).sample(rng, (1, 1, 1))["clip_limit"] for _ in range(500)]
    assert 2 <= min(limits) < 2.05 and 5.95 < max(limits) <= 6
    assert np.mean(limits) == pytest.approx(4, abs=0.2)
    assert drawn(CLAHE(3), (2, 3, 4)) == {"clip_limit": 3.0}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clip_limit": 0.5}, "clip_limit is 0.5, allowed are 1 to 256"),
        ({"clip_limit": (3, 2)}, r"clip_limit is \(3, 2\): reversed"),
        ({"tile_grid": 8}, "tile_grid is 8, allowed are three positive"),
        ({"tile_grid": (8, 8)}, r"tile_grid is \(8, 8\), allowed are three positive"),
        ({"tile_grid": (0, 8, 8)}, r"tile_grid is \(0, 8, 8\), allowed are three positive"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=f"CLAHE.{message}"):
        CLAHE(**options)


def test_more_tiles_than_memory_could_hold_are_refused() -> None:
    with pytest.raises(OptionError, match=r"tile_grid is \(60, 128, 128\), 983,040 tiles.*4,096"):
        CLAHE(tile_grid=(60, 128, 128))
