"""Brightness and contrast, inverted and coarse values: closed forms, tables, one for all dtypes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps
from pixel_volumes import (
    WHITE,
    check_pure,
    drawn,
    even_volume,
    every_dtype,
    every_shape,
    in_greys,
    noise_volume,
)

from stallscan.augment import Compose, Posterize, RandomBrightnessContrast, RandomGamma, Solarize
from stallscan.augment._transform import Pixel
from stallscan.errors import OptionError

SHAPE = (4, 9, 10, 3)
KINDS: list[Pixel] = [
    RandomBrightnessContrast(),
    RandomBrightnessContrast(brightness_by_max=False),
    Solarize((60, 200)),
    Posterize(),
]


@every_dtype
@every_shape
@pytest.mark.parametrize("transform", KINDS)
def test_they_are_pure(dtype: str, shape: tuple[int, ...], transform: Pixel) -> None:
    check_pure(transform, noise_volume(shape, dtype))


@pytest.mark.parametrize("transform", KINDS)
def test_a_picture_is_the_same_in_every_dtype(transform: Pixel) -> None:
    bytes_ = noise_volume(SHAPE, "uint8")
    words, floats = bytes_.astype(np.uint16) * 257, bytes_ / np.float32(255)
    for seed in range(5):
        params = drawn(transform, SHAPE, seed)
        found = [in_greys(transform.apply(form, params)) for form in (bytes_, words, floats)]
        np.testing.assert_allclose(found[1], found[2], atol=0.002)
        np.testing.assert_allclose(found[0], found[2], atol=0.501)


@pytest.mark.parametrize("transform", [one for one in KINDS if one != KINDS[1]])
def test_tables_are_what_apply_does_and_are_joined(transform: Pixel) -> None:
    volume = noise_volume(SHAPE, "uint8")
    for seed in range(5):
        params = drawn(transform, SHAPE, seed)
        table = transform.table(params, len(volume))
        assert table is not None and table.shape == (256,) and table.dtype == np.uint8
        np.testing.assert_array_equal(transform.apply(volume, params), table[volume])
    kind, options = type(transform), {**transform.to_dict(), "p": 1.0}
    options.pop("name")
    gamma = RandomGamma((60, 60), p=1)
    made = Compose([gamma, kind(**options)])(image=volume, rng=3, return_record=True)
    ((_, params), (_, last)) = Compose([gamma, kind(**options)]).steps(made["record"]["drawn"])
    expected = transform.apply(gamma.apply(volume, params), last)
    np.testing.assert_array_equal(made["image"], expected)


# Brightness and contrast


@every_dtype
@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 0.2), (0.5, 0.0), (1.7, -0.3), (0.0, 0.4)])
@pytest.mark.parametrize("by_max", [False, True])
def test_the_closed_form(dtype: str, alpha: float, beta: float, by_max: bool) -> None:
    volume, white = noise_volume(SHAPE, dtype), WHITE[dtype]
    transform = RandomBrightnessContrast(brightness_by_max=by_max)
    found = transform.apply(volume, {"alpha": alpha, "beta": beta})
    added = beta * (white if by_max else volume.astype(np.float64).mean())
    expected = np.clip(volume.astype(np.float64) * alpha + added, 0, white)
    np.testing.assert_allclose(found, expected, atol=1e-6 if dtype == "float32" else 0.51)


def test_both_are_drawn_evenly_and_apart() -> None:
    rng = np.random.default_rng(0)
    transform = RandomBrightnessContrast((-0.1, 0.3), 0.4)
    params = [transform.sample(rng, (1, 1, 1)) for _ in range(600)]
    alpha, beta = (np.array([each[key] for each in params]) for key in ("alpha", "beta"))
    assert 0.6 <= alpha.min() < 0.61 and 1.39 < alpha.max() <= 1.4
    assert -0.1 <= beta.min() < -0.09 and 0.29 < beta.max() <= 0.3
    assert alpha.mean() == pytest.approx(1, abs=0.04)
    assert beta.mean() == pytest.approx(0.1, abs=0.02)
    assert abs(np.corrcoef(alpha, beta)[0, 1]) < 0.1


# Inverted


@pytest.mark.parametrize("threshold", [0, 1, 128, 200, 255, 256])
def test_inverted_as_pillow_does(threshold: int) -> None:
    volume = noise_volume((4, 9, 10), "uint8")
    expected = [np.asarray(ImageOps.solarize(Image.fromarray(f), threshold)) for f in volume]
    np.testing.assert_array_equal(Solarize().apply(volume, {"threshold": threshold}), expected)


def test_a_threshold_that_a_value_just_reaches_is_reached_in_every_dtype() -> None:
    for dtype in WHITE:
        for grey, becomes in ((127, 127), (128, 127), (129, 126)):
            found = Solarize(128, p=1)(image=even_volume((2, 3, 3), dtype, grey), rng=0)["image"]
            np.testing.assert_allclose(in_greys(found), becomes, atol=1e-4)


# Few levels


@every_dtype
@pytest.mark.parametrize("bits", range(1, 9))
def test_the_nearest_of_so_many_levels(dtype: str, bits: int) -> None:
    volume, white = noise_volume((9, 30, 30), dtype), WHITE[dtype]
    found = Posterize().apply(volume, {"bits": bits})
    levels = np.linspace(0, white, 2**bits)
    distance = np.abs(volume.astype(np.float64)[..., None] - levels)
    expected = levels[distance.argmin(axis=-1)]
    np.testing.assert_allclose(found, expected, atol=1e-6 if dtype == "float32" else 0.5)
    assert len(np.unique(found)) == 2**bits
    assert found.mean() == pytest.approx(volume.mean(), rel=0.02)


def test_eight_bits_leave_bytes_alone_and_numbers_of_bits_are_alike_often() -> None:
    volume = noise_volume(SHAPE, "uint8")
    np.testing.assert_array_equal(Posterize().apply(volume, {"bits": 8}), volume)
    rng = np.random.default_rng(0)
    bits = [Posterize((2, 4)).sample(rng, (1, 1, 1))["bits"] for _ in range(600)]
    assert set(bits) == {2, 3, 4}
    assert all(150 < count < 250 for count in np.bincount(bits)[2:])


# Bad arguments

OPTIONS: list[tuple[type, dict[str, Any], str]] = [
    (RandomBrightnessContrast, {"brightness_limit": 1.5}, "brightness_limit is 1.5, allowed are"),
    (
        RandomBrightnessContrast,
        {"contrast_limit": (-2, 0)},
        r"contrast_limit is \(-2, 0\), allowed",
    ),
    (RandomBrightnessContrast, {"contrast_limit": (1, 0)}, r"contrast_limit is \(1, 0\): reversed"),
    (RandomBrightnessContrast, {"brightness_by_max": "yes"}, "brightness_by_max is 'yes', allowed"),
    (Solarize, {"threshold_limit": 257}, "threshold_limit is 257, allowed are 0 to 256"),
    (Solarize, {"threshold_limit": None}, "threshold_limit is None, allowed are a number or"),
    (Posterize, {"bits_limit": 0}, "bits_limit is 0, allowed are 1 to 8"),
    (Posterize, {"bits_limit": (4, 9)}, r"bits_limit is \(4, 9\), allowed are 1 to 8"),
    (Posterize, {"bits_limit": (2, 3.5)}, r"bits_limit is \(2, 3.5\), allowed are whole numbers"),
]


@pytest.mark.parametrize(("kind", "options", "message"), OPTIONS)
def test_wrong_options_are_named(kind: type, options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=f"{kind.__name__}.{message}"):
        kind(**options)


@pytest.mark.parametrize("transform", KINDS)
@pytest.mark.parametrize("value", [-0.25, 1.25])
def test_a_float_image_outside_the_unit_range_is_refused(transform: Pixel, value: float) -> None:
    volume: NDArray[Any] = np.full((2, 3, 3), value, np.float32)
    with pytest.raises(OptionError, match=rf"{type(transform).__name__}.*\[{value}, {value}\]"):
        transform.apply(volume, drawn(transform, volume.shape))
