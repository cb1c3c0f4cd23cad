"""Gamma: the closed form, its table, and no stretching unless asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pixel_volumes import WHITE, check_pure, drawn, every_dtype, every_shape, noise_volume

from stallscan.augment import RandomGamma
from stallscan.augment._values import look_up
from stallscan.errors import OptionError

SHAPE = (4, 9, 10, 3)


@every_dtype
@every_shape
@pytest.mark.parametrize("stretch", [False, True])
def test_it_is_pure(dtype: str, shape: tuple[int, ...], stretch: bool) -> None:
    check_pure(RandomGamma((50, 150), stretch=stretch), noise_volume(shape, dtype))


@every_dtype
@pytest.mark.parametrize("gamma", [0.1, 0.5, 0.83, 1.5, 4.0])
def test_the_closed_form(dtype: str, gamma: float) -> None:
    volume, white = noise_volume(SHAPE, dtype), WHITE[dtype]
    found = RandomGamma().apply(volume, {"gamma": gamma})
    expected = (volume.astype(np.float64) / white) ** gamma * white
    rounding = 1e-6 if dtype == "float32" else 0.5
    np.testing.assert_allclose(found, expected, atol=rounding)
    for end in (0, white):
        assert (volume == end).any()
        np.testing.assert_array_equal(found[volume == end], end)


@every_dtype
def test_100_percent_changes_no_bit(dtype: str) -> None:
    volume = noise_volume(SHAPE, dtype)
    assert RandomGamma().apply(volume, {"gamma": 1.0}).tobytes() == volume.tobytes()


def test_contrast_is_not_stretched() -> None:
    """A dull volume keeps its place between black and white (the competition code: 0–255)."""
    volume = np.random.default_rng(0).integers(90, 111, (3, 9, 9)).astype(np.uint8)
    found = RandomGamma().apply(volume, {"gamma": 0.5})
    assert found.min() == round(255 * (90 / 255) ** 0.5)
    assert found.max() == round(255 * (110 / 255) ** 0.5)


@every_dtype
def test_stretching_is_that_of_the_competition_code(dtype: str) -> None:
    white = WHITE[dtype]
    volume = noise_volume(SHAPE, dtype) // (1 if dtype == "float32" else 3)
    volume = (volume * 0.4 + 0.2).astype(dtype) if dtype == "float32" else volume + white // 9
    volume = volume.astype(dtype)
    low, high = float(volume.min()), float(volume.max())
    expected = ((volume.astype(np.float64) - low) / (high - low)) ** 0.7 * white
    found = RandomGamma(stretch=True).apply(volume, {"gamma": 0.7})
    np.testing.assert_allclose(found, expected, atol=1e-6 if dtype == "float32" else 0.5)
    assert (found.min(), found.max()) == (0, white)
    assert low > 0 and high < white


@every_dtype
@pytest.mark.parametrize("stretch", [False, True])
def test_a_constant_volume_stays_finite(dtype: str, stretch: bool) -> None:
    for value in (0, WHITE[dtype]):
        volume = np.full(SHAPE, value, dtype)
        found = RandomGamma(stretch=stretch).apply(volume, {"gamma": 0.5})
        np.testing.assert_array_equal(found, volume)


def test_the_table_is_what_apply_does() -> None:
    volume = noise_volume(SHAPE, "uint8")
    for seed in range(5):
        params = drawn(RandomGamma((20, 300)), SHAPE, seed)
        table = RandomGamma().table(params, len(volume))
        assert table is not None and table.shape == (256,) and table.dtype == np.uint8
        assert (np.diff(table.astype(int)) >= 0).all()
        found = RandomGamma().apply(volume, params)
        np.testing.assert_array_equal(found, look_up(volume, table))
        np.testing.assert_array_equal(found, table[volume])
    assert RandomGamma(stretch=True).table(params, len(volume)) is None


def test_percent_are_drawn_evenly() -> None:
    rng = np.random.default_rng(0)
    gammas = [RandomGamma((50, 150)).sample(rng, (1, 1, 1))["gamma"] for _ in range(500)]
    assert 0.5 <= min(gammas) < 0.51 and 1.49 < max(gammas) <= 1.5
    assert np.mean(gammas) == pytest.approx(1, abs=0.05)
    assert RandomGamma(130).gamma_limit == (130, 130)


@pytest.mark.parametrize("limit", [(0.5, 1.5), (0, 9.9), 1.2])
def test_factors_are_refused_with_the_remedy(limit: Any) -> None:
    with pytest.raises(OptionError, match=r"in percent: \(50, 150\) for 0.5 to 1.5") as error:
        RandomGamma(limit)
    assert str(limit) in str(error.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gamma_limit": (-20, 20)}, r"gamma_limit is \(-20.*allowed are 1 to 1000"),
        ({"gamma_limit": (150, 50)}, r"gamma_limit is \(150, 50\): reversed"),
        ({"stretch": "yes"}, "stretch is 'yes'"),
        ({"gamma": (80, 120)}, "no option gamma .* did you mean gamma_limit"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        RandomGamma(**options)


def test_options_that_do_nothing_are_said() -> None:
    with pytest.warns(UserWarning, match=r"gamma_limit is \(100, 100\) percent"):
        RandomGamma((100, 100))
    with pytest.warns(UserWarning, match="eps has no effect"):
        RandomGamma((80, 120), 1e-7)


def test_a_float_image_outside_the_unit_range_is_refused() -> None:
    """Volumentations gives NaN below 0."""
    volume = np.full((2, 3, 3), -0.25, np.float32)
    with pytest.raises(OptionError, match=r"RandomGamma.*\[-0.25, -0.25\]"):
        RandomGamma().apply(volume, {"gamma": 0.5})


def test_the_order_is_that_of_volumentations() -> None:
    transform = RandomGamma((90, 110), None, True, 0.25)
    assert (transform.always_apply, transform.p) == (True, 0.25)
