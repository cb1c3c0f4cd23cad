"""RandomAffine, GridDistortion, RotatePseudo2D, ElasticTransformPseudo2D and CubicSymmetry."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from pulls import (
    coordinates,
    dense,
    drawn_as,
    eroded,
    interpolated,
    n_stages,
    pipeline,
    random_pipeline,
)
from scipy.ndimage import rotate
from scipy.stats import kstest

from stallscan.augment import (
    CubicSymmetry,
    ElasticTransformPseudo2D,
    GridDistortion,
    RandomAffine,
    Resize,
    RotatePseudo2D,
)
from stallscan.augment._maps import Affine
from stallscan.augment._transform import Spatial
from stallscan.errors import OptionError

SHAPE = (12, 18, 20)
NOISE = np.random.default_rng(0).random(SHAPE, np.float32)

OPTIONS: list[tuple[type[Spatial], dict[str, Any], str]] = [
    (RandomAffine, {"angle_limit": (5, -5)}, r"angle_limit is \(5, -5\): reversed"),
    (RandomAffine, {"angle_limit": (1, 2, 400)}, r"angle_limit\[2\] is 400, allowed are -360"),
    (RandomAffine, {"angle_limit": (1, (2, 1), 3)}, r"angle_limit\[1\] is \(2, 1\): reversed"),
    (RandomAffine, {"angle_limit": (1, 2, 3, 4)}, "angle_limit is .*a number or a pair"),
    (RandomAffine, {"translation_limit": 1.5}, "translation_limit is 1.5, allowed are -1 to 1"),
    (RandomAffine, {"scaling_limit": 0}, "scaling_limit is 0, allowed are 0.01 to 100"),
    (RandomAffine, {"scaling_limit": 0.5}, r"scaling_limit is 0.5: reversed; .*\(0.5, 2\)"),
    (RandomAffine, {"scaling_limit": (1, 1, -2)}, r"scaling_limit\[2\] is -2, allowed are 0.01"),
    (RandomAffine, {"shear_limit": 70}, "shear_limit is 70, allowed are -60 to 60"),
    (RandomAffine, {"spacing": (2, 1)}, r"spacing is \(2, 1\), allowed are three positive"),
    (RandomAffine, {"spacing": (2, 0, 1)}, r"spacing is \(2, 0, 1\), allowed are three positive"),
    (RandomAffine, {"spacing": 2}, "spacing is 2, allowed are three positive"),
    (RandomAffine, {"interpolation": 6}, "interpolation is 6, allowed are 0, 1"),
    (GridDistortion, {"num_steps": 0}, "num_steps is 0, allowed are 1 to"),
    (GridDistortion, {"num_steps": 2.5}, "num_steps is 2.5, allowed are whole numbers"),
    (GridDistortion, {"distort_limit": 1}, "distort_limit is 1, allowed are -0.99 to"),
    (GridDistortion, {"axes": (1, 3)}, r"axes is \(1, 3\), allowed are different axes"),
    (GridDistortion, {"border_mode": 7}, "border_mode is 7, allowed are 'constant'"),
    (GridDistortion, {"value": "black"}, "value is 'black', allowed are"),
    (GridDistortion, {"interpolation": -1}, "interpolation is -1, allowed are"),
    (RotatePseudo2D, {"axes": (0, 1, 2)}, r"axes is \(0, 1, 2\), allowed are two axes"),
    (RotatePseudo2D, {"axes": 1}, "axes is 1, allowed are different axes"),
    (RotatePseudo2D, {"limit": (90, -90)}, r"limit is \(90, -90\): reversed"),
    (RotatePseudo2D, {"limit": 400}, "limit is 400, allowed are -360 to 360"),
    (ElasticTransformPseudo2D, {"alpha": -1}, "alpha is -1, allowed are 0 to"),
    (ElasticTransformPseudo2D, {"sigma": 0}, "sigma is 0, allowed are 1 to"),
    (ElasticTransformPseudo2D, {"alpha_affine": (0, 1)}, r"alpha_affine is \(0, 1\), allowed"),
    (ElasticTransformPseudo2D, {"approximate": 3}, "approximate is 3, allowed are False, True"),
    (ElasticTransformPseudo2D, {"border_mode": 4}, "border_mode is 4, allowed are 'constant'"),
    (CubicSymmetry, {"keep_frames": "z"}, "keep_frames is 'z', allowed are False, True"),
]


@pytest.mark.parametrize(("kind", "options", "message"), OPTIONS)
def test_bad_options_are_refused_with_the_value_and_what_is_allowed(
    kind: type[Spatial], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(OptionError, match=f"{kind.__name__}.{message}"):
        kind(**options)


def test_random_pipelines_of_them_have_voxels_where_a_slow_reading_has_them() -> None:
    """Places within 0.03 of a voxel on average, and what is beyond a border is filled."""
    rng = np.random.default_rng(0)
    means, seen = [], set()
    for seed in range(200):
        aug = random_pipeline(rng, drops=False, bends=True, sizes=False, value=-100)
        record = aug.record(seed, SHAPE)
        found = aug.replay(record, image=coordinates(SHAPE))["image"]
        places, inside = dense(aug.steps(record["drawn"]), SHAPE)
        beyond = (found < -0.01).any(axis=3)
        assert not beyond[eroded(inside)].any(), aug
        difference = np.abs(found - np.moveaxis(places, 0, -1))[eroded(inside)]
        if difference.size:
            assert difference.mean() <= 0.03 and difference.max() <= 0.4, aug
            means.append(difference.mean())
            seen.update(record["applied"])
    assert len(means) > 150 and np.mean(means) < 0.006
    assert {kind.__name__ for kind, _, _ in OPTIONS} <= seen


EVERY = [
    RandomAffine(20, 0.1, (0.7, 1.3), 15, spacing=(2, 0.8, 0.7), p=1),
    RandomAffine((30, 0, 0), (0, 0.1, 0.1), (1, 1.3, 1.3), (0, 0, 20), p=1),
    GridDistortion(4, 0.6, axes=(0, 1, 2), p=1),
    GridDistortion(p=1),
    RotatePseudo2D(p=1),
    RotatePseudo2D((1, 2), p=1),
    ElasticTransformPseudo2D(30, 4, 2, border_mode="constant", p=1),
    CubicSymmetry(),
]


@pytest.mark.parametrize("transform", EVERY)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_values_and_labels_are_scipys_at_the_places_of_a_slow_reading(
    transform: Spatial, dtype: str
) -> None:
    white = {"uint8": 255, "uint16": 65535, "float32": 1}[dtype]
    image = (NOISE * white).astype(dtype)
    labels = np.arange(NOISE.size, dtype=np.int64).reshape(SHAPE) + 2**60
    record = transform.record(1, SHAPE)
    found = transform.replay(record, image=image, mask=labels)
    places, inside = dense([(transform, record["drawn"])], SHAPE)
    inner = eroded(inside, 1)
    assert inner.sum() > 200
    away = np.abs(found["image"] - interpolated(image, places))[inner] / white
    in_plane = 1.2 / 32 if not isinstance(transform, CubicSymmetry) else 0
    tolerance = {"uint8": 3 / 512 + 1 / 255, "uint16": 2e-5, "float32": 2e-5}[dtype]
    assert away.max() <= tolerance + in_plane  # OpenCV remaps planes in 1/32 of a voxel
    at = np.stack(np.unravel_index(np.clip(found["mask"] - 2**60, 0, None), SHAPE))
    assert np.abs(at - places)[:, inner].max() <= 0.501
    # What was in the source at a place goes to the voxel that shows it.
    voxels = np.argwhere(inner)[::17]
    moved = transform.replay(record, mask=labels, points=places[:, inner].T[::17])["points"]
    np.testing.assert_allclose(moved, voxels, atol=0.01)


# --- RandomAffine -----------------------------------------------------------------------------


def lengths(points: Any, spacing: tuple[float, ...]) -> Any:
    """Between all pairs of points, in µm."""
    apart = (points[:, None] - points[None]) * spacing
    return np.linalg.norm(apart, axis=2)


def test_a_turn_of_flat_voxels_keeps_lengths_in_micrometres() -> None:
    spacing = (2.0, 0.8, 0.6)
    image = np.zeros(SHAPE, np.uint8)
    points = np.random.default_rng(0).uniform(0, 12, (6, 3))
    for seed in range(5):
        turned, blind = (
            RandomAffine(40, 0.1, 1, spacing=s, p=1)(image=image, points=points, rng=seed)["points"]
            for s in (spacing, (1, 1, 1))
        )
        np.testing.assert_allclose(lengths(turned, spacing), lengths(points, spacing), atol=1e-9)
        assert np.abs(lengths(blind, spacing) - lengths(points, spacing)).max() > 1


def test_one_factor_scales_all_lengths_alike_and_above_one_is_larger() -> None:
    points = np.random.default_rng(0).uniform(2, 10, (5, 3))
    affine = RandomAffine(30, 0, (1.2, 1.5), spacing=(2, 1, 1), p=1)
    record = affine.record(0, SHAPE)
    factor = record["drawn"]["factors"][0]
    moved = affine.replay(record, image=NOISE, points=points)["points"]
    assert 1.2 <= factor <= 1.5 and record["drawn"]["factors"] == [factor] * 3
    np.testing.assert_allclose(lengths(moved, (2, 1, 1)), factor * lengths(points, (2, 1, 1)))


def test_the_centre_goes_on_by_shares_of_the_extent_and_shear_leaves_frames() -> None:
    centre = (np.array(SHAPE) - 1) / 2
    affine = RandomAffine(0, (0.1, 0.2, (-0.2, -0.1)), 1, 20, p=1)
    for seed in range(4):
        record = affine.record(seed, SHAPE)
        points = centre + np.array([[0, 0, 0], [4, 0, 0], [0, 4, 0], [0, 0, 4]])
        drawn = record["drawn"]
        moved = affine.replay(record, image=NOISE, points=points)["points"]
        start = centre + np.array(drawn["shift"]) * SHAPE
        zy, zx, yx = np.tan(np.deg2rad(drawn["shears_deg"]))
        steps = np.array([[0, 0, 0], [4, 4 * zy, 4 * zx], [0, 4, 4 * yx], [0, 0, 4]])
        np.testing.assert_allclose(moved, start + steps, atol=1e-9)


def test_ranges_are_filled_evenly_factors_in_their_logarithm() -> None:
    """By default about z to 15 degrees, about y and x to 5, and one factor for all axes."""
    rng = np.random.default_rng(0)
    drawn = [RandomAffine().sample(rng, SHAPE) for _ in range(1000)]
    angles = np.array([each["angles_deg"] for each in drawn])
    for axis, limit in enumerate((15, 5, 5)):
        assert kstest(angles[:, axis] / limit, "uniform", (-1, 2)).pvalue > 1e-3
    factors = np.log([each["factors"] for each in drawn])
    assert (np.ptp(factors, axis=1) == 0).all()
    low, high = np.log([0.9, 1.1])
    assert kstest(factors[:, 0], "uniform", (low, high - low)).pvalue > 1e-3
    assert not np.any([each["shift"] + each["shears_deg"] for each in drawn])

    each = RandomAffine(0, (0, (0.1, 0.2), 0.3), (2, (1, 3), 1), (1, 2, (3, 4)), p=1)
    assert each.scaling_limit == ((0.5, 2), (1, 3), (1, 1))
    drawn = [each.sample(rng, SHAPE) for _ in range(1000)]
    logs = np.log([one["factors"] for one in drawn])
    np.testing.assert_allclose(logs.min(axis=0), [np.log(0.5), 0, 0], atol=0.02)
    np.testing.assert_allclose(logs.max(axis=0), [np.log(2), np.log(3), 0], atol=0.02)
    assert abs(np.corrcoef(logs[:, :2].T)[0, 1]) < 0.1
    shifts, shears = (np.array([one[key] for one in drawn]) for key in ("shift", "shears_deg"))
    np.testing.assert_allclose(shifts.min(axis=0), [0, 0.1, -0.3], atol=0.01)
    np.testing.assert_allclose(shears.max(axis=0), [1, 2, 4], atol=0.02)


def test_about_z_alone_frames_stay_frames() -> None:
    """And are remapped as such: bit for bit what every frame becomes by itself."""
    affine = RandomAffine((30, 0, 0), (0, 0.2, 0.2), (1, 1.5, 1.5), (0, 0, 20), p=1)
    record = affine.record(0, SHAPE)
    (map_,) = affine.map(record["drawn"], SHAPE)
    assert isinstance(map_, Affine) and map_.keeps_frames
    found = affine.replay(record, image=NOISE)["image"]
    for frame, expected in zip(NOISE, found, strict=True):
        alone = affine.replay(drawn_as(affine, record["drawn"], (1, *SHAPE[1:])), image=frame[None])
        np.testing.assert_array_equal(alone["image"][0], expected)


# --- GridDistortion ---------------------------------------------------------------------------


def test_cells_of_drawn_widths_become_cells_of_one_width() -> None:
    grid = GridDistortion(3, p=1)
    params = {"widths": [[], [1.0, 0.5, 1.5], []]}
    shape = (2, 18, 4)
    found = grid.replay(drawn_as(grid, params, shape), image=coordinates(shape) + 0.0)["image"]
    edges_in = np.array([0, 6, 9, 18]) - 0.5
    edges_out = np.array([0, 6, 12, 18]) - 0.5
    expected = np.clip(np.interp(np.arange(18), edges_out, edges_in), 0, 17)
    np.testing.assert_allclose(found[1, :, 2, 1], expected, atol=1 / 32)
    np.testing.assert_allclose(found[..., [0, 2]], coordinates(shape)[..., [0, 2]], atol=1e-6)
    record = drawn_as(grid, params, shape)
    points = [[0, 8.5, 1], [1, 5.5, 3], [0, -3, 9], [0, 30, 0]]
    moved = grid.replay(record, image=np.zeros(shape, np.uint8), points=points)["points"]
    np.testing.assert_allclose(moved, [[0, 11.5, 1], [1, 5.5, 3], [0, -3, 9], [0, 30, 0]])


def test_nothing_from_beyond_the_border_is_shown_and_all_that_is_shown_stays() -> None:
    grid = GridDistortion(5, 0.9, axes=(0, 1, 2), p=1)
    shape = (9, 31, 40)
    for seed in range(10):
        record = grid.record(seed, shape)
        white = grid.replay(record, image=np.full(shape, 255, np.uint8))["image"]
        assert (white == 255).all()
        places, _ = dense([(grid, record["drawn"])], shape)
        for axis in range(3):
            rising = np.diff(places[axis], axis=axis)
            assert (rising >= 0).all()
            assert places[axis].min() < 1 and places[axis].max() > shape[axis] - 2


def test_widths_lie_one_plus_u_apart_on_the_axes_that_are_cut() -> None:
    rng = np.random.default_rng(0)
    for axes in ((1, 2), (0,), (2, 0)):
        grid = GridDistortion(4, (-0.2, 0.6), axes=axes, p=1)
        drawn = [grid.sample(rng, SHAPE)["widths"] for _ in range(300)]
        for axis in range(3):
            widths = np.array([each[axis] for each in drawn])
            assert widths.shape == ((300, 4) if axis in axes else (300, 0))
            if axis in axes:
                assert kstest(widths.ravel(), "uniform", (0.8, 0.8)).pvalue > 1e-3
    assert GridDistortion(3, 0.2).distort_limit == (-0.2, 0.2)


def test_it_is_called_as_volumentations_calls_it_and_is_one_resampling_with_a_resize() -> None:
    """Its border_mode is OpenCV's number, its value None."""
    grid = GridDistortion(4, 0.2, 1, 4, None, None, False, 1.0)
    assert (grid.value, grid.mask_value, grid.p) == (0, 0, 1)
    assert grid.sample(np.random.default_rng(0), SHAPE) == GridDistortion(4, 0.2).sample(
        np.random.default_rng(0), SHAPE
    )
    aug = pipeline(grid, Resize((20, 30, 40)), grid)
    assert n_stages(aug, aug.record(0, SHAPE)) == 1


# --- RotatePseudo2D ---------------------------------------------------------------------------


@pytest.mark.parametrize("axes", [(0, 1), (1, 0), (0, 2), (1, 2)])
@pytest.mark.parametrize("angle", [-70, 12, 90, 180])
def test_it_turns_as_scipy_does_in_volumentations(axes: tuple[int, int], angle: int) -> None:
    turn = RotatePseudo2D(axes, (angle, angle), border_mode="reflect", p=1)
    found = turn(image=NOISE, rng=0)["image"]
    expected = rotate(NOISE, angle, axes, reshape=False, order=1, mode="reflect")
    tolerance = 1 / 32 if 0 not in axes else 1e-4
    np.testing.assert_allclose(found, expected, atol=tolerance)


@pytest.mark.parametrize("axes", [(0, 1), (0, 2), (1, 2)])
def test_quarter_turns_are_exact(axes: tuple[int, int]) -> None:
    cube = np.random.default_rng(0).integers(0, 256, (9, 9, 9), np.uint8)
    for quarters in range(4):
        turn = RotatePseudo2D(axes, (90 * quarters, 90 * quarters), p=1) if quarters else None
        found = turn(image=cube, rng=0)["image"] if turn else cube
        np.testing.assert_array_equal(found, np.rot90(cube, quarters, axes))


def test_by_default_it_turns_z_towards_y_by_up_to_ninety_degrees() -> None:
    turn = RotatePseudo2D()
    assert (turn.axes, turn.limit) == ((0, 1), (-90, 90))
    rng = np.random.default_rng(0)
    angles = [turn.sample(rng, SHAPE)["angle_deg"] for _ in range(1000)]
    assert kstest(np.divide(angles, 90), "uniform", (-1, 2)).pvalue > 1e-3


# --- ElasticTransformPseudo2D -----------------------------------------------------------------


def fields_of(bend: ElasticTransformPseudo2D, n: int, shape: tuple[int, int, int]) -> Any:
    """``(n, 2, y, x)`` displacements in a frame."""
    y, x = np.indices(shape[1:], np.float64)
    found = []
    for seed in range(n):
        (map_,) = bend.map(bend.sample(np.random.default_rng(seed), shape), shape)
        found.append(map_.at_plane(y, x))  # type: ignore[attr-defined]
    return np.array(found)


@pytest.mark.parametrize(("alpha", "sigma"), [(20, 1), (60, 4), (200, 9), (1000, 50)])
def test_its_strength_is_that_of_blurred_noise_everywhere_in_a_frame(
    alpha: float, sigma: float
) -> None:
    """Standard deviation α / (2 σ √(3π)), also in corners; correlation exp(−d² / 4σ²)."""
    shape = (1, 25, 34)
    fields = fields_of(ElasticTransformPseudo2D(alpha, sigma, 0), 400, shape)
    assert np.abs(fields.mean(axis=(0, 2, 3))).max() < 0.3 * fields.std()
    std = alpha / (2 * sigma * math.sqrt(3 * math.pi))
    fields /= std
    corners = fields[:, :, ::24, ::33]
    for part in (fields, corners):
        assert abs(np.sqrt(np.square(part).mean()) - 1) < 0.1
    distance = min(2 * round(sigma), 24)
    along = np.mean(fields[:, :, :-distance] * fields[:, :, distance:])
    assert abs(along - math.exp(-(distance**2) / (4 * sigma**2))) < 0.1
    assert abs(np.mean(fields[:, 0] * fields[:, 1])) < 0.1


@pytest.mark.parametrize("shape", [(3, 30, 45), (3, 45, 30)])
def test_the_affine_displacement_moves_three_corners_of_a_square(
    shape: tuple[int, int, int],
) -> None:
    bend = ElasticTransformPseudo2D(0, 50, 3, p=1)
    params = bend.sample(np.random.default_rng(0), shape)
    corners = np.array(params["corners"])
    (map_,) = bend.map(params, shape)
    centre = (np.array(shape[1:]) - 1) / 2
    y, x = (centre + 10 * np.array([[1, 1], [1, -1], [-1, -1]])).T
    np.testing.assert_allclose(np.transpose(map_.at_plane(y, x)), corners, atol=1e-5)  # type: ignore[attr-defined]
    drawn = [bend.sample(np.random.default_rng(seed), shape)["corners"] for seed in range(200)]
    assert kstest(np.ravel(drawn) / 3, "uniform", (-1, 2)).pvalue > 1e-3


def test_every_frame_is_bent_alike_and_by_itself() -> None:
    bend = ElasticTransformPseudo2D(40, 4, p=1)
    record = bend.record(0, SHAPE)
    found = bend.replay(record, image=NOISE)["image"]
    for number in (0, 5, 11):
        stack = np.broadcast_to(NOISE[number], SHAPE)
        alike = bend.replay(record, image=stack)["image"]
        np.testing.assert_array_equal(alike, np.broadcast_to(found[number], SHAPE))
    assert np.abs(found - NOISE).mean() > 0.1


def test_by_default_frames_larger_than_sigma_are_bent_by_three_voxels() -> None:
    bend = ElasticTransformPseudo2D()
    assert (bend.alpha, bend.sigma, bend.alpha_affine, bend.approximate) == (1000, 50, 1, False)
    assert bend.border_mode == "reflect"
    assert abs(fields_of(bend, 100, (1, 120, 120)).std() - 3.3) < 0.4


# --- CubicSymmetry ----------------------------------------------------------------------------


@pytest.mark.parametrize(("keep_frames", "expected"), [(False, 48), (True, 16)])
def test_every_symmetry_comes_equally_often(keep_frames: bool, expected: int) -> None:
    cube = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)
    symmetry = CubicSymmetry(keep_frames=keep_frames)
    rng = np.random.default_rng(0)
    counts: dict[bytes, int] = {}
    for _ in range(60 * expected):
        found = symmetry(image=cube, rng=rng)["image"].tobytes()
        counts[found] = counts.get(found, 0) + 1
    all_of_them = set()
    for order in itertools.permutations(range(3)):
        if not (keep_frames and order[0]):
            for steps in itertools.product((1, -1), repeat=3):
                z, y, x = (slice(None, None, step) for step in steps)
                all_of_them.add(cube.transpose(order)[z, y, x].tobytes())
    assert set(counts) == all_of_them and len(counts) == expected
    assert min(counts.values()) > 30 and max(counts.values()) < 95
