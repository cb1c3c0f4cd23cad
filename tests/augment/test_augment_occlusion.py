"""Random boxes and polygons: where they lie, how large they are, and what stays to be seen."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pixel_volumes import check_pure, drawn, every_dtype, every_shape, noise_volume
from scipy.ndimage import binary_dilation, binary_erosion
from skimage.draw import polygon2mask

from stallscan.augment import CoarseDropout, Compose, Flip, RandomOcclusion
from stallscan.augment._dropout import Dropout
from stallscan.augment._scene import Scene
from stallscan.augment.random_occlusion import _Target
from stallscan.errors import OptionError

SHAPE = (20, 30, 40)
KINDS: list[Dropout] = [CoarseDropout(), RandomOcclusion()]


def covered(transform: Dropout, params: dict[str, Any], shape: tuple[int, ...] = SHAPE) -> Any:
    return transform.apply(np.ones(shape, np.uint8), params) == 0


def vessel(shape: tuple[int, ...] = SHAPE) -> NDArray[np.uint8]:
    """A bar across the frame, on all frames."""
    mask = np.zeros(shape, np.uint8)
    mask[:, shape[1] // 2 - 3 : shape[1] // 2 + 3, 4:-4] = 7
    return mask


@every_dtype
@every_shape
@pytest.mark.parametrize("transform", KINDS)
def test_they_are_pure(dtype: str, shape: tuple[int, ...], transform: Dropout) -> None:
    check_pure(transform, noise_volume(shape, dtype))


@pytest.mark.parametrize("kind", [CoarseDropout, RandomOcclusion])
@pytest.mark.parametrize(("dtype", "fill"), [("uint8", 200), ("uint16", 999), ("float32", 0.5)])
def test_what_is_covered_holds_the_fill_in_all_channels_and_the_rest_stays(
    kind: type, dtype: str, fill: float
) -> None:
    volume = noise_volume((*SHAPE, 3), dtype)
    mask = np.random.default_rng(0).integers(1, 5, SHAPE)
    transform = kind(fill_value=fill, mask_fill_value=0)
    params = drawn(transform, SHAPE, 3)
    where = covered(kind(), params)
    assert 0 < where.mean() < 0.7
    found = transform.apply(volume, params)
    np.testing.assert_array_equal(found[where], np.array(fill, dtype))
    np.testing.assert_array_equal(found[~where], volume[~where])
    np.testing.assert_array_equal(transform.apply_to_mask(mask, params) == 0, where)
    kept = kind().apply_to_mask(mask, params)
    np.testing.assert_array_equal(kept, mask)
    assert not np.may_share_memory(kept, mask)


@pytest.mark.parametrize("kind", [CoarseDropout, RandomOcclusion])
def test_a_value_that_the_target_cannot_hold_is_refused(kind: type) -> None:
    made = kind(fill_value=256, mask_fill_value=-1)
    params = drawn(made, SHAPE)
    with pytest.raises(OptionError, match=f"{kind.__name__}.fill_value is 256.*no uint8 value"):
        made.apply(np.zeros(SHAPE, np.uint8), params)
    with pytest.raises(OptionError, match=f"{kind.__name__}.mask_fill_value is -1.*no bool value"):
        made.apply_to_mask(np.zeros(SHAPE, bool), params)


# Boxes


def test_boxes_have_the_extents_asked_for_and_lie_anywhere_inside() -> None:
    transform = CoarseDropout((1, 3), (0.1, 0.3), 0.5, (0.2, 1.0))
    holes = [drawn(transform, SHAPE, seed)["holes"] for seed in range(300)]
    assert {len(found) for found in holes} == {1, 2, 3}
    assert all(75 < n < 125 for n in np.bincount([len(found) for found in holes])[1:])
    boxes = np.array([hole for found in holes for hole in found])  # (n, 3, 2)
    size = boxes[..., 1] - boxes[..., 0]
    assert (boxes[..., 0] >= 0).all() and (boxes[..., 1] <= np.array(SHAPE)).all()
    assert (size[:, 0].min(), size[:, 0].max()) == (2, 6)
    assert set(size[:, 1]) == {15}
    assert (size[:, 2].min(), size[:, 2].max()) == (8, 40)
    assert set(boxes[:, 1, 0]) == set(range(16))  # every start, first and last too
    assert np.ptp(np.bincount(boxes[:, 1, 0])) < 45


def test_the_smallest_box_is_a_voxel_and_the_largest_the_volume() -> None:
    one = covered(CoarseDropout(), drawn(CoarseDropout(1, 0, 0, 0), SHAPE))
    assert one.sum() == 1
    assert covered(CoarseDropout(), drawn(CoarseDropout(1, 1, 1, 1), SHAPE)).all()


# Polygons


def test_polygons_are_filled_as_another_library_fills_them() -> None:
    transform = RandomOcclusion(1, (0.2, 0.6))
    for seed in range(30):
        params = drawn(transform, SHAPE, seed)
        (polygon,) = params["polygons"]
        where, (first, last) = covered(transform, params), polygon["frames"]
        assert not where[:first].any() and not where[last:].any()
        assert (where[first:last] == where[first]).all()
        other = polygon2mask(SHAPE[1:], np.array(polygon["corners"]))
        assert not (binary_erosion(other) & ~where[first]).any()
        beyond = where[first] & ~binary_dilation(other, np.ones((3, 3)))
        assert beyond.sum() <= 3  # tips thinner than a voxel, which the other leaves out


def test_corners_lie_around_a_place_anywhere_in_the_frame() -> None:
    transform = RandomOcclusion(1, (0.25, 0.25))
    corners = np.array(
        [drawn(transform, SHAPE, seed)["polygons"][0]["corners"] for seed in range(400)]
    )
    assert corners.shape == (400, 8, 2)
    centre = np.array(
        [np.linalg.lstsq(2 * (c - c[0])[1:], _power(c), rcond=None)[0] for c in corners]
    )
    radius = np.linalg.norm(corners - centre[:, None], axis=-1)
    np.testing.assert_allclose(radius, 0.25 * 30, atol=1e-3)  # of the shorter side
    for axis, extent in ((0, 30), (1, 40)):
        assert -0.5 <= centre[:, axis].min() < 1 and extent - 2 < centre[:, axis].max() < extent
        assert centre[:, axis].mean() == pytest.approx((extent - 1) / 2, rel=0.1)


def _power(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Right side of the equations that the centre of a circle through corners solves."""
    squares = (corners**2).sum(axis=1)
    return (squares - squares[0])[1:]


def test_on_all_frames_or_on_a_run_of_a_quarter_at_least() -> None:
    transform = RandomOcclusion(1, all_frames_prob=0.6)
    runs = np.array([drawn(transform, SHAPE, s)["polygons"][0]["frames"] for s in range(500)])
    lengths = runs[:, 1] - runs[:, 0]
    assert runs.min() == 0 and runs.max() == 20 and lengths.min() == 5
    assert (lengths == 20).mean() == pytest.approx(0.6 + 0.4 / 16, abs=0.06)
    short = runs[lengths < 12]
    assert (short[:, 0] == 0).mean() < 0.3 and (short[:, 1] == 20).mean() < 0.3


@pytest.mark.parametrize("max_cover", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("channels", [(), (2,)])
def test_no_more_of_the_mask_is_covered(max_cover: float, channels: tuple[int, ...]) -> None:
    mask = np.repeat(vessel()[..., None], 2, axis=3) if channels else vessel()
    if channels:
        mask[..., 1] = 0  # a voxel is the target's if one channel says so
    transform = RandomOcclusion((1, 3), (0.2, 0.8), max_cover=max_cover, p=1)
    shares, areas = [], []
    for seed in range(40):
        found = transform(image=np.ones(SHAPE, np.uint8), mask=mask, rng=seed)["image"] == 0
        shares.append(found[vessel() > 0].mean())
        areas.append(found.mean())
    assert max(shares) <= max_cover
    assert max_cover == 0 or max(shares) > 0.6 * max_cover
    assert np.mean(areas) > 0.03  # beside the target there is room


def test_without_a_mask_there_is_nothing_to_heed() -> None:
    transform = RandomOcclusion(1, (0.5, 0.9), max_cover=0.01, p=1)
    seen = [covered(transform, drawn(transform, SHAPE, seed)) for seed in range(20)]
    assert np.mean([found[vessel() > 0].mean() for found in seen]) > 0.2
    empty = transform(image=np.ones(SHAPE, np.uint8), mask=np.zeros(SHAPE, bool), rng=0)["image"]
    assert (empty == 0).mean() > 0.1
    rng = [np.random.default_rng(4) for _ in range(2)]
    assert transform.sample(rng[0], SHAPE) == transform.look(rng[1], Scene(SHAPE))


def test_where_the_mask_is_everywhere_the_polygon_shrinks() -> None:
    transform = RandomOcclusion(1, (0.6, 0.6), all_frames_prob=1, max_cover=0.1, p=1)
    volume, everywhere = np.ones(SHAPE, np.uint8), np.ones(SHAPE, np.uint8)
    shares = [
        (transform(image=volume, mask=everywhere, rng=seed)["image"] == 0).mean()
        for seed in range(20)
    ]
    assert max(shares) <= 0.1 and min(shares) > 0.01
    none = RandomOcclusion(2, max_cover=0, p=1)(image=volume, mask=everywhere, rng=0)
    assert none["image"].all()


def test_what_two_polygons_cover_counts_once() -> None:
    corners = [[0, 0], [0, 11], [29, 11], [29, 0]]  # 12 columns of 40
    target = _Target(np.ones(SHAPE, bool), max_cover=0.35)
    assert target.may_be_under({"corners": corners, "frames": [0, 20]})
    assert target.may_be_under({"corners": corners, "frames": [5, 20]})
    moved = [[y, x + 10] for y, x in corners]
    assert not target.may_be_under({"corners": moved, "frames": [0, 20]})
    assert target.may_be_under({"corners": moved, "frames": [0, 3]})


def test_the_mask_is_seen_as_it_is_by_then() -> None:
    """Mirrored first: what is heeded is the mirrored target."""
    mask = np.zeros(SHAPE, np.uint8)
    mask[:, :, :12] = 1
    aug = Compose([Flip(2, p=1), RandomOcclusion(3, (0.2, 0.5), max_cover=0.0, p=1)])
    beside = 0
    for seed in range(10):
        found = aug(image=np.ones(SHAPE, np.uint8), mask=mask, rng=seed)
        assert found["image"][found["mask"] == 1].all()
        beside += int((found["image"][found["mask"] == 0] == 0).sum())
    assert beside > 1000


def test_a_record_drawn_with_the_mask_replays_without_it() -> None:
    transform = RandomOcclusion((2, 3), max_cover=0.2, p=1)
    volume = noise_volume(SHAPE, "uint8")
    made = transform(image=volume, mask=vessel(), rng=5, return_record=True)
    again = transform.replay(made["record"], image=volume)
    np.testing.assert_array_equal(again["image"], made["image"])
    assert transform.record(5, SHAPE, mask=vessel()) == made["record"]


# Bad arguments

OPTIONS: list[tuple[type, dict[str, Any], str]] = [
    (CoarseDropout, {"n_holes": -1}, "n_holes is -1, allowed are 0 to"),
    (CoarseDropout, {"n_holes": (1, 2.5)}, r"n_holes is \(1, 2.5\), allowed are whole numbers"),
    (CoarseDropout, {"depth_limit": 1.1}, "depth_limit is 1.1, allowed are 0 to 1"),
    (CoarseDropout, {"height_limit": (0.3, 0.1)}, r"height_limit is \(0.3, 0.1\): reversed"),
    (CoarseDropout, {"width_limit": None}, "width_limit is None, allowed are a number or"),
    (CoarseDropout, {"fill_value": None}, "fill_value is None, allowed are"),
    (CoarseDropout, {"mask_fill_value": "0"}, "mask_fill_value is '0', allowed are"),
    (RandomOcclusion, {"n_polygons": 1.5}, "n_polygons is 1.5, allowed are whole numbers"),
    (RandomOcclusion, {"radius_limit": -0.1}, "radius_limit is -0.1, allowed are 0 to 10"),
    (RandomOcclusion, {"all_frames_prob": 2}, "all_frames_prob is 2, allowed are 0 to 1"),
    (RandomOcclusion, {"max_cover": 1.5}, "max_cover is 1.5, allowed are 0 to 1"),
    (RandomOcclusion, {"fill_value": "black"}, "fill_value is 'black', allowed are"),
]


@pytest.mark.parametrize(("kind", "options", "message"), OPTIONS)
def test_wrong_options_are_named(kind: type, options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=f"{kind.__name__}.{message}"):
        kind(**options)


def test_sensible_ones_do_not_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        CoarseDropout((0, 2))
        RandomOcclusion((0, 1), max_cover=1)
