"""Resize: constants stay constant at every depth, closed forms, SciPy, no border ever shows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pulls import coordinates, interpolated
from scipy.ndimage import map_coordinates

from stallscan.augment import Resize

WHITE = {"uint8": 255, "uint16": 65535, "float32": 1}


def resized(array: NDArray[Any], size: tuple[int, int, int], key: str = "image", **options: Any):
    return Resize(size, **options)(**{key: array}, rng=0)[key]


def half_pixel(before: int, after: int) -> NDArray[np.float64]:
    return np.clip((np.arange(after) + 0.5) * before / after - 0.5, 0, before - 1)


def places_of(shape: tuple[int, ...], size: tuple[int, ...], corners: bool = False) -> Any:
    axes = [
        np.linspace(0, before - 1, after) if corners else half_pixel(before, after)
        for before, after in zip(shape, size, strict=True)
    ]
    return np.stack(np.meshgrid(*axes, indexing="ij"))


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("dtype", WHITE)
@pytest.mark.parametrize("corners", [False, True])
def test_a_constant_stays_constant_from_every_extent_of_the_data_set(
    axis: int, dtype: str, corners: bool
) -> None:
    """17 to 434 frames to 96; the peer's last frame is black for 18 of 280 depths."""
    value = {"uint8": 255, "uint16": 65535, "float32": np.float32(0.7)}[dtype]
    extents, size = [2, 3, 4], [3, 4, 3]
    size[axis] = 96
    for extent in range(17, 435):
        extents[axis] = extent
        found = resized(np.full(extents, value, dtype), tuple(size), align_corners=corners)
        if dtype == "float32":
            assert np.abs(found - value).max() <= 1.2e-7, extent
        else:
            assert (found == value).all(), extent


@pytest.mark.parametrize("depth", [60, 17, 34, 96, 97, 120, 293])
def test_the_last_frame_shows_the_last_frame(depth: int) -> None:
    image = np.zeros((depth, 4, 4), np.uint8)
    image[-1] = 200
    expected = half_pixel(depth, 96)[-1] - (depth - 2)  # share of the last frame
    assert abs(float(resized(image, (96, 4, 4))[-1].mean()) - 200 * max(expected, 0)) <= 1


@pytest.mark.parametrize("dtype", WHITE)
@pytest.mark.parametrize("channels", [None, 1, 2, 3, 4, 5, 7])
@pytest.mark.parametrize("corners", [False, True])
def test_it_is_linear_interpolation_at_half_pixel_centres(
    dtype: str, channels: int | None, corners: bool
) -> None:
    """Or at centres that keep the corners, as the peer does it; uint16 and float are kept."""
    shape, size = (7, 9, 10), (12, 5, 17)
    full = shape if channels is None else (*shape, channels)
    image = (np.random.default_rng(0).random(full) * WHITE[dtype]).astype(dtype)
    found = resized(image, size, align_corners=corners)
    assert found.dtype == dtype and found.shape == (*size, *full[3:])
    places = places_of(shape, size, corners)
    one, got = image.reshape(*shape, -1), found.reshape(*size, -1).astype(float)
    limit = {"uint8": 1.5, "uint16": 1.2, "float32": 1e-6}[dtype]
    if corners:  # OpenCV remaps in 1/32 of a voxel
        limit = WHITE[dtype] / 32 + limit
    for channel in range(one.shape[3]):
        difference = got[..., channel] - interpolated(one[..., channel], places)
        assert np.abs(difference).max() <= limit
        assert abs(difference.mean()) <= limit / 10


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    shape=st.tuples(*[st.integers(1, 20)] * 3),
    size=st.tuples(*[st.integers(1, 20)] * 3),
    dtype=st.sampled_from(sorted(WHITE)),
    corners=st.booleans(),
)
def test_any_extent_goes_to_any_other(
    shape: tuple[int, int, int], size: tuple[int, int, int], dtype: str, corners: bool
) -> None:
    """Places come out where they lie, no voxel outside the source's range, image and points."""
    image = coordinates(shape)
    points = np.argwhere(np.ones(shape, bool))[:: max(np.prod(shape) // 50, 1)].astype(float)
    resize = Resize(size, align_corners=corners)
    found = resize(image=image, points=points, rng=0)
    expected = np.moveaxis(places_of(shape, size, corners), 0, -1)
    if corners:  # one plane stands for all: the first
        expected = np.minimum(expected, np.array(shape) - 1)
    np.testing.assert_allclose(found["image"], expected, atol=1 / 60)
    for axis in range(3):
        if corners and min(shape[axis], size[axis]) == 1:
            continue
        scale = size[axis] / shape[axis]
        moved = (points[:, axis] + 0.5) * scale - 0.5
        if corners:
            moved = points[:, axis] * (size[axis] - 1) / (shape[axis] - 1)
        np.testing.assert_allclose(found["points"][:, axis], moved, atol=1e-9)
    grey = (np.random.default_rng(0).random(shape) * WHITE[dtype]).astype(dtype)
    again = resized(grey, size, align_corners=corners)
    assert again.min() >= grey.min() * (1 - 1e-6) and again.max() <= grey.max() * (1 + 1e-6)


@pytest.mark.parametrize("dtype", WHITE)
@pytest.mark.parametrize("interpolation", [0, 1, 2, 5])
def test_the_same_size_changes_no_bit(dtype: str, interpolation: int) -> None:
    image = (np.random.default_rng(0).random((6, 7, 8, 2)) * WHITE[dtype]).astype(dtype)
    found = resized(image, (6, 7, 8), interpolation=interpolation)
    assert found.tobytes() == image.tobytes() and not np.may_share_memory(found, image)


@pytest.mark.parametrize("interpolation", [0, 2, 3, 4, 5])
def test_other_orders_are_scipys_and_saturate(interpolation: int) -> None:
    """Cubic overshoot wraps 0.2 % of the peer's voxels."""
    image = (np.random.default_rng(0).random((7, 9, 10)) > 0.5).astype(np.uint8) * 255
    found = resized(image, (12, 21, 17), interpolation=interpolation).astype(float)
    places = places_of(image.shape, (12, 21, 17))
    expected = map_coordinates(image.astype(float), places, order=interpolation, mode="nearest")
    if interpolation == 0:
        expected = image[tuple(np.floor(places + 0.5).astype(int))].astype(float)
    else:
        assert expected.max() > 256 and expected.min() < -1  # it does overshoot
    np.testing.assert_allclose(found, np.clip(expected, 0, 255), atol=0.51)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "int64"])
@pytest.mark.parametrize("interpolation", [0, 1, 3])
def test_masks_take_the_nearest_voxel_whatever_the_order(dtype: str, interpolation: int) -> None:
    """Masks without channels too, which crash the peer."""
    mask = np.random.default_rng(0).integers(0, 2 if dtype == "bool" else 100, (7, 9, 10))
    mask = mask.astype(dtype)
    found = resized(mask, (12, 5, 21), key="mask", interpolation=interpolation)
    nearest = np.floor(places_of(mask.shape, (12, 5, 21)) + 0.5).astype(int)
    np.testing.assert_array_equal(found, mask[tuple(nearest)])


@pytest.mark.parametrize("shape", [(2, 3, 40_000), (2, 40_000, 3), (3000, 2, 3)])
def test_very_elongated_volumes(shape: tuple[int, int, int]) -> None:
    """Longer than OpenCV's remap can take."""
    image = np.moveaxis(np.indices(shape), 0, -1).astype(np.uint16)
    size = tuple(max(extent // 2, 1) for extent in shape)
    for corners in (False, True):
        found = resized(image, size, align_corners=corners).astype(float)
        expected = np.moveaxis(places_of(shape, size, corners), 0, -1)
        np.testing.assert_allclose(found, expected, atol=0.51 + 1 / 32)


def test_more_channels_than_opencv_can_take() -> None:
    image = np.random.default_rng(0).integers(0, 256, (3, 5, 6, 513), np.uint8)
    found = resized(image, (4, 7, 8))
    expected = np.stack([resized(image[..., c], (4, 7, 8)) for c in (0, 512)], axis=3)
    assert np.abs(found[..., [0, 512]].astype(int) - expected).max() <= 1


def test_boxes_scale_with_the_volume_and_the_whole_stays_the_whole() -> None:
    image = np.zeros((10, 20, 30), np.uint8)
    boxes = np.array([[0, 0, 0, 10, 20, 30], [2, 4, 6, 5, 8, 12.0]])
    found = Resize((20, 10, 30))(image=image, boxes=boxes, rng=0)["boxes"]
    np.testing.assert_allclose(found, [[0, 0, 0, 20, 10, 30], [4, 2, 6, 10, 4, 12]])
    for size in ((9, 20, 30), (1, 1, 1)):  # from and to a single plane
        for before in ((1, 20, 30), (10, 20, 30)):
            for corners in (False, True):
                whole = [[0, 0, 0, *before]]
                resize = Resize(size, align_corners=corners)
                found = resize(image=np.zeros(before, np.uint8), boxes=whole, rng=0)["boxes"][0]
                assert (found[:3] < 0.51).all() and (found[3:] > np.array(size) - 0.51).all()
                assert (found[3:] - found[:3] > 0.5 * np.array(size)).all()


def test_a_float_image_in_the_unit_range_stays_what_it_is() -> None:
    """The peer casts it to uint8: zeros."""
    image = np.random.default_rng(0).random((5, 6, 7), np.float32)
    found = resized(image, (6, 7, 8))
    assert found.dtype == np.float32 and abs(found.mean() - image.mean()) < 0.02
    assert found.std() > 0.1
