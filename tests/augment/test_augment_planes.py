"""Crops, dropped planes, lost frames: what stays is what was there, and how much of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pulls import coordinates, drawn_as

from stallscan.augment import (
    Compose,
    RandomCropFromBorders,
    RandomDropPlane,
    RandomFrameDrop,
    Resize,
)
from stallscan.errors import OptionError


def test_a_crop_keeps_what_it_recorded_and_never_more_than_its_share() -> None:
    image = coordinates((20, 31, 40))
    crop = RandomCropFromBorders(0.3)
    seen = []
    for seed in range(300):
        found = crop(image=image, rng=seed, return_record=True)
        kept = found["record"]["drawn"]["kept"]
        (z0, z1), (y0, y1), (x0, x1) = kept
        np.testing.assert_array_equal(found["image"], image[z0:z1, y0:y1, x0:x1])
        seen.append([end for pair in kept for end in pair])
    low, high = np.min(seen, axis=0), np.max(seen, axis=0)
    np.testing.assert_array_equal(low, [0, 14, 0, 22, 0, 28])
    np.testing.assert_array_equal(high, [6, 20, 9, 31, 12, 40])
    np.testing.assert_allclose(np.mean(seen, axis=0), (low + high) / 2, atol=0.9)


def many_kept(crop: RandomCropFromBorders, shape: tuple[int, int, int]) -> Any:
    """``(99, 3, 2)`` start and stop by axis."""
    return np.array([crop.sample(np.random.default_rng(s), shape)["kept"] for s in range(99)])


def test_each_side_has_a_share_of_its_own() -> None:
    crop = RandomCropFromBorders(0.0, 0.5, None, None, 0.25, 0, 1.0)
    seen = np.array(
        [crop.sample(np.random.default_rng(s), (20, 20, 20))["kept"] for s in range(99)]
    )
    assert seen[:, 0, 0].min() == 0 and seen[:, 0, 0].max() == 10 and (seen[:, 0, 1] == 20).all()
    assert (seen[:, 1, 0] == 0).all() and seen[:, 1, 1].min() == 15
    assert (seen[:, 2, 0] == 0).all() and seen[:, 2, 1].min() == 1


def test_without_a_value_a_tenth_goes_at_most() -> None:
    crop = RandomCropFromBorders()
    seen = np.array(
        [crop.sample(np.random.default_rng(s), (30, 30, 30))["kept"] for s in range(99)]
    )
    assert seen[..., 0].max() == 3 and seen[..., 1].min() == 27


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    shape=st.tuples(*[st.integers(1, 9)] * 3),
    share=st.floats(0.01, 1),
    seed=st.integers(0, 2**32),
)
def test_something_always_stays(shape: tuple[int, int, int], share: float, seed: int) -> None:
    """Extents of one plane, shares of one: no volume is ever empty."""
    image = np.ones(shape, np.uint8)
    transforms = [
        RandomCropFromBorders(None, *[share, 1 - share] * 3),
        RandomDropPlane(share, (0, 1, 2)),
        RandomFrameDrop(share, p=1),
    ]
    for transform in transforms:
        found = transform(image=image, mask=image, rng=seed)
        assert min(found["image"].shape) >= 1
        assert found["image"].shape == found["mask"].shape


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("probability", [0.05, 0.1, 0.3])
def test_dropped_planes_are_as_many_as_said_and_the_rest_keeps_its_order(
    axis: int, probability: float
) -> None:
    shape = [6, 6, 6]
    shape[axis] = 200
    image = coordinates(shape)
    drop = RandomDropPlane(probability, (axis,))
    gone = 0
    for seed in range(100):
        found = drop(image=image, rng=seed)["image"]
        planes = np.moveaxis(found, axis, 0)[:, 0, 0, axis]
        assert (np.diff(planes) > 0).all()
        np.testing.assert_array_equal(found, np.take(image, planes.astype(int), axis))
        gone += 200 - len(planes)
    assert abs(gone / 20_000 / probability - 1) < 0.1


def test_planes_are_dropped_along_one_axis_each_drawn_alike() -> None:
    drop = RandomDropPlane(0.5, (0, 2))
    axes = [drop.sample(np.random.default_rng(s), (9, 9, 9))["axis"] for s in range(600)]
    assert set(axes) == {0, 2} and abs(axes.count(0) - 300) < 60


@pytest.mark.parametrize("probability", [0.05, 0.3, 0.6])
def test_lost_frames_repeat_the_one_before_and_are_as_many_as_said(probability: float) -> None:
    image = coordinates((201, 2, 2))
    drop = RandomFrameDrop(probability, p=1)
    lost = 0
    for seed in range(100):
        found = drop(image=image, rng=seed, return_record=True)
        frames = found["image"][:, 0, 0, 0].astype(int)
        gone = found["record"]["drawn"]["dropped"]
        assert len(frames) == 201 and 0 not in gone
        expected = np.arange(201)
        for frame in gone:
            expected[frame] = expected[frame - 1]
        np.testing.assert_array_equal(frames, expected)
        lost += len(gone)
    assert abs(lost / 20_000 / probability - 1) < 0.1


def moved(transform: Any, params: dict[str, Any], depth: int, **targets: Any) -> dict[str, Any]:
    mask = np.zeros((depth, 3, 3), np.uint8)
    record = drawn_as(transform, params, mask.shape)
    return transform.replay(record, mask=mask, **targets)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    dropped=st.sets(st.integers(1, 11), max_size=9),
    start=st.integers(0, 11),
    length=st.integers(1, 12),
    repeats=st.booleans(),
)
def test_a_box_is_the_extent_of_its_label_whatever_is_dropped_or_repeated(
    dropped: set[int], start: int, length: int, repeats: bool
) -> None:
    stop = min(start + length, 12)
    mask = np.zeros((12, 3, 3), np.uint8)
    mask[start:stop] = 1
    transform = RandomFrameDrop() if repeats else RandomDropPlane()
    params: dict[str, Any] = {"dropped": sorted(dropped)}
    if not repeats:
        params["axis"] = 0
    box = [[start, 0, 0, stop, 3, 3]]
    found = transform.replay(drawn_as(transform, params, mask.shape), mask=mask, boxes=box)
    low, high = found["boxes"][0, [0, 3]]
    shown = np.flatnonzero(found["mask"].any(axis=(1, 2)))
    if len(shown):
        assert (low, high) == (shown[0], shown[-1] + 1)
    else:
        assert low == high
    np.testing.assert_array_equal(found["boxes"][0, [1, 2, 4, 5]], [0, 0, 3, 3])


def test_points_close_up_over_gaps_and_sit_in_the_middle_of_repeats() -> None:
    points = [[z, 1, 1] for z in (0, 2, 3, 5, 2.25)]
    found = moved(RandomDropPlane(), {"axis": 0, "dropped": [1, 4]}, 7, points=points)["points"]
    np.testing.assert_allclose(found[:, 0], [0, 1, 2, 3, 1.25])
    found = moved(RandomFrameDrop(), {"dropped": [3, 4]}, 7, points=points)["points"]
    np.testing.assert_allclose(found[[0, 1, 3], 0], [0, 3, 5])
    found = moved(RandomCropFromBorders(), {"kept": [[2, 5], [0, 3], [1, 3]]}, 7, points=points)
    np.testing.assert_allclose(found["points"][:, 0], [-2, 0, 1, 3, 0.25])
    np.testing.assert_allclose(found["points"][:, 2], 0)


def test_a_box_is_cut_where_the_crop_cuts_and_empty_beyond() -> None:
    params = {"kept": [[2, 5], [0, 3], [0, 3]]}
    boxes = [[0, 0, 0, 3, 3, 3], [3, 1, 1, 7, 2, 2], [0, 0, 0, 1, 3, 3], [5, 0, 0, 7, 3, 3]]
    found = moved(RandomCropFromBorders(), params, 7, boxes=boxes)["boxes"]
    np.testing.assert_allclose(found[:2], [[0, 0, 0, 1, 3, 3], [1, 1, 1, 3, 2, 2]])
    assert (found[2:, 0] == found[2:, 3]).all()


def test_dropped_frames_then_resized_show_the_same_as_a_short_clip_resized() -> None:
    """The planner joins both; the result is that of the planes which stay."""
    image = np.random.default_rng(0).integers(0, 256, (30, 12, 13, 3), np.uint8)
    aug = Compose([RandomDropPlane(0.3), Resize((24, 9, 17))])
    for seed in range(10):
        record = aug.record(seed, image.shape)
        kept = np.delete(np.arange(30), record["drawn"][0][1]["dropped"])
        expected = Resize((24, 9, 17))(image=image[kept], rng=0)["image"]
        np.testing.assert_array_equal(aug.replay(record, image=image)["image"], expected)


@pytest.mark.parametrize("share", [0.51, -0.1, "half"])
def test_a_crop_that_leaves_nothing_is_refused(share: Any) -> None:
    with pytest.raises(OptionError, match=rf"crop_value is {share!r}, allowed are 0 to 0.5"):
        RandomCropFromBorders(share)
    with pytest.raises(OptionError, match=r"crop_1_min is 1.5, allowed are 0 to 1"):
        RandomCropFromBorders(crop_1_min=1.5)
    with pytest.raises(OptionError, match=r"crop_2_min is 0.6 and crop_2_max 0.5: together more"):
        RandomCropFromBorders(crop_2_min=0.6, crop_2_max=0.5)
