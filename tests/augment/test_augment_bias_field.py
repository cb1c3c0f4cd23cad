"""The bias field: a polynomial of the place within the frame, one of the frame, and how strong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.polynomial.legendre import legval, legval2d, legvander
from pixel_volumes import (
    check_pure,
    drawn,
    even_volume,
    every_dtype,
    every_shape,
    in_greys,
    noise_volume,
)

from stallscan.augment import BiasField
from stallscan.errors import OptionError

SHAPE = (9, 20, 30)


def log_gain(transform: BiasField, seed: int, shape: tuple[int, ...] = SHAPE) -> Any:
    """What a dim float volume has been multiplied by, its logarithm."""
    volume = even_volume(shape, "float32", 2)
    found = transform.apply(volume, drawn(transform, shape, seed))
    return np.log(found.astype(np.float64) / volume)


@every_dtype
@every_shape
def test_it_is_pure(dtype: str, shape: tuple[int, ...]) -> None:
    check_pure(BiasField(), noise_volume(shape, dtype))


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_each_gain_reaches_its_ratio_and_the_middle_is_one(order: int) -> None:
    for seed in range(5):
        field = log_gain(BiasField((3, 3), 1.5, order), seed)
        along_z, plane = field.mean(axis=(1, 2)), field.mean(axis=0)
        assert np.ptp(along_z) == pytest.approx(np.log(1.5), abs=1e-5)
        assert np.ptp(plane) == pytest.approx(np.log(3), abs=1e-5)
        assert field.max() == pytest.approx(np.log(4.5) / 2, abs=1e-5)
        assert field.min() == pytest.approx(-np.log(4.5) / 2, abs=1e-5)
        # No place is another one's in another frame: the two gains are multiplied.
        parts = along_z[:, None, None] + plane - plane.mean()
        np.testing.assert_allclose(field, parts, atol=1e-5)


def test_the_polynomials_by_numpy() -> None:
    transform = BiasField(2.0, 3.0, 3)
    for seed in range(5):
        params = drawn(transform, SHAPE, seed)
        z, y, x = ((np.arange(n) + 0.5) / n * 2 - 1 for n in SHAPE)
        plane = legval2d(*np.meshgrid(y, x, indexing="ij"), np.array(params["plane"]))
        for field, ratio, found in (
            (plane, 2.0, log_gain(transform, seed).mean(axis=0)),
            (legval(z, params["along_z"]), 3.0, log_gain(transform, seed).mean(axis=(1, 2))),
        ):
            share = (field - field.min()) / (field.max() - field.min())
            np.testing.assert_allclose(
                found - found.min(), np.log(ratio) * share, rtol=0, atol=2e-5
            )


@pytest.mark.parametrize("order", [1, 2, 3])
def test_the_order_is_that_of_the_logarithm(order: int) -> None:
    """Along every axis a polynomial of it fits, and none of the next lower one."""
    field = log_gain(BiasField(4, 4, order), 0, (30, 40, 50))
    for axis in range(3):
        lines = np.moveaxis(field, axis, 0).reshape(field.shape[axis], -1)
        places = legvander(np.linspace(-1, 1, len(lines)), order)
        for basis, fits in ((places, True), (places[:, :-1], False)):
            fitted = basis @ np.linalg.lstsq(basis, lines, rcond=None)[0]
            assert (np.abs(fitted - lines).max() < 1e-5) == fits


def test_a_ratio_of_one_leaves_that_axis_alone() -> None:
    within = log_gain(BiasField(3, 1), 0)
    np.testing.assert_allclose(within, np.broadcast_to(within[:1], within.shape), atol=1e-6)
    between = log_gain(BiasField(1, 3), 0)
    np.testing.assert_allclose(between, np.broadcast_to(between[:, :1, :1], SHAPE), atol=1e-6)
    assert np.ptp(within) > 1 and np.ptp(between) > 1


def test_a_picture_is_the_same_in_every_dtype_and_saturates() -> None:
    transform = BiasField(3, 2)
    volume = noise_volume((*SHAPE, 3), "uint8")
    forms = (volume, volume.astype(np.uint16) * 257, volume / np.float32(255))
    params = drawn(transform, SHAPE)
    found = [in_greys(transform.apply(form, params)) for form in forms]
    np.testing.assert_allclose(found[1], found[2], atol=0.003)
    np.testing.assert_allclose(found[0], found[2], atol=0.501)
    assert all((each == 255).mean() > (volume == 255).mean() for each in found)


def test_equal_channels_stay_equal() -> None:
    volume = np.repeat(noise_volume((4, 8, 9, 1), "uint8"), 3, axis=3)
    found = BiasField(p=1)(image=volume, rng=0)["image"]
    np.testing.assert_array_equal(found, np.repeat(found[..., :1], 3, axis=3))


def test_ratios_are_drawn_log_evenly_and_shapes_differ() -> None:
    rng = np.random.default_rng(0)
    params = [BiasField((1, 4), (1, 9)).sample(rng, SHAPE) for _ in range(600)]
    for key, most in (("ratio", 4), ("z_ratio", 9)):
        logs = np.log([each[key] for each in params]) / np.log(most)
        assert 0 <= logs.min() < 0.02 and 0.98 < logs.max() <= 1
        assert logs.mean() == pytest.approx(0.5, abs=0.04)
    plane = np.array([each["plane"] for each in params])
    assert (plane[:, 3, 1] == 0).all() and (plane[:, 2, 2] == 0).all()  # of order 4
    for i, j in ((0, 1), (1, 0), (1, 2), (3, 0)):
        assert plane[:, i, j].std() == pytest.approx(1, abs=0.1)
        assert plane[:, i, j].mean() == pytest.approx(0, abs=0.12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ratio_limit": 0.5}, "ratio_limit is 0.5, allowed are 1 to 100"),
        ({"ratio_limit": (3, 2)}, r"ratio_limit is \(3, 2\): reversed"),
        ({"z_ratio_limit": 101}, "z_ratio_limit is 101, allowed are 1 to 100"),
        ({"order": 0}, "order is 0, allowed are 1 to 8"),
        ({"order": 2.5}, "order is 2.5, allowed are whole numbers"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=f"BiasField.{message}"):
        BiasField(**options)


def test_a_float_image_outside_the_unit_range_is_refused() -> None:
    volume = np.full((2, 3, 3), 2, np.float32)
    with pytest.raises(OptionError, match=r"BiasField.*\[2, 2\]"):
        BiasField().apply(volume, drawn(BiasField(), volume.shape))
