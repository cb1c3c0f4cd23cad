"""Flips and quarter turns: a group of eight, and an augmentation that loses no voxel."""

import numpy as np
import pytest

from stallscan.augment import FLIPS, flip, random_mirror

ARRAY = np.random.default_rng(0).standard_normal((2, 5, 6, 6)).astype(np.float32)


def test_there_are_eight_flips_the_plain_one_first() -> None:
    assert len(FLIPS) == len(set(FLIPS)) == 8
    assert FLIPS[0] == ()
    assert len({flip(ARRAY, axes).tobytes() for axes in FLIPS}) == 8


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_the_first_flips_are_closed_under_composition(count: int) -> None:
    """Of the first 1, 2, 4 and 8, each after each is one of them: the average is symmetric."""
    first = {flip(ARRAY, axes).tobytes() for axes in FLIPS[:count]}
    for a in FLIPS[:count]:
        for b in FLIPS[:count]:
            assert flip(flip(ARRAY, a), b).tobytes() in first


def test_time_is_reversed_in_the_last_four_only() -> None:
    assert [-3 in axes for axes in FLIPS] == [False] * 4 + [True] * 4


@pytest.mark.parametrize("axes", FLIPS)
def test_each_is_its_own_inverse_and_leaves_the_channels(axes: tuple[int, ...]) -> None:
    np.testing.assert_array_equal(flip(flip(ARRAY, axes), axes), ARRAY)
    channels = np.arange(3)[:, None, None, None] * np.ones((3, 4, 4, 4))
    np.testing.assert_array_equal(flip(channels, axes), channels)


def test_a_flip_mirrors_the_named_axis() -> None:
    np.testing.assert_array_equal(flip(ARRAY, (-3,)), ARRAY[:, ::-1])
    np.testing.assert_array_equal(flip(ARRAY, (-2,)), ARRAY[:, :, ::-1])
    np.testing.assert_array_equal(flip(ARRAY, (-1,)), ARRAY[..., ::-1])


def test_random_mirror_keeps_every_value_in_its_channel() -> None:
    for seed in range(20):
        found = random_mirror(ARRAY, np.random.default_rng(seed))
        assert found.shape == ARRAY.shape and found.flags.c_contiguous
        for plane, original in zip(found, ARRAY, strict=True):
            np.testing.assert_array_equal(np.sort(plane, axis=None), np.sort(original, axis=None))
        # A slice stays a slice: time is at most reversed.
        order = found.mean(axis=(0, 2, 3))
        expected = ARRAY.mean(axis=(0, 2, 3))
        forward, backward = (np.allclose(order, row) for row in (expected, expected[::-1]))
        assert forward or backward


def test_random_mirror_reaches_all_sixteen_symmetries_evenly() -> None:
    """Eight of the square, and time to and fro."""
    rng = np.random.default_rng(0)
    seen = [random_mirror(ARRAY, rng).tobytes() for _ in range(1600)]
    counts = [seen.count(image) for image in set(seen)]
    assert len(counts) == 16
    assert min(counts) > 60 and max(counts) < 145


def test_same_generator_same_mirror() -> None:
    first, again = (random_mirror(ARRAY, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
