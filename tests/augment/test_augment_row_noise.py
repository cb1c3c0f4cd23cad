"""Row noise: the correlations measured on real videos."""

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

from stallscan.augment import RowNoise
from stallscan.errors import OptionError

SHAPE = (32, 80, 256)


def _noise(dtype: str, std: float, shape: tuple[int, ...] = SHAPE) -> NDArray[np.float64]:
    """What is added to a grey of 128, in grey levels."""
    transform = RowNoise((std, std))
    return in_greys(transform.apply(even_volume(shape, dtype, 128), drawn(transform, shape))) - 128


def _correlation(noise: NDArray[np.float64], axis: int, lag: int) -> float:
    ahead = np.take(noise, range(lag, noise.shape[axis]), axis)
    behind = np.take(noise, range(noise.shape[axis] - lag), axis)
    return float(np.corrcoef(ahead.ravel(), behind.ravel())[0, 1])


@pytest.fixture(scope="module")
def field() -> NDArray[np.float64]:
    return _noise("float32", 6.0)


@every_dtype
@every_shape
def test_it_is_pure(dtype: str, shape: tuple[int, ...]) -> None:
    check_pure(RowNoise((5, 60)), noise_volume(shape, dtype))


@pytest.mark.parametrize(("lag", "expected"), [(1, 0.87), (2, 0.61), (3, 0.36), (4, 0.21), (9, 0)])
def test_correlation_along_the_line(field: NDArray[np.float64], lag: int, expected: float) -> None:
    assert _correlation(field, 2, lag) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(("lag", "expected"), [(1, 0.23), (2, 0), (3, 0)])
def test_correlation_from_line_to_line(
    field: NDArray[np.float64], lag: int, expected: float
) -> None:
    assert _correlation(field, 1, lag) == pytest.approx(expected, abs=0.01)


def test_frames_are_independent(field: NDArray[np.float64]) -> None:
    assert _correlation(field, 0, 1) == pytest.approx(0, abs=0.01)


def test_deviation_is_even_over_the_frame(field: NDArray[np.float64]) -> None:
    """At the borders too: filtered noise must not fade in."""
    assert field.std() == pytest.approx(6, rel=0.015) and field.mean() == pytest.approx(0, abs=0.1)
    columns, lines = field.std(axis=(0, 1)), field.std(axis=(0, 2))
    assert columns.min() > 5.5 and columns.max() < 6.5  # 4 standard errors
    assert lines.min() > 5.4 and lines.max() < 6.6


def test_all_dtypes_get_the_same_noise() -> None:
    shape = (4, 20, 30)
    exact = _noise("float32", 7.0, shape)
    np.testing.assert_allclose(_noise("uint16", 7.0, shape), exact, atol=0.6 / 257)
    np.testing.assert_allclose(_noise("uint8", 7.0, shape), exact, atol=0.501)


def test_all_channels_get_the_same_noise() -> None:
    noise = _noise("uint16", 7.0, (4, 20, 30, 5))
    assert noise.std() > 3
    np.testing.assert_array_equal(noise, np.repeat(noise[..., :1], 5, axis=3))
    np.testing.assert_array_equal(noise[..., 0], _noise("uint16", 7.0, (4, 20, 30)))


@every_dtype
def test_nothing_wraps(dtype: str) -> None:
    transform = RowNoise((30, 30))
    shape = (4, 40, 60)
    for grey in (0, 255):
        found = in_greys(transform.apply(even_volume(shape, dtype, grey), drawn(transform, shape)))
        assert np.abs(found - grey).max() < 30 * 6
        assert 0.3 < (found == grey).mean() < 0.7


@every_dtype
def test_no_noise_changes_no_bit(dtype: str) -> None:
    volume = noise_volume((4, 9, 9, 3), dtype)
    found = RowNoise().apply(volume, {"std": 0.0, "noise_seed": 5})
    assert found.tobytes() == volume.tobytes()


def test_the_deviation_is_drawn_from_its_range() -> None:
    found = [drawn(RowNoise((2, 8)), SHAPE, seed)["std"] for seed in range(200)]
    assert 2 <= min(found) < 2.2 and 7.8 < max(found) <= 8
    assert RowNoise(5).std_limit == (0, 5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"std_limit": (-1, 3)}, r"RowNoise.std_limit is \(-1, 3\), allowed are 0 to 255"),
        ({"std_limit": (5, 3)}, r"std_limit is \(5, 3\): reversed"),
        ({"std_limits": 3}, "no option std_limits .* did you mean std_limit"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        RowNoise(**options)


def test_options_that_do_nothing_are_said() -> None:
    with pytest.warns(UserWarning, match=r"std_limit is \(0, 0\)"):
        RowNoise((0, 0))


def test_a_float_image_outside_the_unit_range_is_refused() -> None:
    volume = np.full((2, 3, 3), -0.5, np.float32)
    with pytest.raises(OptionError, match=r"RowNoise.*\[-0.5, -0.5\]"):
        RowNoise().apply(volume, drawn(RowNoise(), volume.shape))
