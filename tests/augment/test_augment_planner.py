"""The planner: one resampling for consecutive transforms, and the same as one after another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pulls import (
    coordinates,
    dense,
    drawn_as,
    eroded,
    filled,
    in_steps,
    interpolated,
    n_stages,
    pipeline,
    random_pipeline,
    smooth_volume,
)

from stallscan.augment import (
    Compose,
    CubicSymmetry,
    ElasticTransform,
    ElasticTransformPseudo2D,
    Flip,
    FrameJitter,
    GridDistortion,
    GridDropout,
    Pad,
    PadIfNeeded,
    RandomAffine,
    RandomCrop,
    RandomCropFromBorders,
    RandomDropPlane,
    RandomFrameDrop,
    RandomGamma,
    RandomResizedCrop,
    RandomRotate90,
    RandomScale,
    RandomShift,
    Resize,
    Rotate,
    RotatePseudo2D,
    TemporalCrop,
    TemporalResample,
    TimeReverse,
    Transpose,
    preset,
)

SHAPE = (16, 20, 22)
SIZE = (11, 25, 17)

ROTATE = Rotate((10, 30), 0, 0, p=1)
TILT = Rotate((10, 20), (10, 20), (10, 20), p=1)
ELASTIC = ElasticTransform((0.05, 0.1), p=1)
SHIFT = RandomShift((1, 2), border_mode="constant", p=1)
SWAP = Transpose((1, 0, 2), p=1)
CROP = RandomCropFromBorders(0.2)
DROP = RandomDropPlane(0.2, (0, 1, 2))
LOSE = RandomFrameDrop(0.2, p=1)
AFFINE = RandomAffine(15, 0.05, (0.9, 1.1), 5, spacing=(2, 0.8, 0.8), p=1)
GRID = GridDistortion(4, axes=(0, 1, 2), p=1)
BEND = ElasticTransformPseudo2D(30, 5, border_mode="constant", p=1)
SYMMETRY = CubicSymmetry()
PAD = Pad(((1, 2), (3, 0), (2, 2)))
MIRROR = Pad(2, "reflect")
SCALE = RandomScale((0.7, 1.4), per_axis=True, p=1)

STAGES = [
    ((ROTATE, ELASTIC, CROP, DROP, Resize(SIZE), Flip(p=1), RandomRotate90(p=1)), 1),
    ((Flip(p=1), CROP, SWAP, DROP, TimeReverse(p=1), RandomRotate90(p=1)), 1),
    ((Resize(SIZE), Flip(0, p=1), TILT), 1),
    ((Resize(SIZE), ROTATE, Resize((9, 30, 12)), Flip((0, 2), p=1)), 1),
    ((Resize(SIZE), CROP, Resize((9, 30, 12)), DROP, Resize(SIZE)), 1),
    ((ROTATE, SWAP, TILT, ELASTIC, SWAP, LOSE, Resize(SIZE)), 1),
    ((CROP, SHIFT, ROTATE, LOSE, Resize(SIZE), Flip(p=1)), 1),
    ((LOSE, Transpose((0, 2, 1), p=1), SHIFT, Transpose((0, 2, 1), p=1)), 1),
    ((PAD, CROP, Flip(p=1), DROP, SWAP, LOSE, RandomRotate90(p=1)), 1),
    ((CROP, PAD, ROTATE, ELASTIC, SCALE, Flip(p=1), TemporalCrop(p=1), Resize(SIZE)), 1),
    ((PAD, PadIfNeeded((40, 40, 40)), RandomCrop((None, 36, 36)), TemporalResample(p=1)), 1),
    ((SCALE, PAD, TILT, RandomResizedCrop((9, 14, 12))), 1),
    ((Pad((0, 2, 2)), SHIFT), 1),
    ((MIRROR, CROP, Flip(p=1), SCALE), 1),
    ((PAD, Rotate((10, 20), 0, 0, interpolation=3, p=1)), 1),  # whole voxels have no order
    ((SCALE, TemporalResample((0.6, 0.8), p=1), RandomResizedCrop(SIZE), Flip(p=1)), 1),
    ((PAD, CROP, PAD), 2),  # what was cropped is beyond the border
    ((PAD, Pad(1, value=9)), 2),
    ((PAD, Rotate((10, 20), 0, 0, mask_value=1, p=1)), 2),
    ((MIRROR, PAD), 2),
    ((MIRROR, MIRROR), 2),
    ((Resize(SIZE), SHIFT), 2),  # shifts stand at frames, and frames were blended
    ((AFFINE, ELASTIC, BEND, SYMMETRY, GRID, LOSE, SYMMETRY, Resize(SIZE)), 1),
    ((SYMMETRY, CROP, Resize(SIZE), RotatePseudo2D((0, 2), 20, p=1), AFFINE), 1),
    ((CROP, SHIFT, BEND, ROTATE, Flip(p=1), GRID), 1),  # a bend that leaves frames alone
    ((BEND, SWAP, TILT), 1),
    ((GRID, BEND), 2),  # lines of a grid are no smooth map
    ((BEND, SWAP, SHIFT), 2),  # seen from the side, the bend does not leave frames alone
    ((SHIFT, SWAP), 2),
    ((SHIFT, TILT), 2),
    ((PAD, SHIFT), 2),
    ((ROTATE, CROP, ROTATE), 2),  # what was cropped is beyond the border
    ((Resize(SIZE, align_corners=True), ROTATE), 2),
    ((ROTATE, RandomShift((1, 2), p=1)), 2),  # another border
    ((Resize(SIZE), Rotate((10, 20), 0, 0, interpolation=3, p=1)), 2),  # another order
    ((ROTATE, Resize(SIZE, interpolation=3)), 2),
    ((Resize(SIZE, interpolation=2), Resize((9, 30, 12), interpolation=3)), 2),
]


@pytest.mark.parametrize(("transforms", "expected"), STAGES)
def test_consecutive_transforms_become_as_few_resamplings_as_can_say_them(
    transforms: tuple[Any, ...], expected: int
) -> None:
    """And whatever their number, places are what a slow reading of the maps says."""
    aug = pipeline(*transforms)
    worst = 0.0
    for seed in range(6):
        record = aug.record(seed, SHAPE)
        assert n_stages(aug, record) <= expected
        worst = max(worst, n_stages(aug, record))
        found = aug.replay(record, image=coordinates(SHAPE) + 100)["image"] - 100
        places, inside = dense(aug.steps(record["drawn"]), SHAPE)
        inner = eroded(inside) & (found > -1).all(axis=3)
        difference = np.abs(found - np.moveaxis(places, 0, -1))[inner]
        assert inner.sum() > 50
        assert difference.mean() < 0.06
    assert worst == expected


@pytest.mark.filterwarnings("ignore:.* does nothing")
def test_what_moves_nothing_is_no_resampling() -> None:
    """Though its order and its border are others than those of what follows."""
    image = np.random.default_rng(0).random(SHAPE, np.float32)
    still = [
        Rotate(0, 0, 0, interpolation=3, border_mode="reflect", p=1),
        ElasticTransform(0, p=1),
        RandomShift(0, p=1),
    ]
    aug = pipeline(*still, SWAP, Resize(SIZE))
    record = aug.record(0, SHAPE)
    assert len(record["applied"]) == 5 and n_stages(aug, record) == 1
    expected = pipeline(SWAP, Resize(SIZE))(image=image, rng=0)["image"]
    assert aug.replay(record, image=image)["image"].tobytes() == expected.tobytes()


@pytest.mark.parametrize("border", ["nearest", "reflect"])
def test_what_continues_beyond_a_border_is_the_picture_there_not_the_source(border: str) -> None:
    """The second of two such transforms meets the border of what the first has made."""
    turns = [Rotate((20, 40), 0, 0, border_mode=border, p=1) for _ in range(2)]
    bent = ElasticTransform((0.1, 0.2), border_mode=border, p=1)
    image = smooth_volume(SHAPE)
    for transforms in (turns, [turns[0], bent], [bent, turns[0]], [Resize(SIZE), turns[0]]):
        aug = pipeline(*transforms)
        for seed in range(4):
            record = aug.record(seed, SHAPE)
            assert n_stages(aug, record) == 2
            planned = aug.replay(record, image=image)["image"]
            np.testing.assert_array_equal(planned, in_steps(aug, record, "image", image))


@pytest.mark.parametrize("name", ["mirror3", "paper", "winner_v13", "winner_v20"])
@pytest.mark.parametrize("size", [None, (24, 32, 32)])
def test_all_spatial_transforms_of_the_papers_pipelines_are_one_resampling(
    name: str, size: tuple[int, int, int] | None
) -> None:
    from stallscan.augment._transform import Spatial

    spatial = [t for t in preset(name, size).transforms if isinstance(t, Spatial)]
    assert len(spatial) >= 3
    aug = Compose(spatial)
    assert max(n_stages(aug, aug.record(seed, SHAPE)) for seed in range(100)) == 1


def test_five_hundred_random_pipelines_have_voxels_where_a_slow_reading_has_them() -> None:
    """Places within 0.06 of a voxel on average, and what is beyond a border is filled."""
    rng = np.random.default_rng(0)
    means, counts = [], []
    for seed in range(500):
        aug = random_pipeline(rng, value=-100)
        record = aug.record(seed, SHAPE)
        found = aug.replay(record, image=coordinates(SHAPE))["image"]
        places, inside = dense(aug.steps(record["drawn"]), SHAPE)
        beyond = (found < -0.01).any(axis=3)
        assert not beyond[eroded(inside)].any(), aug
        around = eroded(np.pad(~inside, 2, constant_values=True))[2:-2, 2:-2, 2:-2]
        assert beyond[around].all(), aug
        difference = np.abs(found - np.moveaxis(places, 0, -1))[eroded(inside)]
        if difference.size:
            assert difference.mean() <= 0.06 and difference.max() <= 0.8, aug
            means.append(difference.mean())
        counts.append(n_stages(aug, record))
    assert len(means) > 400 and np.mean(means) < 0.008
    assert np.mean(counts) < 1.5 and max(counts) <= 4


def test_shifted_frames_in_random_pipelines_too() -> None:
    """Looser: between two frames the shift bends, and each stage straightens the bends."""
    rng = np.random.default_rng(1)
    means = []
    for seed in range(200):
        aug = random_pipeline(rng, drops=False, shifts=True)
        record = aug.record(seed, SHAPE)
        found = aug.replay(record, image=coordinates(SHAPE) + 100)["image"] - 100
        places, inside = dense(aug.steps(record["drawn"]), SHAPE)
        inner = eroded(inside) & ~filled(aug, record)
        difference = np.abs(found - np.moveaxis(places, 0, -1))[inner]
        if difference.size:
            means.append(difference.mean())
            assert difference.mean() <= 0.3, aug
    assert len(means) > 150 and np.mean(means) < 0.02


@pytest.mark.parametrize(("sizes", "most"), [(False, 0.9), (True, 1.5)])
def test_planned_and_step_by_step_agree_on_images(sizes: bool, most: float) -> None:
    """On smooth 8-bit volumes, away from borders: 0.2 grey levels on average, and at most

    0.9; 1.5 where it is scaled again and again, which blurs step by step and not at once.
    """
    rng = np.random.default_rng(2)
    means = []
    for seed in range(150):
        aug = random_pipeline(rng, shifts=seed % 3 == 0, sizes=sizes)
        record = aug.record(seed, SHAPE)
        image = smooth_volume(SHAPE, seed)
        planned = aug.replay(record, image=image)["image"].astype(float)
        stepwise = in_steps(aug, record, "image", image)
        assert planned.shape == stepwise.shape
        inner = eroded(~filled(aug, record))
        if inner.sum() > 20:
            means.append(np.abs(planned - stepwise)[inner].mean())
            assert means[-1] <= most, aug
    assert len(means) > 100 and np.mean(means) < 0.2


def test_planned_images_are_the_source_read_once() -> None:
    """On noise, which a second interpolation would blur: SciPy at the dense places, one stage."""
    rng = np.random.default_rng(3)
    image = rng.integers(0, 256, (*SHAPE, 4), np.uint8)
    compared = 0
    for seed in range(60):
        aug = random_pipeline(rng, drops=False)
        record = aug.record(seed, SHAPE)
        if n_stages(aug, record) > 1:
            continue
        found = aug.replay(record, image=image)["image"].astype(float)
        places, inside = dense(aug.steps(record["drawn"]), SHAPE)
        inner = eroded(inside)
        if inner.sum() < 50:
            continue
        for channel in (0, 3):
            expected = interpolated(image[..., channel], places)
            difference = (found[..., channel] - expected)[inner]
            assert np.abs(difference).mean() <= 2, aug
            assert abs(difference.mean()) <= 0.3, aug
        compared += 1
    assert compared > 30


def test_planned_masks_are_the_nearest_voxel_of_the_places() -> None:
    """One label a voxel; half a voxel off at most for each resampling."""
    rng = np.random.default_rng(4)
    labels = np.arange(np.prod(SHAPE), dtype=np.int32).reshape(SHAPE)
    for seed in range(150):
        aug = random_pipeline(rng, drops=False, mask_value=-1)
        record = aug.record(seed, SHAPE)
        found = aug.replay(record, mask=labels)["mask"]
        places, inside = dense(aug.steps(record["drawn"]), SHAPE)
        inner = eroded(inside)
        assert not (found[inner] == -1).any()
        at = np.stack(np.unravel_index(np.maximum(found, 0), SHAPE))
        off = np.abs(at - places)[:, inner]
        if n_stages(aug, record) == 1 and off.size:
            assert off.max() <= 0.55, aug
        elif off.size:
            assert off.mean() < 0.6, aug


# --- Tables -----------------------------------------------------------------------------------


def test_consecutive_tables_of_values_are_exactly_those_one_after_another() -> None:
    image = np.random.default_rng(0).integers(0, 256, (9, 16, 16, 3), np.uint8)
    gamma, jitter = RandomGamma((40, 200), p=1), FrameJitter((0.5, 2), dim_prob=0.3, p=1)
    sequences = [
        (gamma, gamma),
        (gamma, jitter),
        (jitter, gamma),
        (jitter, jitter),
        (gamma, jitter, gamma, jitter, gamma),
        (gamma, GridDropout(fill_value=100, p=1), jitter, gamma),
        (jitter, Flip(0, p=1), jitter, gamma),
        (gamma, RandomCropFromBorders(0.3), jitter, gamma),
    ]
    for transforms in sequences:
        aug = pipeline(*transforms)
        for seed in range(8):
            record = aug.record(seed, image.shape)
            planned = aug.replay(record, image=image)["image"]
            np.testing.assert_array_equal(planned, in_steps(aug, record, "image", image))
            assert planned.tobytes() != image.tobytes()


def test_joined_tables_depend_on_their_order() -> None:
    """A brightness that saturates first, and one that comes after."""
    image = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    bright, dark = ({"gains": [gain]} for gain in (2.0, 0.5))
    jitter = FrameJitter(p=1)
    aug = pipeline(jitter, jitter)
    for first, second, expected in (
        (bright, dark, np.minimum(image * 2.0, 255) * 0.5),
        (dark, bright, np.rint(image * 0.5 + 1e-9) * 2),
    ):
        record = aug.record(0, image.shape)
        record["drawn"] = [[0, first], [1, second]]
        found = aug.replay(record, image=image)["image"]
        np.testing.assert_allclose(found, np.minimum(expected, 255), atol=1.01)
        one = jitter.replay(drawn_as(jitter, first, image.shape), image=image)["image"]
        two = jitter.replay(drawn_as(jitter, second, image.shape), image=one)["image"]
        np.testing.assert_array_equal(found, two)


def test_other_dtypes_go_through_values_one_after_another() -> None:
    gamma, jitter = RandomGamma((40, 200), p=1), FrameJitter((0.5, 2), p=1)
    aug = pipeline(gamma, jitter, gamma)
    for dtype, white in (("uint16", 65535), ("float32", 1)):
        image = (np.random.default_rng(0).random((5, 8, 8)) * white).astype(dtype)
        record = aug.record(0, image.shape)
        planned = aug.replay(record, image=image)["image"]
        np.testing.assert_array_equal(planned, in_steps(aug, record, "image", image))
