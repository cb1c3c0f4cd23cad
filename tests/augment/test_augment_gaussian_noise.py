"""Gaussian noise: its distribution, its independence, and the same strength in every dtype."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pixel_volumes import (
    check_pure,
    drawn,
    even_volume,
    every_dtype,
    every_shape,
    in_greys,
    noise_volume,
)
from scipy import stats

from stallscan.augment import GaussianNoise
from stallscan.augment._noise import draw, normal_quantiles
from stallscan.errors import OptionError

SHAPE = (20, 64, 64)


def _noise(dtype: str, std: float, mean: float = 0, seed: int = 1, shape: Any = SHAPE) -> Any:
    """What is added to a grey of 128, in grey levels."""
    transform = GaussianNoise((std, std), mean, as_std=True)
    volume = even_volume(shape, dtype, 128)
    return in_greys(transform.apply(volume, drawn(transform, shape, seed))) - 128


def test_the_generator_is_splitmix64() -> None:
    """The three first outputs for seed 0, from the authors' code; 16 bits a draw, lowest first."""
    published = (0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F)
    expected = [word >> (16 * k) & 0xFFFF for word in published for k in range(4)]
    found = np.empty(12, np.float32)
    draw(np.arange(65536, dtype=np.float32), np.uint64(0), found)
    assert found.tolist() == expected


def test_the_quantiles_are_normal() -> None:
    quantiles = normal_quantiles()
    assert abs(quantiles.mean()) < 1e-7 and abs(quantiles.var() - 1) < 1e-7
    expected = stats.norm.ppf((np.arange(65536) + 0.5) / 65536)
    np.testing.assert_allclose(quantiles, expected, atol=1e-4)


@every_dtype
@every_shape
def test_it_is_pure(dtype: str, shape: tuple[int, ...]) -> None:
    check_pure(GaussianNoise((10, 5000), mean=3), noise_volume(shape, dtype))


def test_a_volume_that_may_not_be_written_will_do() -> None:
    volume = noise_volume((3, 8, 8), "uint8")
    transform = GaussianNoise()
    expected = transform.apply(volume, drawn(transform, volume.shape))
    volume.setflags(write=False)
    found = transform.apply(volume, drawn(transform, volume.shape))
    np.testing.assert_array_equal(found, expected)


@every_dtype
def test_mean_and_deviation(dtype: str) -> None:
    noise = _noise(dtype, 7.0, mean=2.0)
    rounding = 1 / 12 if dtype == "uint8" else 0
    assert noise.mean() == pytest.approx(2, abs=0.1)  # 4 standard errors
    assert noise.std() == pytest.approx(np.sqrt(49 + rounding), rel=0.01)


def test_the_variance_is_a_variance() -> None:
    assert drawn(GaussianNoise((25, 25)), SHAPE)["std"] == 5
    assert drawn(GaussianNoise((25, 25), as_std=True), SHAPE)["std"] == 25
    limits = [drawn(GaussianNoise((10, 50)), SHAPE, seed)["std"] ** 2 for seed in range(200)]
    assert 10 <= min(limits) < 12 and 48 < max(limits) <= 50
    assert GaussianNoise(9).var_limit == (0, 9)  # type: ignore[arg-type]


def test_the_distribution_is_normal() -> None:
    assert stats.kstest(_noise("float32", 10.0).ravel(), "norm", (0, 10)).pvalue > 0.01
    kurtosis = stats.kurtosis(_noise("float32", 10.0).ravel())
    assert abs(kurtosis) < 4 * np.sqrt(24 / np.prod(SHAPE))


def test_values_are_independent() -> None:
    """Of their neighbours along every axis and channel, and of other seeds."""
    noise = _noise("float32", 10.0, shape=(12, 40, 40, 3)) / 10
    bound = 4.5 / np.sqrt(noise.size)
    for axis in range(4):
        for lag in (1, 2):
            ahead, behind = (
                np.take(noise, places, axis)
                for places in (range(lag, noise.shape[axis]), range(noise.shape[axis] - lag))
            )
            assert abs((ahead * behind).mean()) < bound * 1.8
    for seed in (2, 3):
        other = _noise("float32", 10.0, seed=seed, shape=noise.shape) / 10
        assert abs((noise * other).mean()) < bound


def test_all_dtypes_get_the_same_noise() -> None:
    exact = _noise("float32", 7.0)
    np.testing.assert_allclose(_noise("uint16", 7.0), exact, atol=0.6 / 257)
    np.testing.assert_allclose(_noise("uint8", 7.0), exact, atol=0.501)


@every_dtype
def test_nothing_wraps(dtype: str) -> None:
    transform = GaussianNoise((400, 400))
    for grey in (0, 3, 252, 255):
        volume = even_volume(SHAPE, dtype, grey)
        found = in_greys(transform.apply(volume, drawn(transform, SHAPE)))
        assert np.abs(found - grey).max() < 20 * 4.4 + 0.5
        assert (found == (0 if grey < 128 else 255)).mean() > 0.4


@every_dtype
def test_no_noise_changes_no_bit(dtype: str) -> None:
    volume = noise_volume((4, 9, 9, 3), dtype)
    found = GaussianNoise(as_std=True).apply(volume, {"std": 0.0, "mean": 0.0, "noise_seed": 5})
    assert found.tobytes() == volume.tobytes()


def test_a_float_image_outside_the_unit_range_is_refused() -> None:
    volume = np.full((2, 3, 3), 200, np.float32)
    with pytest.raises(OptionError, match=r"\[200, 200\]"):
        GaussianNoise().apply(volume, drawn(GaussianNoise(), volume.shape))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"var_limit": (-1, 3)}, r"var_limit is \(-1, 3\), allowed are 0 to 65025"),
        ({"var_limit": (50, 10)}, r"var_limit is \(50, 10\): reversed"),
        ({"var_limit": (0, 300), "as_std": True}, r"allowed are 0 to 255"),
        ({"mean": 256}, "mean is 256"),
        ({"mean": "grey"}, "mean is 'grey'"),
        ({"as_std": 3}, "as_std is 3"),
        ({"sigma_limit": 3}, "no option sigma_limit"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        GaussianNoise(**options)


def test_options_that_do_nothing_are_said() -> None:
    with pytest.warns(UserWarning, match=r"GaussianNoise does nothing: var_limit is \(0, 0\)"):
        GaussianNoise((0, 0))


def test_the_order_is_that_of_volumentations() -> None:
    transform = GaussianNoise((1.0, 2.0), 4, True, 0.25)
    assert (transform.var_limit, transform.mean) == ((1, 2), 4)
    assert (transform.always_apply, transform.p) == (True, 0.25)
