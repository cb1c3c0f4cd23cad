"""Image, mask, points and boxes stay together, over more than a thousand random pipelines."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pulls import coordinates, dense, drawn_as, eroded, random_pipeline
from scipy.ndimage import center_of_mass

from stallscan.augment import (
    Compose,
    FrameJitter,
    GaussianNoise,
    OneOf,
    RandomGamma,
    RandomShift,
    SomeOf,
    preset,
)

SHAPE = (20, 24, 26)
CENTRE = np.array([9.25, 11.75, 13.0])


def scene() -> dict[str, Any]:
    """A soft ball, its label, its centre, and the box that holds the label tightly."""
    radius = np.sqrt(((np.moveaxis(np.indices(SHAPE), 0, -1) - CENTRE) ** 2).sum(axis=3))
    label = (radius < 3.4).astype(np.uint8)
    held = np.argwhere(label)
    return {
        "image": np.exp(-((radius / 3) ** 2)).astype(np.float32),
        "mask": label,
        "points": [CENTRE],
        "boxes": [[*held.min(axis=0), *held.max(axis=0) + 1, 7.0]],
    }


def check_scene(found: dict[str, Any], context: Any, *, loose: bool) -> bool:
    """Whether the ball was whole enough to compare; everything is where the point says.

    Args:
        found: the targets.
        context: of the message.
        loose: planes were left out or shifted, so that the ball is no longer one.
    """
    image, mask, (point,), (box,) = (found[key] for key in ("image", "mask", "points", "boxes"))
    assert box[6] == 7
    low, high = box[:3], box[3:6]
    extents = np.array(mask.shape)
    assert (low >= 0).all() and (high <= extents).all() and (low <= high).all()
    held = np.argwhere(mask)
    if not len(held) or not image.any():
        return False
    first, last = held.min(axis=0), held.max(axis=0) + 1
    if (first < 2).any() or (last > extents - 2).any() or (last - first < 3).any():
        return False  # cut, or too thin to have a centroid
    size = last - first
    slack = 0.35 * size if loose else 0.7
    assert (np.abs(held.mean(axis=0) - point) <= slack).all(), context
    assert (np.abs(np.array(center_of_mass(image)) - point) <= slack + 0.3).all(), context
    edge = 1.0 if loose else 0.8  # labels are rounded to whole voxels, once for each resampling
    assert (first >= low - edge).all() and (last <= high + edge).all(), context
    # A box turned is wider than what it holds, but not without limit.
    assert ((high - low) <= 2.2 * size + 3).all(), context
    return True


def test_a_thousand_random_pipelines_keep_the_ball_its_label_its_centre_and_its_box() -> None:
    rng = np.random.default_rng(0)
    targets = scene()
    errors = []
    for seed in range(1000):
        # Cut and then padded, a ball would be none, and not at the border either.
        aug = random_pipeline(rng, drops=seed % 4 == 0, shifts=seed % 4 == 1, sizes=False)
        found = aug(**targets, rng=seed)
        if check_scene(found, (seed, aug), loose=seed % 4 < 2):
            errors.append(np.argwhere(found["mask"]).mean(axis=0) - found["points"][0])
    assert len(errors) > 800
    assert np.abs(np.mean(errors, axis=0)).max() < 0.03 and np.std(errors, axis=0).max() < 0.25


def test_a_box_holds_its_label_when_frames_between_its_ends_are_shifted() -> None:
    shift = RandomShift(1, p=1)
    label = np.zeros((7, 30, 30), np.uint8)
    label[1:6, 10:15, 12:17] = 1
    shifts = [[0.0, 0.0]] * 7
    shifts[2], shifts[4] = [6.0, 0.0], [0.0, -4.0]
    record = drawn_as(shift, {"shifts": shifts}, label.shape)
    found = shift.replay(record, mask=label, boxes=[[1, 10, 12, 6, 15, 17]])
    np.testing.assert_allclose(found["boxes"], [[1, 4, 12, 6, 15, 21]], atol=1e-6)
    held = np.argwhere(found["mask"])
    np.testing.assert_array_equal([*held.min(axis=0), *held.max(axis=0) + 1], found["boxes"][0])


@pytest.mark.parametrize("name", ["paper", "winner_v13", "winner_v20", "heavy", "mirror3"])
def test_presets_keep_the_ball_its_label_its_centre_and_its_box(name: str) -> None:
    aug = preset(name, (24, 28, 22))
    targets = scene()
    compared = 0
    for seed in range(100):
        found = aug(**{**targets, "image": (targets["image"] * 220).astype(np.uint8)}, rng=seed)
        assert found["image"].shape in ((24, 28, 22), (24, 22, 28)) and found["image"].dtype == "u1"
        # Values of noise are not those of the ball: its brightest part says where it is.
        found["image"] = np.where(found["image"] > 170, found["image"], 0)
        compared += check_scene(found, seed, loose=True)
    assert compared > 55


def test_every_place_in_a_volume_goes_where_its_voxel_goes() -> None:
    """Voxels that hold their own place: pushed, it must be the voxel that shows it."""
    rng = np.random.default_rng(1)
    compared, mean = 0, []
    for seed in range(300):
        aug = random_pipeline(rng, drops=False)
        record = aug.record(seed, SHAPE)
        image = coordinates(SHAPE)
        found = aug.replay(record, image=image)["image"]
        places, inside = dense(aug.steps(record["drawn"]), SHAPE)
        last = np.reshape(SHAPE, (3, 1, 1, 1)) - 1
        inner = eroded(inside & ((places > 0) & (places < last)).all(axis=0), 3)
        voxels = np.argwhere(inner)[::53]
        if not len(voxels):
            continue
        points = aug.replay(record, image=image, points=found[tuple(voxels.T)])["points"]
        off = np.abs(points - voxels)
        mean.append(off.mean())
        compared += 1
        scale = np.array(found.shape[:3]).max() / min(SHAPE)  # of an enlargement
        assert off.mean() <= 0.1 * max(scale, 1), (seed, aug)
    assert compared > 200 and np.mean(mean) < 0.02


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    shape=st.tuples(*[st.integers(1, 12)] * 3),
    channels=st.sampled_from([None, 1, 3, 5]),
    dtype=st.sampled_from(["uint8", "uint16", "float32"]),
    which=st.integers(0, 2**32),
)
def test_any_shape_comes_out_whole(
    shape: tuple[int, int, int], channels: int | None, dtype: str, which: int
) -> None:
    """Thin volumes, single voxels: extents of all targets agree, values stay in range."""
    rng = np.random.default_rng(which)
    aug = random_pipeline(rng, shifts=True)
    full = shape if channels is None else (*shape, channels)
    white = {"uint8": 255, "uint16": 65535, "float32": 1}[dtype]
    image = (rng.random(full) * white).astype(dtype)
    mask = rng.integers(1, 4, shape)
    found = aug(
        image=image, mask=mask, points=rng.random((3, 3)), boxes=[[0, 0, 0, *shape]], rng=which
    )
    assert found["image"].dtype == dtype and found["image"].shape[3:] == full[3:]
    assert found["image"].shape[:3] == found["mask"].shape
    assert found["image"].max() <= image.max() and found["image"].min() >= 0
    assert set(np.unique(found["mask"])) <= {0, *np.unique(mask)}
    assert np.isfinite(found["points"]).all()
    box = found["boxes"][0]
    assert (box[:3] >= 0).all() and (box[3:] <= found["mask"].shape).all()
    held = np.argwhere(found["mask"])
    shifted = any(isinstance(transform, RandomShift) for transform in aug.transforms)
    if len(held) and not shifted:  # the whole volume's box holds all that is left of it
        assert (held.min(axis=0) >= box[:3] - 0.76).all()
        assert (held.max(axis=0) + 1 <= box[3:] + 0.76).all()


def test_values_do_not_move_what_nested_pipelines_move() -> None:
    """Choices and values among the moves: all targets still meet the same moves."""
    rng = np.random.default_rng(2)
    compared = 0
    for seed in range(100):
        moves = [random_pipeline(rng, drops=False, sizes=False) for _ in range(3)]
        noise = [GaussianNoise((1, 4)), FrameJitter((0.9, 1.1), dim_prob=0), RandomGamma((90, 110))]
        aug = Compose(
            [
                OneOf([moves[0], moves[1]], p=1),
                SomeOf([*noise, RandomShift(0.5)], (1, 3)),
                Compose([moves[2], *noise], p=0.7),
            ]
        )
        found = aug(**scene(), rng=seed)
        found["image"] = np.where(found["image"] > 0.3, found["image"], 0)
        compared += check_scene(found, (seed, aug), loose=True)
    assert compared > 40


def test_points_that_leave_are_kept_and_empty_lists_stay_empty() -> None:
    aug = preset("winner_v20", (10, 12, 12))
    image = np.zeros((12, 14, 14), np.uint8)
    points = np.array([[0.0, 0, 0, 5], [-30, 50, 7, 6]])
    for seed in range(20):
        found = aug(image=image, points=points, boxes=[], rng=seed)
        assert found["points"].shape == (2, 4) and found["boxes"].shape == (0, 6)
        np.testing.assert_array_equal(found["points"][:, 3], [5, 6])
        assert np.abs(found["points"][1, :3]).max() > 13
        none = aug(image=image, points=np.zeros((0, 4)), rng=seed)["points"]
        assert none.shape == (0, 4)
