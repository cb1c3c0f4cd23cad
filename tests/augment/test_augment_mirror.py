"""The flips averaged at test time: a group of eight."""

import numpy as np
import pytest

from stallscan.augment import FLIPS, mirrored

ARRAY = np.random.default_rng(0).standard_normal((2, 5, 6, 6)).astype(np.float32)


def test_there_are_eight_flips_the_plain_one_first() -> None:
    assert len(FLIPS) == len(set(FLIPS)) == 8
    assert FLIPS[0] == ()
    assert len({mirrored(ARRAY, axes).tobytes() for axes in FLIPS}) == 8


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_the_first_flips_are_closed_under_composition(count: int) -> None:
    """Of the first 1, 2, 4 and 8, each after each is one of them: the average is symmetric."""
    first = {mirrored(ARRAY, axes).tobytes() for axes in FLIPS[:count]}
    for a in FLIPS[:count]:
        for b in FLIPS[:count]:
            assert mirrored(mirrored(ARRAY, a), b).tobytes() in first


def test_time_is_reversed_in_the_last_four_only() -> None:
    assert [-3 in axes for axes in FLIPS] == [False] * 4 + [True] * 4


@pytest.mark.parametrize("axes", FLIPS)
def test_each_is_its_own_inverse_and_leaves_the_channels(axes: tuple[int, ...]) -> None:
    np.testing.assert_array_equal(mirrored(mirrored(ARRAY, axes), axes), ARRAY)
    channels = np.arange(3)[:, None, None, None] * np.ones((3, 4, 4, 4))
    np.testing.assert_array_equal(mirrored(channels, axes), channels)


def test_a_flip_mirrors_the_named_axis() -> None:
    np.testing.assert_array_equal(mirrored(ARRAY, (-3,)), ARRAY[:, ::-1])
    np.testing.assert_array_equal(mirrored(ARRAY, (-2,)), ARRAY[:, :, ::-1])
    np.testing.assert_array_equal(mirrored(ARRAY, (-1,)), ARRAY[..., ::-1])
