"""ElasticTransform and RandomShift: strength, statistics, and what SciPy makes of their fields."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pulls import coordinates, dense, drawn_as, eroded, interpolated
from scipy.ndimage import gaussian_filter, map_coordinates

from stallscan.augment import Compose, ElasticTransform, RandomShift, Resize

SHAPE = (20, 26, 30)


def test_the_image_is_bent_by_the_smooth_field_that_was_drawn() -> None:
    elastic = ElasticTransform((0.1, 0.2), p=1)
    image = np.random.default_rng(0).random((*SHAPE, 2), np.float32)
    for seed in range(4):
        found = elastic(image=image, rng=seed, return_record=True)
        steps = elastic.steps(found["record"]["drawn"])
        places, inside = dense(steps, SHAPE)
        for channel in range(2):
            expected = interpolated(image[..., channel], places)
            np.testing.assert_allclose(found["image"][inside, channel], expected[inside], atol=1e-4)
        assert 0.7 < inside.mean() < 1
        assert (found["image"][~eroded_out(inside)] == 0).all()


def eroded_out(inside: Any) -> Any:
    """Where voxels, or those beside them, are inside."""
    return ~eroded(np.pad(~inside, 1, constant_values=True), 1)[1:-1, 1:-1, 1:-1]


def test_strength_is_what_was_drawn() -> None:
    """The greatest displacement of each axis lies between σ/8 and σ/2, about a mean of 0."""
    elastic = ElasticTransform((0.1, 0.2), p=1)
    for seed in range(10):
        params = elastic.sample(np.random.default_rng(seed), SHAPE)
        sigma, alpha = np.array(params["sigma"]), np.array(params["alpha"])
        shares = sigma / SHAPE
        assert np.ptp(shares) < 1e-12 and 0.1 <= shares[0] <= 0.2
        assert (alpha >= sigma / 8).all() and (alpha <= sigma / 2).all()
        places, _ = dense([(elastic, params)], SHAPE)
        (map_,) = elastic.map(params, SHAPE)
        assert np.abs(map_.field.mean(axis=(1, 2, 3))).max() < 1e-5
        spread = np.ptp(map_.field.reshape(3, -1), axis=1)
        # Nodes stand 1.4 % higher: what linear interpolation takes from the strength is given back.
        assert (spread > alpha).all() and (spread < 2.03 * alpha).all()
        assert places.shape == (3, *SHAPE)


@pytest.mark.parametrize("deformation", [0.05, 0.15, 0.25])
def test_the_field_is_as_strong_and_as_smooth_as_white_noise_blurred_voxel_by_voxel(
    deformation: float,
) -> None:
    """The lattice of two nodes a σ loses nothing: standard deviation and slope within 10 %."""
    elastic = ElasticTransform((deformation, deformation), p=1)
    rng = np.random.default_rng(0)
    ours, theirs = [], []
    for seed in range(25):
        params = elastic.sample(np.random.default_rng(seed), SHAPE)
        (map_,) = elastic.map(params, SHAPE)
        nodes = np.indices(SHAPE) / np.reshape(map_.spacing, (3, 1, 1, 1))
        for part, alpha in zip(map_.field, params["alpha"], strict=True):
            ours.append(map_coordinates(part, nodes, order=1, mode="nearest") / alpha)
            blurred = gaussian_filter(
                rng.random(SHAPE) * 2 - 1, params["sigma"], mode="constant", truncate=4
            )
            blurred /= np.abs(blurred).max()
            theirs.append(blurred - blurred.mean())
    for statistic in (np.std, lambda field: np.diff(field, axis=2).std() * SHAPE[2]):
        a, b = (np.mean([statistic(field) for field in fields]) for fields in (ours, theirs))
        assert abs(a / b - 1) < 0.1, (a, b)


def test_points_go_where_the_image_goes() -> None:
    """The source's places, pushed, are the voxels that show them."""
    elastic = ElasticTransform((0.1, 0.25), p=1)
    for seed in range(5):
        record = elastic.record(seed, SHAPE)
        found = elastic.replay(record, image=coordinates(SHAPE))["image"]
        last = np.array(SHAPE) - 1  # where places are those of the border, much is in one place
        inner = ((found > 1e-3) & (found < last - 1e-3)).all(axis=3)
        voxels = np.argwhere(inner)[::97]
        assert len(voxels) > 80
        sources = found[tuple(voxels.T)]
        moved = elastic.replay(record, image=found, points=sources)["points"]
        np.testing.assert_allclose(moved, voxels, atol=0.01)


def test_no_deformation_changes_no_bit() -> None:
    with pytest.warns(UserWarning, match="ElasticTransform does nothing: deformation_limits are 0"):
        elastic = ElasticTransform(0, p=1)
    image = np.random.default_rng(0).random((9, 8, 7), np.float32)
    assert elastic(image=image, rng=0)["image"].tobytes() == image.tobytes()


@pytest.mark.parametrize("shape", [(1, 8, 9), (8, 1, 9), (5, 200, 3), (2, 2, 2)])
def test_flat_and_long_volumes_bend_too(shape: tuple[int, int, int]) -> None:
    elastic = ElasticTransform((0.25, 0.25), p=1, border_mode="nearest")
    found = elastic(image=coordinates(shape), rng=1)["image"]
    assert np.isfinite(found).all()
    assert (found >= 0).all() and (found - shape <= -1 + 1e-5).all()


# --- Motion -----------------------------------------------------------------------------------


@pytest.mark.parametrize("border", ["nearest", "constant", "reflect"])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_every_frame_is_shifted_by_its_own_amount(border: str, dtype: str) -> None:
    image = np.random.default_rng(0).random((8, 20, 22)).astype(np.float32)
    image = (image * 255).astype(np.uint8) if dtype == "uint8" else image
    shift = RandomShift((1, 3), border_mode=border, p=1)
    record = shift.record(3, image.shape)
    found = shift.replay(record, image=image, mask=(image * 100).astype(int))
    mode = {"constant": "grid-constant"}.get(border, border)
    for frame, amount in enumerate(record["drawn"]["shifts"]):
        places = np.indices(image.shape[1:]) + np.reshape(amount, (2, 1, 1))
        source = image[frame].astype(float)
        expected = map_coordinates(source, places, order=1, mode=mode)
        nearest = map_coordinates((image[frame] * 100).astype(int), places, order=0, mode=border)
        inner = (slice(4, -4),) * 2 if border == "constant" else (slice(None),) * 2
        # OpenCV remaps in 1/32 of a voxel.
        limit = 255 / 32 + 1 if dtype == "uint8" else 1 / 32
        assert np.abs(found["image"][frame] - expected)[inner].max() <= limit
        np.testing.assert_array_equal(found["mask"][frame][inner], nearest[inner])


def test_points_and_boxes_move_with_their_frame() -> None:
    shift = RandomShift((2, 2), p=1)
    image = np.zeros((6, 30, 30), np.float32)
    record = shift.record(1, image.shape)
    shifts = np.array(record["drawn"]["shifts"])
    points = [[k, 15, 16] for k in range(6)]
    boxes = [[k, 14, 15, k + 1, 17, 18] for k in range(6)]
    found = shift.replay(record, image=image, points=points, boxes=boxes)
    np.testing.assert_allclose(found["points"][:, 0], np.arange(6))
    np.testing.assert_allclose(found["points"][:, 1:], np.array([[15, 16]]) - shifts)
    for k, box in enumerate(found["boxes"]):
        assert (box[[0, 3]] == (k, k + 1)).all()
        assert (box[1:3] <= np.array([14, 15]) - shifts[k] + 1e-9).all()
        assert (box[4:] >= np.array([17, 18]) - shifts[k] - 1e-9).all()


@pytest.mark.parametrize("memory", [0.0, 0.5, 0.9])
def test_shifts_have_the_deviation_drawn_and_the_memory_given(memory: float) -> None:
    shift = RandomShift((1.5, 1.5), memory, p=1)
    shifts = np.concatenate(
        [shift.sample(np.random.default_rng(s), (300, 9, 9))["shifts"] for s in range(40)]
    )
    assert abs(shifts.std() / 1.5 - 1) < 0.1 and np.abs(shifts.mean()) < 0.15
    runs = shifts.reshape(40, 300, 2)
    pairs = np.corrcoef(runs[:, 1:].ravel(), runs[:, :-1].ravel())[0, 1]
    assert abs(pairs - memory) < 0.03
    assert abs(np.corrcoef(shifts.T)[0, 1]) < 0.1


def test_whole_shifts_move_whole_voxels_and_none_changes_no_bit() -> None:
    image = np.random.default_rng(0).integers(0, 256, (3, 9, 8, 2), np.uint8)
    shift = RandomShift(1, border_mode="constant", p=1)
    params = {"shifts": [[0.0, 0.0], [2.0, -1.0], [-1.0, 3.0]]}
    found = shift.replay(drawn_as(shift, params, image.shape), image=image)["image"]
    np.testing.assert_array_equal(found[0], image[0])
    np.testing.assert_array_equal(found[1, :-2, 1:], image[1, 2:, :-1])
    np.testing.assert_array_equal(found[2, 1:, :-3], image[2, :-1, 3:])
    assert not found[1, -2:].any() and not found[2, 0].any() and not found[2, :, -3:].any()
    still = drawn_as(shift, {"shifts": [[0.0, 0.0]] * 3}, image.shape)
    assert shift.replay(still, image=image)["image"].tobytes() == image.tobytes()


def test_a_box_sees_frames_that_a_resize_has_put_between() -> None:
    aug = Compose([Resize((40, 40, 40)), RandomShift((3, 3), memory=0, p=1)])
    label = np.zeros((20, 40, 40), np.uint8)
    label[4:16, 15:25, 15:25] = 1
    for seed in range(5):
        out = aug(mask=label, boxes=[[4, 15, 15, 16, 25, 25]], rng=seed)
        held = np.argwhere(out["mask"])
        (box,) = out["boxes"]
        assert (held.min(axis=0) >= box[:3] - 0.5).all()
        assert (held.max(axis=0) + 1 <= box[3:6] + 0.5).all()
