"""Frame jitter: blocks, dim frames, and one table for each frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
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

from stallscan.augment import FrameJitter
from stallscan.augment._values import look_up
from stallscan.errors import OptionError

SHAPE = (60, 4, 5)


def _gains(transform: FrameJitter, n_frames: int = 60, seed: int = 1) -> Any:
    return np.array(drawn(transform, (n_frames, 1, 1), seed)["gains"])


@every_dtype
@every_shape
def test_it_is_pure(dtype: str, shape: tuple[int, ...]) -> None:
    check_pure(FrameJitter((0.3, 3), dim_prob=0.3), noise_volume(shape, dtype))


@every_dtype
def test_every_frame_is_multiplied(dtype: str) -> None:
    volume = noise_volume((5, 9, 9, 3), dtype)
    gains = [0.0, 0.4, 1.0, 1.7, 300.0]
    found = FrameJitter().apply(volume, {"gains": gains})
    exact = volume * np.reshape(gains, (5, 1, 1, 1))
    rounding = 1e-6 if dtype == "float32" else 0.51  # float32 arithmetic
    np.testing.assert_allclose(found, np.minimum(exact, WHITE[dtype]), atol=rounding)
    assert found[2].tobytes() == volume[2].tobytes()


@pytest.mark.parametrize("n_steps", [0, 1, 4])
def test_steps_cut_the_stack_into_blocks(n_steps: int) -> None:
    for seed in range(20):
        gains = _gains(FrameJitter(n_steps=n_steps, dim_prob=0), seed=seed)
        assert len(gains) == 60
        assert np.count_nonzero(np.diff(gains)) == n_steps == len(set(gains)) - 1
        assert gains.min() >= 0.7 and gains.max() <= 1.4


def test_steps_are_anywhere() -> None:
    transform = FrameJitter(n_steps=1, dim_prob=0)
    places = {int(np.flatnonzero(np.diff(_gains(transform, 6, seed)))[0]) for seed in range(100)}
    assert places == {0, 1, 2, 3, 4}


def test_the_number_of_steps_is_drawn() -> None:
    counts = [len(set(_gains(FrameJitter(dim_prob=0), seed=seed))) - 1 for seed in range(60)]
    assert set(counts) == {1, 2, 3}


@pytest.mark.parametrize("n_frames", [1, 2, 3])
def test_few_frames_have_few_steps(n_frames: int) -> None:
    gains = _gains(FrameJitter(n_steps=9, dim_prob=0), n_frames)
    assert len(gains) == len(set(gains)) == n_frames


def test_gains_are_even_on_a_log_scale() -> None:
    rng = np.random.default_rng(0)
    transform = FrameJitter((0.25, 4), 0, dim_prob=0)
    gains = [transform.sample(rng, (1, 1, 1))["gains"][0] for _ in range(1000)]
    assert np.mean(np.log(gains)) == pytest.approx(0, abs=0.1)
    assert 0.25 <= min(gains) < 0.26 and 3.9 < max(gains) <= 4


def test_dim_frames_are_single_and_as_frequent_as_asked() -> None:
    gains = _gains(FrameJitter(1, dim_prob=0.1), 5000)
    dim = gains < 1
    assert dim.mean() == pytest.approx(0.1, abs=0.017)  # 4 standard errors
    assert (dim[1:] & dim[:-1]).mean() == pytest.approx(0.01, abs=0.006)
    assert 0.3 <= gains[dim].min() < 0.32 and 0.78 < gains[dim].max() <= 0.8
    np.testing.assert_array_equal(gains[~dim], 1)


def test_a_dim_frame_keeps_the_gain_of_its_block() -> None:
    gains = _gains(FrameJitter(4, dim_prob=1), 500)
    assert 1.2 <= gains.min() < 1.3 and 3.1 < gains.max() <= 3.2


def test_all_dtypes_get_the_same_brightness() -> None:
    transform = FrameJitter((0.5, 1.8), 3, dim_prob=0.2)
    params = drawn(transform, SHAPE)
    for dtype, tolerance in (("uint8", 0.51), ("uint16", 0.01), ("float32", 1e-3)):
        found = in_greys(transform.apply(even_volume(SHAPE, dtype, 90), params))
        expected = np.array(params["gains"]) * 90
        np.testing.assert_allclose(found.mean(axis=(1, 2)), expected, atol=tolerance)


def test_the_table_is_what_apply_does() -> None:
    volume = noise_volume((12, 9, 9, 3), "uint8")
    for seed in range(5):
        transform = FrameJitter((0.2, 5), dim_prob=0.3)
        params = drawn(transform, volume.shape, seed)
        table = transform.table(params, 12)
        assert table.shape == (12, 256) and table.dtype == np.uint8
        found = transform.apply(volume, params)
        np.testing.assert_array_equal(found, look_up(volume, table))


def test_gains_of_another_stack_are_refused() -> None:
    with pytest.raises(OptionError, match="gains for 5 frames, the image has 6"):
        FrameJitter().apply(noise_volume((6, 3, 3), "uint8"), {"gains": [1.0] * 5})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gain_limit": (0, 2)}, r"gain_limit is \(0, 2\), allowed are 0.01 to 100"),
        ({"n_steps": (1, 2.5)}, r"n_steps is \(1, 2.5\), allowed are whole numbers"),
        ({"n_steps": -1}, "n_steps is -1"),
        ({"dim_limit": (0.5, 1.5)}, r"dim_limit is \(0.5, 1.5\), allowed are 0 to 1"),
        ({"dim_prob": 2}, "dim_prob is 2, allowed are 0 to 1"),
        ({"gain_limits": 2}, "no option gain_limits .* did you mean gain_limit"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        FrameJitter(**options)


def test_options_that_do_nothing_are_said() -> None:
    for options in ({"dim_prob": 0.0}, {"dim_limit": 1.0}):
        with pytest.warns(UserWarning, match=r"gain_limit is \(1, 1\) and no frame becomes dim"):
            FrameJitter(1, **options)  # type: ignore[arg-type]


def test_a_float_image_outside_the_unit_range_is_refused() -> None:
    with pytest.raises(OptionError, match=r"FrameJitter.*\[7, 7\]"):
        FrameJitter().apply(np.full((1, 3, 3), 7, np.float32), {"gains": [1.0]})
