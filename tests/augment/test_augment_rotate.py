"""Rotate: closed forms, no shift of the mean, SciPy in space, borders, orders, dtypes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pulls import coordinates, dense, drawn_as, eroded, interpolated, smooth_volume
from scipy.ndimage import center_of_mass, map_coordinates
from scipy.spatial.transform import Rotation

from stallscan.augment import Rotate
from stallscan.errors import OptionError

WHITE = {"uint8": 255, "uint16": 65535, "float32": 1}
NOISE = np.random.default_rng(0).random((9, 12, 11))


def turn(
    angles: tuple[float, ...], shape: tuple[int, ...], **options: Any
) -> tuple[Rotate, dict[str, Any]]:
    """A rotation by exactly these angles, and its record."""
    rotate = Rotate(*((angle, angle) for angle in angles), p=1, **options)
    return rotate, drawn_as(rotate, {"angles_deg": list(angles)}, shape)


def turned(array: NDArray[Any], *angles: float, key: str = "image", **options: Any) -> Any:
    rotate, record = turn(angles, array.shape, **options)
    return rotate.replay(record, **{key: array})[key]


def as_dtype(values: NDArray[np.float64], dtype: str) -> NDArray[Any]:
    return (values * WHITE[dtype]).astype(dtype)


@pytest.mark.parametrize("dtype", WHITE)
@pytest.mark.parametrize("shape", [(6, 8, 8), (7, 9, 9, 3), (5, 8, 8, 5)])
@pytest.mark.parametrize("quarters", [1, 2, 3, -1, 4])
def test_quarter_turns_about_x_are_those_of_numpy(
    dtype: str, shape: tuple[int, ...], quarters: int
) -> None:
    """x is axis 0; a positive angle turns axis 1 towards axis 2."""
    image = as_dtype(np.random.default_rng(1).random(shape), dtype)
    expected = np.rot90(image, quarters, axes=(1, 2))
    np.testing.assert_array_equal(turned(image, 90 * quarters, 0, 0), expected)
    np.testing.assert_array_equal(turned(image, 90 * quarters, 0, 0, key="mask"), expected)


@pytest.mark.parametrize("shape", [(8, 8, 8), (7, 7, 7, 3)])
@pytest.mark.parametrize(("axis", "plane"), [(1, (2, 0)), (2, (0, 1))])
def test_quarter_turns_about_y_and_z_are_those_of_numpy(
    shape: tuple[int, ...], axis: int, plane: tuple[int, int]
) -> None:
    angles = [0.0, 0.0, 0.0]
    angles[axis] = 90
    for dtype, tolerance in (("uint8", 0), ("uint16", 0.5), ("float32", 1e-5)):
        image = as_dtype(np.random.default_rng(1).random(shape), dtype)
        expected = np.rot90(image, axes=plane)
        found = turned(image, *angles)
        assert np.abs(found.astype(float) - expected).max() <= tolerance
        np.testing.assert_array_equal(turned(image, *angles, key="mask"), expected)


@pytest.mark.parametrize("shape", [(5, 6, 4), (4, 5, 6), (7, 20, 31)])
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_quarter_turns_of_uneven_planes_lose_no_voxel_to_rounding(
    shape: tuple[int, int, int], axis: int, quarters: int
) -> None:
    """Even extents on odd ones: places half a voxel beyond the last centre, exactly, are inside."""
    angles = [0.0, 0.0, 0.0]
    angles[axis] = 90 * quarters
    found = turned(np.full(shape, 200, np.uint8), *angles)
    first, second = ((axis + step) % 3 for step in (1, 2))
    extents = list(shape)
    if quarters % 2:
        for this, other in ((first, second), (second, first)):
            reach = np.abs(np.arange(shape[this]) - (shape[this] - 1) / 2)
            extents[this] = int((reach <= shape[other] / 2).sum())
    assert (found > 0).sum() == np.prod(extents)


@pytest.mark.filterwarnings("ignore:Rotate does nothing")
@pytest.mark.parametrize("dtype", WHITE)
@pytest.mark.parametrize("interpolation", [0, 1, 3])
def test_zero_degrees_change_no_bit(dtype: str, interpolation: int) -> None:
    """In the library that this replaces, 0 degrees move half a voxel, in time too."""
    for shape in ((7, 9, 10), (6, 8, 9, 3)):
        image = as_dtype(np.random.default_rng(2).random(shape), dtype)
        found = turned(image, 0, 0, 0, interpolation=interpolation)
        assert found.tobytes() == image.tobytes()


@pytest.mark.parametrize("shape", [(13, 20, 20), (13, 21, 21), (14, 20, 21)])
@pytest.mark.parametrize("angles", [(10, 0, 0), (0, 7, 0), (0, 0, 7), (17, 0, 0)])
def test_there_and_back_has_no_mean_shift(
    shape: tuple[int, int, int], angles: tuple[int, int, int]
) -> None:
    """On even and odd axes: of a blob's centre of mass, and of every place inside."""
    back = [-angle for angle in angles]
    image = turned(
        turned(coordinates(shape), *angles, border_mode="nearest"), *back, border_mode="nearest"
    )
    moved = (image - coordinates(shape))[3:-3, 5:-5, 5:-5]
    assert np.abs(moved.mean(axis=(0, 1, 2))).max() < 0.005
    distance = np.square(coordinates(shape) - [6.5, 9.6, 10.3]).sum(axis=3)
    blob = np.exp(-distance / 8).astype(np.float32)
    again = turned(turned(blob, *angles), *back)
    np.testing.assert_allclose(center_of_mass(again), center_of_mass(blob), atol=0.02)


def test_the_sign_and_the_order_of_angles_are_those_of_volumentations() -> None:
    """Where volumentations-3D 1.0.4 moves a blob (2, 3, 4) off the centre by 20, 30, 40 degrees."""
    shape = (41, 41, 41)
    rotate, record = turn((20, 30, 40), shape)
    points = np.array([[22.0, 23, 24]])
    found = rotate.replay(record, image=np.zeros(shape, np.uint8), points=points)["points"]
    np.testing.assert_allclose(found[0] - 20, [1.6567, 2.1154, 4.6673], atol=0.005)


@pytest.mark.parametrize("channels", [None, 1, 2, 3, 4, 5, 7])
@pytest.mark.parametrize("dtype", WHITE)
def test_in_three_dimensions_it_is_scipys_linear_interpolation(
    channels: int | None, dtype: str
) -> None:
    shape = (9, 12, 11) if channels is None else (9, 12, 11, channels)
    image = as_dtype(np.random.default_rng(3).random(shape), dtype)
    rotate, record = turn((12, -25, 33), shape, border_mode="nearest")
    found = rotate.replay(record, image=image)["image"].astype(float)
    assert found.shape == shape
    places, _ = dense(rotate.steps(record["drawn"]), shape[:3])
    image, found = (array.reshape(9, 12, 11, -1) for array in (image, found))
    for channel in range(channels or 1):
        expected, got = interpolated(image[..., channel], places), found[..., channel]
        # uint8: places in 1/256 of a voxel along each axis, and rounding.
        limit = {"uint8": 3 * 255 / 512 + 0.5, "uint16": 1.0, "float32": 1e-5}[dtype]
        assert np.abs(got - expected).max() <= limit
        assert abs((got - expected).mean()) < {"uint8": 0.1, "uint16": 0.5}.get(dtype, 1e-6)


@pytest.mark.parametrize("angles", [(23, 0, 0), (12, -25, 33)])
@pytest.mark.parametrize("border", ["constant", "nearest", "reflect"])
def test_beyond_the_border_is_what_scipy_has_there(
    angles: tuple[int, int, int], border: str
) -> None:
    """SciPy's grid-constant, nearest and reflect, but at the last half voxel of a constant."""
    image = NOISE.astype(np.float32)
    found = turned(image, *angles, border_mode=border, value=0.25)
    grid = np.indices(image.shape).reshape(3, -1)
    centre = (np.array(image.shape)[:, None] - 1) / 2
    matrix = Rotation.from_euler("zyx", angles[::-1], degrees=True).inv().as_matrix()
    places = (matrix @ (grid - centre) + centre).reshape(3, *image.shape)
    expected = map_coordinates(image, places, order=1, mode=border, cval=0.25)
    last = np.reshape(image.shape, (3, 1, 1, 1)) - 1
    within = ((places >= 0) & (places <= last)).all(axis=0)
    beyond = ((places < -0.51) | (places > last + 0.51)).any(axis=0)
    compared = within | beyond if border == "constant" else np.ones_like(within)
    tolerance = 1e-5 if angles[1] else 0.045  # in the plane: places in 1/32 of a voxel
    np.testing.assert_allclose(found[compared], expected[compared], atol=tolerance)
    if border == "constant":
        assert (found[beyond] == 0.25).all() and beyond.sum() > 50
        edge = ~within & ~beyond
        nearest = interpolated(image, np.clip(places, 0, last))
        either = np.minimum(np.abs(found - nearest), np.abs(found - 0.25))
        assert either[edge].max() <= tolerance


@pytest.mark.parametrize("interpolation", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("angles", [(23, 0, 0), (12, -25, 33)])
@pytest.mark.parametrize("border", ["constant", "nearest", "reflect"])
def test_every_order_is_scipys_and_saturates(
    interpolation: int, angles: tuple[int, int, int], border: str
) -> None:
    image = as_dtype(NOISE, "uint8")
    found = turned(image, *angles, interpolation=interpolation, border_mode=border, value=9)
    rotate, record = turn(angles, image.shape)
    places, inside = dense(rotate.steps(record["drawn"]), image.shape)
    expected = map_coordinates(image.astype(float), places, order=interpolation, mode="nearest")
    assert interpolation < 2 or expected.max() > 255.5 or expected.min() < -0.5
    difference = np.abs(found - np.clip(expected, image.min(), image.max()))
    last = np.reshape(image.shape, (3, 1, 1, 1)) - 1
    between = ((places > 0) & (places < last)).all(axis=0)  # of voxels' centres
    compared = np.ones_like(inside) if border == "nearest" else between
    if interpolation == 0:
        assert (difference == 0)[compared].mean() > 0.999  # but for ties
    else:
        limit = 8.5 if interpolation == 1 and not angles[1] else 2.1
        assert difference[compared].max() <= limit
        assert difference[compared].mean() <= 1.2
    if border == "constant":
        assert (found[~inside] == 9).all() and (~inside).sum() > 50


@pytest.mark.parametrize("angles", [(90, 0, 0), (0, 90, 0), (0, 0, 90), (180, 90, 0), (33, 21, 8)])
@pytest.mark.parametrize("border", ["nearest", "reflect"])
def test_no_voxel_stays_empty_without_a_constant(angles: tuple[int, int, int], border: str) -> None:
    """Places of exactly −1 among them, which quarter turns of uneven extents read."""
    for shape in ((5, 4, 7), (7, 4, 5), (4, 9, 6), (3, 5, 11)):
        for dtype in WHITE:
            image = np.full(shape, 0.8 * WHITE[dtype]).astype(dtype)
            for key in ("image", "mask"):
                found = turned(image, *angles, key=key, border_mode=border)
                np.testing.assert_allclose(found, image, rtol=1e-6)


def test_a_float_volume_never_leaves_its_range() -> None:
    """By one bit, and what wants [0, 1] after it would refuse it."""
    image = np.full((12, 13, 14), 1, np.float32)
    rng = np.random.default_rng(0)
    for _ in range(15):
        found = turned(image, *rng.uniform(-30, 30, 3))
        assert found.min() >= 0 and found.max() <= 1


def test_value_and_mask_value_lie_beyond_and_must_fit() -> None:
    image, mask = np.full((6, 9, 9), 77, np.uint8), np.full((6, 9, 9), 5, np.int16)
    rotate = Rotate((45, 45), 0, 0, value=200, mask_value=-3, p=1)
    found = rotate(image=image, mask=mask, rng=0)
    assert set(np.unique(found["image"])) == {77, 200}
    assert set(np.unique(found["mask"])) == {5, -3}
    np.testing.assert_array_equal(found["image"] == 200, found["mask"] == -3)
    for value in (300, -1, 0.5):
        with pytest.raises(OptionError, match=f"value is {value}, which uint8 cannot hold"):
            Rotate((45, 45), 0, 0, value=value, p=1)(image=image, rng=0)
    with pytest.raises(OptionError, match="mask_value is 2, which bool cannot hold"):
        Rotate((45, 45), 0, 0, mask_value=2, p=1)(mask=mask > 0, rng=0)


def test_a_number_is_a_range_to_both_sides_and_is_drawn_evenly() -> None:
    rotate = Rotate(20, (-5, 10), 0)
    assert (rotate.x_limit, rotate.y_limit, rotate.z_limit) == ((-20, 20), (-5, 10), (0, 0))
    rng = np.random.default_rng(0)
    drawn = np.array([rotate.sample(rng, (4, 5, 6))["angles_deg"] for _ in range(4000)])
    np.testing.assert_allclose(drawn.mean(axis=0), [0, 2.5, 0], atol=0.5)
    np.testing.assert_allclose(drawn.min(axis=0), [-20, -5, 0], atol=0.1)
    np.testing.assert_allclose(drawn.max(axis=0), [20, 10, 0], atol=0.1)


def test_a_mask_is_the_image_of_the_nearest_voxel() -> None:
    """One label a voxel: in the plane and in space, each is where the image's place says."""
    shape = (8, 13, 14)
    labels = np.arange(np.prod(shape), dtype=np.int32).reshape(shape) + 1
    for angles in ((20, 0, 0), (20, -15, 30)):
        rotate, record = turn(angles, shape, border_mode="constant")
        found = rotate.replay(record, image=coordinates(shape), mask=labels)
        beyond = found["mask"] == 0
        at = np.stack(np.unravel_index(np.maximum(found["mask"] - 1, 0), shape), axis=3)
        inner = eroded(~beyond, 1)
        assert inner.sum() > 100
        assert np.abs(at - found["image"])[inner].max() <= 0.5 + 1 / 64 + 1e-3


def test_uint8_in_the_plane_follows_a_smooth_volume_within_a_grey_level() -> None:
    image = smooth_volume((6, 30, 31))
    rotate, record = turn((14, 0, 0), image.shape)
    found = rotate.replay(record, image=image)["image"].astype(float)
    places, inside = dense(rotate.steps(record["drawn"]), image.shape)
    difference = np.abs(found - interpolated(image, places))[inside]
    assert difference.max() <= 1.5 and difference.mean() < 0.5
