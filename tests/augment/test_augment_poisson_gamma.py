"""Photomultiplier noise: mean, variance and shape against closed forms and a simulation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pixel_volumes import (
    check_pure,
    drawn,
    even_volume,
    every_dtype,
    every_shape,
    in_greys,
    noise_volume,
)
from scipy import special, stats

from stallscan.augment import PoissonGamma
from stallscan.augment.poisson_gamma import _many_photons, photon_answers
from stallscan.errors import OptionError

SHAPE = (16, 80, 80)
PHOTONS = (3.0, 37.4, 250.0, 20_000.0)


def _detected(
    dtype: str, grey: float, photons: float, sigma: float, shape: tuple[int, ...] = SHAPE
) -> NDArray[np.float64]:
    transform = PoissonGamma((photons, photons), (sigma, sigma))
    return in_greys(transform.apply(even_volume(shape, dtype, grey), drawn(transform, shape)))


@every_dtype
@every_shape
def test_it_is_pure(dtype: str, shape: tuple[int, ...]) -> None:
    check_pure(PoissonGamma((5, 50), (0, 20)), noise_volume(shape, dtype))


@pytest.mark.parametrize("photons", PHOTONS)
def test_cumulants_of_every_grey_level(photons: float) -> None:
    """Of a compound Poisson sum: photons · moments of the amplitude, Gamma(3) of mean 1."""
    answers = photon_answers(photons).astype(np.float64)
    greys = np.arange(257)
    amplitude = 255 / photons
    np.testing.assert_allclose(answers.mean(axis=1), greys, atol=6e-4 * amplitude + 1e-4)
    several = greys / amplitude > 1
    variance = amplitude * 4 / 3 * greys
    np.testing.assert_allclose(answers.var(axis=1)[several], variance[several], rtol=0.004)
    skew = amplitude**2 * 20 / 9 * greys[several] / variance[several] ** 1.5
    np.testing.assert_allclose(stats.skew(answers[several], axis=1), skew, rtol=0.035, atol=0.001)


@pytest.mark.parametrize("mean", [32.0, 50.0, 100.0, 400.0])
def test_many_photons_have_the_quantiles_of_the_compound_distribution(mean: float) -> None:
    """By its distribution function, summed over the photons."""
    photons = np.arange(1, 800)
    sums = _many_photons(np.array([mean]))[0].astype(np.float64)
    below = special.gammainc(3 * photons[:, None], 3 * sums)
    found = stats.poisson.pmf(photons, mean) @ below + np.exp(-mean)
    shares = (np.arange(1024) + 0.5) / 1024
    np.testing.assert_allclose(found, shares, atol=1e-4)


def test_the_slope_of_the_variance_is_that_of_the_detector() -> None:
    """FACTS: var = 4 / a · mean + σ², a = 0.44; a photon makes 3 / a grey levels."""
    a = 0.44
    transform = PoissonGamma(255 * a / 3, 7)
    assert transform.photons == (pytest.approx(37.4),) * 2
    for grey in (60, 90, 120):
        found = in_greys(
            transform.apply(even_volume(SHAPE, "uint16", grey), drawn(transform, SHAPE))
        )
        assert found.mean() == pytest.approx(grey, rel=0.01)
        assert found.var() == pytest.approx(4 / a * grey + 49, rel=0.03)


@pytest.mark.parametrize("photons", [8.0, 37.4])
def test_a_simulation_gives_the_same_distribution(photons: float) -> None:
    """Photons and amplitudes drawn one by one, saturated like the image."""
    rng = np.random.default_rng(0)
    for grey in (4, 20, 80, 230):
        found = _detected("uint8", grey, photons, 6.0).ravel()
        counts = rng.poisson(grey / 255 * photons, found.size)
        sums = rng.gamma(3 * np.maximum(counts, 1), 255 / photons / 3) * (counts > 0)
        expected = np.clip(np.rint(sums + rng.normal(0, 6, found.size)), 0, 255)
        levels = np.arange(257)
        below, should = (np.searchsorted(np.sort(x), levels) / x.size for x in (found, expected))
        assert np.abs(below - should).max() < 2.2 / np.sqrt(found.size)  # two-sample, p about 2e-4


@pytest.mark.parametrize("photons", [5.0, 37.4])
def test_a_dark_voxel_mostly_gets_nothing(photons: float) -> None:
    for grey in (2, 10):
        nothing = (_detected("float32", grey, photons, 0.0) == 0).mean()
        assert nothing == pytest.approx(np.exp(-grey / 255 * photons), abs=0.01)


def test_the_mean_stays_between_two_grey_levels() -> None:
    found = _detected("uint16", 100.5, 100.0, 3.0)
    assert found.mean() == pytest.approx(100.5, abs=0.3)  # 5 standard errors
    neighbours = [_detected("uint16", grey, 100.0, 3.0).mean() for grey in (100, 101)]
    assert neighbours[0] < found.mean() < neighbours[1]


@every_dtype
@pytest.mark.parametrize("grey", [30, 128, 200])
def test_the_mean_stays(dtype: str, grey: float) -> None:
    """With enough light that nothing saturates; 4 standard errors."""
    found = _detected(dtype, grey, 1500.0, 2.0)
    deviation = np.sqrt(255 / 1500 * 4 / 3 * grey + 4)
    assert found.mean() == pytest.approx(grey, abs=4 * deviation / np.sqrt(found.size))
    assert found.std() == pytest.approx(deviation, rel=0.02)


def test_all_dtypes_get_the_same_noise() -> None:
    exact = _detected("float32", 90, 40, 7)
    np.testing.assert_allclose(_detected("uint16", 90, 40, 7), exact, atol=0.6 / 257)
    np.testing.assert_allclose(_detected("uint8", 90, 40, 7), exact, atol=0.501)


def test_a_grey_image_stays_grey() -> None:
    volume = noise_volume((4, 12, 12), "uint8")
    params = drawn(PoissonGamma(), volume.shape)
    found = PoissonGamma().apply(np.stack([volume] * 3, axis=-1), params)
    alone = PoissonGamma().apply(volume, params)
    assert (alone != volume).mean() > 0.8
    for channel in range(3):
        np.testing.assert_array_equal(found[..., channel], alone)


def test_voxels_are_independent() -> None:
    noise = _detected("float32", 90, 100, 5) - 90
    noise /= noise.std()
    for axis in range(3):
        ahead = np.take(noise, range(1, noise.shape[axis]), axis)
        behind = np.take(noise, range(noise.shape[axis] - 1), axis)
        assert abs((ahead * behind).mean()) < 4.5 / np.sqrt(ahead.size)


def test_photons_and_read_noise_are_independent() -> None:
    """Their variances add up: a draw shared by both would make it more or less."""
    found = _detected("float32", 100, 400, 9)
    assert found.var() == pytest.approx(255 / 400 * 4 / 3 * 100 + 81, rel=0.02)


@every_dtype
def test_nothing_wraps(dtype: str) -> None:
    black, white = (_detected(dtype, grey, 20, 8) for grey in (0, 255))
    assert black.max() < 40 and 0.45 < (black == 0).mean() < 0.55
    assert white.min() > 40 and 0.4 < (white == 255).mean() < 0.6


def test_options_are_drawn_from_their_ranges() -> None:
    rng = np.random.default_rng(0)
    transform = PoissonGamma((10, 1000), (2, 4))
    found = [transform.sample(rng, (16, 80, 80)) for _ in range(1000)]
    photons = [params["photons"] for params in found]
    assert 10 <= min(photons) < 12 and 900 < max(photons) <= 1000
    assert np.median(photons) == pytest.approx(100, rel=0.25)  # log-evenly
    assert 2 <= min(p["read_sigma"] for p in found) < 2.1
    assert PoissonGamma(30, 5).photons == (30, 30)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"photons": 0}, r"PoissonGamma.photons is 0, allowed are 0.1 to 1e\+06"),
        ({"photons": (50, 20)}, r"photons is \(50, 20\): reversed"),
        ({"read_sigma": -1}, "read_sigma is -1, allowed are 0 to 255"),
        ({"photon": 20}, "no option photon .* did you mean photons"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        PoissonGamma(**options)


def test_a_float_image_outside_the_unit_range_is_refused() -> None:
    volume = np.full((2, 3, 3), 2, np.float32)
    with pytest.raises(OptionError, match=r"PoissonGamma.*\[2, 2\]"):
        PoissonGamma().apply(volume, drawn(PoissonGamma(), volume.shape))
