"""Crops of a size: where they lie, how often, what they refuse, and what they look at."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from pulls import coordinates, dense, interpolated, n_stages, pipeline

from stallscan.augment import (
    CenterCrop,
    Compose,
    CropNonEmptyMaskIfExists,
    Flip,
    OneOf,
    RandomCrop,
    RandomDropPlane,
    RandomResizedCrop,
    RemoveEmptyBorder,
    ResizedCropNonEmptyMaskIfExists,
    Rotate,
    Transpose,
)
from stallscan.augment._cut import start_around
from stallscan.errors import OptionError

SHAPE = (9, 12, 15)
CROPS = (RandomCrop, CenterCrop, CropNonEmptyMaskIfExists)


def starts(crop: Any, n: int, shape: tuple[int, ...] = SHAPE, **targets: Any) -> Any:
    """``(n, 3)`` where the boxes of n draws begin."""
    rng = np.random.default_rng(0)
    return np.array([crop.record(rng, shape, **targets)["drawn"]["start"] for _ in range(n)])


# --- Of a given shape -------------------------------------------------------------------------


def test_a_random_crop_lies_anywhere_alike_often_and_holds_what_lies_there() -> None:
    crop, image = RandomCrop((8, 10, None)), coordinates(SHAPE)
    found = starts(crop, 600)
    places, counts = np.unique(found, axis=0, return_counts=True)
    expected = [[z, y, 0] for z in range(2) for y in range(3)]
    np.testing.assert_array_equal(places, expected)
    assert counts.min() > 70 and counts.max() < 130
    for seed in range(10):
        made = crop(image=image, rng=seed, return_record=True)
        z, y, _ = made["record"]["drawn"]["start"]
        np.testing.assert_array_equal(made["image"], image[z : z + 8, y : y + 10])


@pytest.mark.parametrize(("extent", "size", "start"), [(9, 4, 2), (9, 5, 2), (8, 3, 2), (8, 8, 0)])
def test_a_centre_crop_loses_the_odd_plane_at_the_end(extent: int, size: int, start: int) -> None:
    image = coordinates((extent, 3, 3))
    found = CenterCrop((size, None, None))(image=image)["image"]
    np.testing.assert_array_equal(found, image[start : start + size])


@pytest.mark.parametrize("kind", CROPS)
def test_a_shape_greater_than_the_volume_is_refused_unless_it_may_be_padded(kind: Any) -> None:
    image = np.ones(SHAPE, np.uint8)
    message = (
        rf"{kind.__name__}.shape is \(10, 5, None\), the volume has only \(9, 12, 15\); give "
        "pad_if_needed=True"
    )
    with pytest.raises(OptionError, match=message):
        kind((10, 5, None))(image=image, mask=image, rng=0)
    crop = kind((12, 5, None), pad_if_needed=True, value=7, mask_value=3)
    found = crop(image=image, mask=image, rng=0)
    for key, value in (("image", 7), ("mask", 3)):
        expected = np.pad(image[:, :5], ((1, 2), (0, 0), (0, 0)), constant_values=value)
        np.testing.assert_array_equal(found[key], expected)  # the volume in the middle
    mirrored = kind((12, 5, None), pad_if_needed=True, border_mode="reflect")(image=image, rng=0)
    assert (mirrored["image"] == 1).all()


def test_two_crops_a_flip_and_a_padding_are_one_pass() -> None:
    crop = RandomCrop((8, 9, 20), pad_if_needed=True)
    aug = pipeline(CenterCrop((None, 10, 11)), crop, Flip(p=1), CenterCrop((4, 4, 15)))
    assert n_stages(aug, aug.record(0, SHAPE)) == 1
    record = aug.record(0, SHAPE)
    places, inside = dense(aug.steps(record["drawn"])[:2], SHAPE)
    found = pipeline(*aug.transforms[:2]).replay(
        {**record, "applied": record["applied"][:2], "drawn": record["drawn"][:2]},
        image=coordinates(SHAPE) + 1,
    )["image"]
    np.testing.assert_array_equal(found[inside], np.moveaxis(places, 0, -1)[inside] + 1)
    assert (found[~inside] == 0).all() and not inside.all()


# --- Where the mask is ------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float32"])
def test_a_box_holds_a_voxel_of_the_mask_each_alike_often_anywhere_in_it(dtype: str) -> None:
    """The voxels are in different frames, and as many draws fall on each."""
    mask = np.zeros(SHAPE, dtype)
    voxels = np.array([(2, 5, 5), (2, 6, 9), (5, 7, 4)])
    mask[tuple(voxels.T)] = 1
    rng = np.random.default_rng(0)
    size = (1, 1, 1)
    hit = np.array([start_around(rng, size, SHAPE, mask) for _ in range(900)])
    places, counts = np.unique(hit, axis=0, return_counts=True)
    np.testing.assert_array_equal(places, voxels)
    assert counts.min() > 250 and counts.max() < 350

    mask[tuple(voxels[1:].T)] = 0
    found = starts(CropNonEmptyMaskIfExists((2, 3, 4)), 600, mask=mask)
    away = voxels[0] - found
    assert (away >= 0).all() and (away < (2, 3, 4)).all()
    _, counts = np.unique(away, axis=0, return_counts=True)
    assert len(counts) == 24 and counts.min() > 8 and counts.max() < 50


def test_a_box_at_the_border_is_pushed_in() -> None:
    for corner in ((0, 0, 0), (8, 11, 14), (0, 11, 7)):
        mask = np.zeros((*SHAPE, 2), bool)
        mask[(*corner, 1)] = True  # in any channel
        crop = CropNonEmptyMaskIfExists((5, 5, 5))
        for seed in range(20):
            found = crop(image=np.ones(SHAPE, np.uint8), mask=mask, rng=seed)
            assert found["mask"].any() and found["image"].shape == (5, 5, 5)
            assert (found["image"] == 1).all()  # nothing is padded


def test_without_a_mask_or_with_an_empty_one_it_is_a_random_crop() -> None:
    image, empty = np.ones(SHAPE, np.uint8), np.zeros(SHAPE, bool)
    pairs = [
        (CropNonEmptyMaskIfExists((8, 10, None)), RandomCrop((8, 10, None))),
        (ResizedCropNonEmptyMaskIfExists((4, 5, 6)), RandomResizedCrop((4, 5, 6))),
    ]
    for crop, plain in pairs:
        for seed in range(5):
            expected = plain.record(seed, SHAPE)["drawn"]
            assert crop.record(seed, SHAPE)["drawn"] == expected
            assert crop.record(seed, SHAPE, image=image, mask=empty)["drawn"] == expected


def test_a_mask_is_looked_at_as_those_before_have_made_it() -> None:
    """A flip or a transposition moves it away; a record replays without looking."""
    mask = np.zeros(SHAPE, np.uint8)
    mask[1, 2, 3] = 1
    moves = [Flip(p=1), Transpose((2, 0, 1), p=1), OneOf([Rotate((90, 90), 0, 0, p=1)], p=0.5)]
    for kind in (CropNonEmptyMaskIfExists, ResizedCropNonEmptyMaskIfExists):
        aug = Compose([*moves, kind((2, 2, 2)), Flip(0)])
        for seed in range(15):
            found = aug(image=mask, mask=mask, rng=seed, return_record=True)
            assert found["mask"].sum() >= 1
            record = json.loads(json.dumps(found["record"]))
            again = aug.replay(record, image=mask)["image"]
            np.testing.assert_array_equal(again, found["image"])


# --- Brought to a size ------------------------------------------------------------------------


def test_a_resized_crop_has_a_factor_of_the_shapes_extents_cut_at_the_volumes() -> None:
    crop = RandomResizedCrop((4, 6, 10), (0.5, 2))
    rng = np.random.default_rng(0)
    drawn = [crop.sample(rng, SHAPE) for _ in range(800)]
    sizes = np.array([one["size"] for one in drawn])
    factors = sizes[:, 1] / 6
    assert sizes.min(axis=0).tolist() == [2, 3, 5] and sizes.max(axis=0).tolist() == [8, 12, 15]
    assert np.abs(sizes[:, 0] - 4 * factors).max() <= 1
    np.testing.assert_array_equal(sizes[sizes[:, 1] > 10][:, 2], 15)
    assert 0.44 < (factors > 1.01).mean() < 0.56  # larger as often as smaller
    ends = np.array([one["start"] for one in drawn]) + sizes
    assert (ends <= SHAPE).all() and (ends.max(axis=0) == SHAPE).all()


@pytest.mark.parametrize("interpolation", [0, 1])
def test_a_resized_crop_is_the_box_read_once(interpolation: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, SHAPE).astype(np.float32)
    mask = np.arange(np.prod(SHAPE)).reshape(SHAPE)
    crop = RandomResizedCrop((5, 9, 8), (0.7, 1.3), interpolation)
    for seed in range(5):
        found = crop(image=image, mask=mask, rng=seed, return_record=True)
        record = found["record"]
        assert n_stages(crop, record) == 1 and found["image"].shape == (5, 9, 8)
        places, _ = dense([(crop, record["drawn"])], SHAPE)
        chosen = np.stack(np.unravel_index(found["mask"], SHAPE))
        assert np.abs(chosen - places).max() <= 0.5 + 1e-9
        if interpolation:
            away = found["image"] - interpolated(image, places)
            assert np.abs(away).max() < 256 / 16  # OpenCV's places
        else:
            np.testing.assert_array_equal(found["image"], image[tuple(chosen)])


def test_a_resized_crop_holds_something_of_the_mask() -> None:
    mask = np.zeros(SHAPE, bool)
    mask[7, 3:5, 12] = True
    crop = ResizedCropNonEmptyMaskIfExists((6, 8, 8), (0.3, 0.9))
    rng, seen = np.random.default_rng(0), set()
    for _ in range(60):
        drawn = crop.record(rng, SHAPE, mask=mask)["drawn"]
        box = tuple(slice(a, a + n) for a, n in zip(drawn["start"], drawn["size"], strict=True))
        assert mask[box].any()
        seen.add(tuple(drawn["start"]))
        assert crop(mask=mask, rng=rng)["mask"].shape == (6, 8, 8)
    assert len(seen) > 20


# --- Empty borders ----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("shape", [SHAPE, (*SHAPE, 3)])
def test_an_empty_border_goes_and_what_it_surrounds_stays(
    dtype: str, shape: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(0)
    for value in (0, 1):
        for _ in range(20):
            image = np.full(shape, value, dtype)
            some = rng.integers(0, SHAPE, (3, 3))
            for place in some:
                image[(*place, -1)[: len(shape)]] = 5  # in one channel
            box = tuple(slice(a, b + 1) for a, b in zip(some.min(0), some.max(0), strict=True))
            found = RemoveEmptyBorder(value)(image=image, mask=image, rng=0)
            np.testing.assert_array_equal(found["image"], image[box])
            np.testing.assert_array_equal(found["mask"], image[box])


def test_nothing_but_border_stays_as_it_is() -> None:
    image = np.full((3, 4, 5), 7, np.uint8)
    np.testing.assert_array_equal(RemoveEmptyBorder(7)(image=image)["image"], image)
    np.testing.assert_array_equal(RemoveEmptyBorder(300)(image=image)["image"], image)
    np.testing.assert_array_equal(RemoveEmptyBorder(-1)(image=image)["image"], image)


def test_the_image_is_looked_at_before_the_mask_and_one_of_them_must_be_there() -> None:
    image, mask = np.zeros((2, *SHAPE), np.uint8)
    image[2:4], mask[5:6] = 1, 1
    assert RemoveEmptyBorder()(image=image, mask=mask)["image"].shape[0] == 2
    assert RemoveEmptyBorder()(mask=mask)["mask"].shape[0] == 1
    crop = Compose([RandomDropPlane(0.3), RemoveEmptyBorder(), CenterCrop((1, 2, 2))])
    found = crop(image=image, rng=0)["image"]
    assert (found == 1).all()
    with pytest.raises(OptionError, match=r"no image and no mask to look at; give one.*image=…"):
        RemoveEmptyBorder().record(0, SHAPE)


WRONG: list[tuple[type, dict[str, Any], str]] = [
    *[
        (kind, {"shape": (3, 3)}, r"shape is \(3, 3\), allowed are three positive")
        for kind in CROPS
    ],
    *[(kind, {"shape": (3, 0, 3)}, r"shape is \(3, 0, 3\), .*None for a") for kind in CROPS],
    (RandomCrop, {"shape": 5}, "shape is 5, allowed are three positive extents"),
    (RandomCrop, {"shape": (5, 5, 5), "pad_if_needed": "yes"}, "pad_if_needed is 'yes', allowed"),
    (RandomCrop, {"shape": (5, 5, 5), "border_mode": "wrap"}, "border_mode is 'wrap', allowed"),
    (RandomCrop, {"shape": (5, 5, 5), "value": None}, "value is None, allowed"),
    (RandomResizedCrop, {"shape": (5, None, 5)}, r"shape is \(5, None, 5\), allowed are three"),
    (RandomResizedCrop, {"shape": (5, 5, 5), "scale_limit": 0}, "scale_limit is 0, allowed are"),
    (RandomResizedCrop, {"shape": (5, 5, 5), "interpolation": 6}, "interpolation is 6, allowed"),
    (RandomResizedCrop, {"shape": (5, 5, 5), "resize_type": 3}, "resize_type is 3, allowed"),
    (ResizedCropNonEmptyMaskIfExists, {"shape": (5, 5)}, r"shape is \(5, 5\), allowed"),
    (ResizedCropNonEmptyMaskIfExists, {"shape": (5, 5, 5), "scale_limit": (2, 1)}, "scale_limit"),
    (RemoveEmptyBorder, {"border_value": "black"}, "border_value is 'black', allowed"),
]


@pytest.mark.parametrize(("kind", "options", "message"), WRONG)
def test_a_wrong_option_is_refused(kind: type, options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=rf"{kind.__name__}\.{message}"):
        kind(**options)
