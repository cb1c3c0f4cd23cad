"""Normalize: mean 0, standard deviation 1, whatever comes in."""

from __future__ import annotations

import numpy as np
import pytest
from pixel_volumes import check_pure, every_dtype, every_shape, noise_volume

from stallscan.augment import Normalize
from stallscan.errors import OptionError


@every_dtype
@every_shape
def test_it_is_pure(dtype: str, shape: tuple[int, ...]) -> None:
    check_pure(Normalize(), noise_volume(shape, dtype), dtype="float32")


@every_dtype
@every_shape
def test_the_closed_form(dtype: str, shape: tuple[int, ...]) -> None:
    volume = noise_volume(shape, dtype)
    exact = volume.astype(np.float64)
    found = Normalize().apply(volume, {})
    np.testing.assert_allclose(found, (exact - exact.mean()) / exact.std(), rtol=1e-6, atol=1e-6)
    assert abs(found.mean(dtype=np.float64)) < 1e-6
    assert found.std(dtype=np.float64) == pytest.approx(1, abs=1e-6)


@every_dtype
def test_range_norm_makes_no_difference(dtype: str) -> None:
    """Standardising undoes any change of scale; volumentations agrees."""
    volume = noise_volume((4, 9, 9, 3), dtype)
    scaled = (volume - volume.min()) / (volume.max() - volume.min()).astype(np.float64)
    expected = (scaled - scaled.mean()) / scaled.std()
    np.testing.assert_allclose(Normalize(True).apply(volume, {}), expected, atol=1e-5)


@pytest.mark.parametrize("value", [0, 1, 0.1, 1 / 3, 200, 65535, -3e20])
def test_a_constant_volume_becomes_zeros(value: float) -> None:
    for dtype in ("uint8", "uint16", "float32"):
        if dtype == "float32" or (value == int(value) and 0 <= value <= np.iinfo(dtype).max):
            found = Normalize().apply(np.full((3, 7, 11, 3), value, dtype), {})
            np.testing.assert_array_equal(found, 0)
            assert found.dtype == np.float32


@pytest.mark.parametrize(("offset", "spread"), [(0, 1e-20), (1e4, 1.0), (-50, 1e6), (0, 1e18)])
def test_floats_of_any_range(offset: float, spread: float) -> None:
    values = np.random.default_rng(0).normal(offset, spread, (6, 30, 30)).astype(np.float32)
    found = Normalize().apply(values, {})
    exact = values.astype(np.float64)
    np.testing.assert_allclose(found, (exact - exact.mean()) / exact.std(), rtol=1e-5, atol=1e-6)


def test_one_voxel_that_differs_is_seen() -> None:
    volume = np.full((20, 40, 40), 100, np.float32)
    volume[3, 4, 5] = np.nextafter(np.float32(100), np.float32(200))
    found = Normalize().apply(volume, {})
    assert found[3, 4, 5] == pytest.approx(np.sqrt(volume.size - 1), rel=1e-4)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(value: float) -> None:
    volume = np.zeros((2, 3, 3), np.float32)
    volume[0, 0, 0] = value
    with pytest.raises(OptionError, match=r"Normalize: .*not finite"):
        Normalize().apply(volume, {})


def test_it_always_applies_and_names_wrong_options() -> None:
    assert Normalize().always_apply and Normalize().p == 1
    with pytest.raises(OptionError, match="range_norm is 'z'"):
        Normalize("z")  # type: ignore[arg-type]
