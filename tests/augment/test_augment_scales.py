"""Other scales, speeds and lengths: how much, how often, and what comes out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pulls import dense, interpolated, pipeline

from stallscan.augment import RandomScale, Resize, TemporalCrop, TemporalResample
from stallscan.augment._transform import Spatial
from stallscan.errors import OptionError

SHAPE = (20, 30, 40)


def sizes(transform: Spatial, n: int = 800, shape: tuple[int, int, int] = SHAPE) -> Any:
    """``(n, 3)`` extents that come out."""
    rng = np.random.default_rng(0)
    return np.array([transform.out_shape(transform.sample(rng, shape), shape) for _ in range(n)])


def test_one_factor_for_all_axes_half_as_often_as_twice() -> None:
    found = sizes(RandomScale((0.5, 2)))
    assert found.min(axis=0).tolist() == [10, 15, 20] and found.max(axis=0).tolist() == [40, 60, 80]
    assert np.abs(found / SHAPE - found[:, 2:] / 40).max() < 0.05
    np.testing.assert_allclose(np.log2(found[:, 2] / 40).mean(), 0, atol=0.06)
    quarters = np.histogram(np.log2(found[:, 2] / 40), bins=4, range=(-1, 1))[0]
    assert quarters.min() > 160 and quarters.max() < 240


def test_factors_of_axes_are_independent_where_it_is_asked_for() -> None:
    found = np.log2(sizes(RandomScale((0.5, 2), per_axis=True)) / SHAPE)
    correlation = np.corrcoef(found.T)[np.triu_indices(3, 1)]
    assert np.abs(correlation).max() < 0.12
    assert found.min() < -0.9 and found.max() > 0.9


def test_extents_are_the_nearest_whole_numbers_and_never_none() -> None:
    found = RandomScale(1.3, p=1)(image=np.zeros((10, 11, 12), np.uint8))["image"]
    assert found.shape == (13, 14, 16)  # 13, 14.3, 15.6
    assert RandomScale(0.01, p=1)(image=np.zeros((10, 11, 12), np.uint8))["image"].shape == (
        1,
        1,
        1,
    )
    assert TemporalResample(100, p=1)(image=np.zeros((9, 2, 2), np.uint8))["image"].shape[0] == 1


@pytest.mark.parametrize(
    "transform",
    [
        RandomScale((0.6, 1.7), per_axis=True, p=1),
        RandomScale((0.6, 1.7), 0, p=1),
        TemporalResample((0.5, 2), p=1),
        TemporalResample((0.5, 2), 0, p=1),
    ],
)
def test_the_result_is_the_source_read_between_its_outer_edges(transform: Any) -> None:
    image = np.random.default_rng(0).random((8, 9, 10), np.float32)
    labels = np.arange(image.size).reshape(image.shape)
    for seed in range(6):
        found = transform(image=image, mask=labels, rng=seed, return_record=True)
        places, _ = dense([(transform, found["record"]["drawn"])], image.shape)
        chosen = np.stack(np.unravel_index(found["mask"], image.shape))
        assert np.abs(chosen - places).max() <= 0.5 + 1e-9
        if transform.interpolation == 0:
            np.testing.assert_array_equal(found["image"], image[tuple(chosen)])
        else:
            np.testing.assert_allclose(found["image"], interpolated(image, places), atol=1 / 32)
    plane = transform.map({"factors": [2, 1, 1], "rate": 0.5}, image.shape)[0]
    assert plane.out_shape(image.shape) == (16, 9, 10)


def test_twice_as_fast_has_half_of_the_frames_as_often_as_half_as_fast_twice_as_many() -> None:
    found = sizes(TemporalResample((0.5, 2)))
    assert (found[:, 1:] == SHAPE[1:]).all()
    assert found[:, 0].min() == 10 and found[:, 0].max() == 40
    assert 0.44 < (found[:, 0] > 20).mean() < 0.56
    # A front that moves by a voxel a frame moves by two.
    front = np.zeros((20, 1, 40), np.uint8)
    for frame in range(20):
        front[frame, 0, : frame + 10] = 200
    fast = TemporalResample(2, p=1)(image=front)["image"]
    edges = (fast[:, 0].astype(float) / 200).sum(axis=1)
    np.testing.assert_allclose(np.diff(edges), 2, atol=0.05)


def test_a_resize_of_z_undoes_another_speed_and_resampling_does_not_know_the_length() -> None:
    """The difference of the two, as the documentation has it."""
    ramp = np.repeat(np.arange(0, 240, 6, dtype=np.uint8), 4).reshape(40, 2, 2)
    hurried = pipeline(TemporalResample((0.6, 1.6), p=1), Resize((40, 2, 2)))
    for seed in range(4):
        away = hurried(image=ramp, rng=seed)["image"].astype(float) - ramp
        assert np.abs(away[2:-2]).max() <= 3
    for depth in (20, 60):
        image = np.zeros((depth, 2, 2), np.uint8)
        assert TemporalResample(2, p=1)(image=image)["image"].shape[0] == depth // 2
        assert Resize((30, 2, 2))(image=image)["image"].shape[0] == 30


def test_a_run_of_frames_of_any_length_within_the_limits_anywhere() -> None:
    crop = TemporalCrop((0.5, 0.8), p=1)
    image = np.arange(20, dtype=np.uint8).repeat(6).reshape(20, 2, 3)
    rng, seen = np.random.default_rng(0), []
    for _ in range(600):
        found = crop(image=image, rng=rng)["image"][:, 0, 0]
        np.testing.assert_array_equal(np.diff(found), 1)
        seen.append((len(found), int(found[0])))
    lengths, first = np.transpose(seen)
    assert set(lengths) == set(range(10, 17))
    assert np.bincount(lengths)[11:16].min() > 60  # the outermost are drawn half as often
    assert first.min() == 0 and (first + lengths).max() == 20
    among_ten = first[lengths == 12]
    assert set(among_ten) == set(range(9))
    assert TemporalCrop(0, p=1)(image=image, rng=0)["image"].shape == (1, 2, 3)


def test_points_and_boxes_follow() -> None:
    image = np.zeros((20, 8, 10), np.uint8)
    image[10:14, 3:5, 4:6] = 200
    targets = {"points": [[11.5, 3.5, 4.5]], "boxes": [[10, 3, 4, 14, 5, 6]]}
    for aug in (RandomScale(2, p=1), TemporalResample(0.5, p=1), TemporalCrop(0.9, p=1)):
        found = aug(image=image, rng=3, **targets)
        bright = np.argwhere(found["image"] > 100)
        np.testing.assert_allclose(found["points"][0], bright.mean(axis=0), atol=0.01)
        np.testing.assert_allclose(found["boxes"][0][:3], bright.min(axis=0), atol=0.01)
        np.testing.assert_allclose(found["boxes"][0][3:], bright.max(axis=0) + 1, atol=0.01)


WRONG: list[tuple[type, dict[str, Any], str]] = [
    (RandomScale, {"scale_limit": 0}, "scale_limit is 0, allowed are 0.01 to 100"),
    (RandomScale, {"scale_limit": (-0.1, 0.1)}, r"scale_limit is \(-0.1, 0.1\), allowed are 0.01"),
    (RandomScale, {"scale_limit": (1.1, 0.9)}, "scale_limit is .*reversed"),
    (RandomScale, {"interpolation": "linear"}, "interpolation is 'linear', allowed"),
    (RandomScale, {"per_axis": 2}, "per_axis is 2, allowed are False, True"),
    (
        TemporalCrop,
        {"length_limit": (0.5, 1.1)},
        r"length_limit is \(0.5, 1.1\), allowed are 0 to 1",
    ),
    (TemporalCrop, {"length_limit": -0.5}, "length_limit is -0.5, allowed are 0 to 1"),
    (TemporalResample, {"rate_limit": 0}, "rate_limit is 0, allowed are 0.01 to 100"),
    (TemporalResample, {"rate_limit": (2, 0.5)}, "rate_limit is .*reversed"),
    (TemporalResample, {"interpolation": 7}, "interpolation is 7, allowed"),
]


@pytest.mark.parametrize(("kind", "options", "message"), WRONG)
def test_a_wrong_option_is_refused(kind: type, options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=rf"{kind.__name__}\.{message}"):
        kind(**options)
