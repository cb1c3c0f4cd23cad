"""Volumes of one size: constants stay, moments stay, nothing is invented."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stallscan.roi import Volume
from stallscan.roi.resize import resize
from stallscan.types import Box

Shape = tuple[int, int, int]


def volume_of(array: np.ndarray) -> Volume:
    depth, height, width, _ = array.shape
    mask = np.zeros((height, width), bool)
    mask[: height // 2 + 1] = True
    return Volume(
        array=array,
        mask=mask,
        line=np.zeros_like(mask),
        box=Box(0, 5, 6, depth, 5 + height, 6 + width),
        source="drawn",
        voxel_size_um=(1.0, 0.5, 0.25),
    )


sides = st.integers(1, 20)
shapes = st.tuples(sides, sides, sides)


@settings(max_examples=60, deadline=None)
@given(shapes, shapes, st.sampled_from([1, 3]), st.integers(0, 255))
def test_shapes_and_constants(old: Shape, new: Shape, channels: int, grey: int) -> None:
    volume = volume_of(np.full((*old, channels), grey, np.uint8))
    resized = resize(volume, new)
    assert resized.array.shape == (*new, channels) and (resized.array == grey).all()
    assert resized.mask.shape == resized.line.shape == new[1:]
    assert resized.resized and resized.box == volume.box
    extent = np.array(old) * volume.voxel_size_um
    np.testing.assert_allclose(np.array(new) * resized.voxel_size_um, extent)


def test_the_same_size_changes_nothing() -> None:
    array = np.random.default_rng(0).integers(0, 256, (5, 6, 7, 3), np.uint8)
    resized = resize(volume_of(array), (5, 6, 7))
    np.testing.assert_array_equal(resized.array, array)


@pytest.mark.parametrize("depth", [3, 4, 60, 61])
def test_depth_is_linear_with_centres_kept(depth: int) -> None:
    ramp = np.arange(0, 200, 10, dtype=np.uint8)[:, None, None, None]
    resized = resize(volume_of(np.tile(ramp, (1, 2, 2, 1))), (depth, 2, 2)).array[:, 0, 0, 0]
    place = np.clip((np.arange(depth) + 0.5) * 20 / depth - 0.5, 0, 19)
    np.testing.assert_allclose(resized, 10 * place, atol=0.51)


def test_a_plane_shrinks_by_averaging() -> None:
    array = np.random.default_rng(1).integers(0, 256, (2, 8, 12, 1), np.uint8)
    resized = resize(volume_of(array), (2, 4, 6)).array
    mean = array.reshape(2, 4, 2, 6, 2, 1).mean(axis=(2, 4))
    np.testing.assert_allclose(resized, mean, atol=0.51)
