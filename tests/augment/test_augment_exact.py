"""Flips, quarter turns, transpositions, time reversal: NumPy's, bit for bit, and undone exactly."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pulls import drawn_as

from stallscan.augment import Compose, Flip, RandomRotate90, TimeReverse, Transpose

SHAPES = ((4, 6, 9), (5, 7, 6, 1), (4, 6, 8, 3), (3, 5, 4, 5), (1, 6, 7), (3, 1, 5, 3), (3, 5, 1))
DTYPES = ("uint8", "uint16", "float32")


def volume(shape: tuple[int, ...], dtype: str = "uint8") -> NDArray[Any]:
    values = np.random.default_rng(0).random(shape)
    return (values if dtype == "float32" else values * 250).astype(dtype)


def check_everything(transform: Any, expected: Any) -> None:
    """Image and mask as NumPy, one lit voxel goes where its point goes, its box lies around it."""
    for shape, dtype in itertools.product(SHAPES, DTYPES):
        image = volume(shape, dtype)
        mask = volume(shape[:3]) > 100
        found = transform(image=image, mask=mask, rng=0)
        np.testing.assert_array_equal(found["image"], expected(image))
        np.testing.assert_array_equal(found["mask"], expected(mask))
        assert found["image"].flags.c_contiguous and found["image"].flags.writeable
    lit = np.zeros((4, 6, 9), np.uint8)
    place = (1, 4, 7)
    lit[place] = 1
    box = [[*place, *(extent + 1 for extent in place)]]
    found = transform(image=lit, points=[place], boxes=box, rng=0)
    (at,) = np.argwhere(found["image"])
    np.testing.assert_array_equal(found["points"], [at])
    np.testing.assert_array_equal(found["boxes"], [[*at, *(at + 1)]])


@pytest.mark.parametrize("axis", [0, 1, 2, (0, 1), (2, 0), (0, 1, 2), [1, 2]])
def test_flip_mirrors_the_named_axes(axis: Any) -> None:
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    check_everything(Flip(axis, p=1), lambda array: np.flip(array, axes))


def test_flip_without_axes_draws_one_of_seven_sets_the_same_for_image_and_mask() -> None:
    """The peer draws them for the mask again."""
    flip, image = Flip(p=1), volume((3, 4, 5))
    counts: Counter[bytes] = Counter()
    rng = np.random.default_rng(0)
    for _ in range(1400):
        found = flip(image=image, mask=image, rng=rng)
        np.testing.assert_array_equal(found["image"], found["mask"])
        counts[found["image"].tobytes()] += 1
    sets = [s for n in (1, 2, 3) for s in itertools.combinations(range(3), n)]
    assert set(counts) == {np.flip(image, s).tobytes() for s in sets}
    assert min(counts.values()) > 150 and max(counts.values()) < 255


def test_time_reverse_plays_backwards() -> None:
    check_everything(TimeReverse(p=1), lambda array: array[::-1])


@pytest.mark.parametrize("order", list(itertools.permutations(range(3)))[1:])
def test_transpose_puts_axes_in_order_channels_last(order: tuple[int, int, int]) -> None:
    check_everything(
        Transpose(order, p=1), lambda array: array.transpose(*order, *range(3, array.ndim))
    )


@pytest.mark.parametrize("axes", [(0, 1), (1, 2), (0, 2), (2, 1), (1, 0), (2, 0)])
@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_quarter_turns_are_rot90(axes: tuple[int, int], turns: int) -> None:
    turn = RandomRotate90(axes, p=1)

    class Fixed:
        def __call__(self, rng: int, **targets: Any) -> Any:
            shape = np.shape(targets["image"])
            record = drawn_as(turn, {"axes": list(axes), "turns": turns}, shape)
            return turn.replay(record, **targets)

    check_everything(Fixed(), lambda array: np.rot90(array, turns, axes))


def test_quarter_turns_draw_all_four_evenly_and_all_planes() -> None:
    turn, rng = RandomRotate90((1, 2)), np.random.default_rng(0)
    counts = Counter(turn.sample(rng, (4, 5, 6))["turns"] for _ in range(2000))
    assert set(counts) == {0, 1, 2, 3} and min(counts.values()) > 430
    planes = Counter(tuple(RandomRotate90().sample(rng, (4, 5, 6))["axes"]) for _ in range(1500))
    assert set(planes) == {(0, 1), (0, 2), (1, 2)} and min(planes.values()) > 430


def exact_pipeline() -> Compose:
    return Compose(
        [
            RandomRotate90(),
            Compose([Flip(), Transpose((2, 0, 1), p=0.7)], p=0.8),
            TimeReverse(),
            RandomRotate90((0, 2), p=0.9),
            Flip((0, 2)),
        ]
    )


@pytest.mark.parametrize("shape", [(4, 6, 9), (5, 4, 7, 3), (1, 3, 8, 6)])
def test_any_sequence_is_undone_exactly_for_every_target(shape: tuple[int, ...]) -> None:
    aug = exact_pipeline()
    places = np.random.default_rng(0).uniform(0, 5, (20, 4))
    targets = {
        "image": volume(shape, "float32"),
        "mask": volume(shape[:3]) > 100,
        "points": places,
        "boxes": np.array([[0, 1, 2, 1, 3, shape[2], 17.0]]),
    }
    changed = 0
    for seed in range(60):
        found = aug(**targets, rng=seed, return_record=True)
        undone = aug.invert(found.pop("record"), **found)
        assert undone["image"].tobytes() == targets["image"].tobytes()
        assert undone["mask"].tobytes() == targets["mask"].tobytes()
        np.testing.assert_allclose(undone["points"], places, atol=1e-12)
        np.testing.assert_allclose(undone["boxes"], targets["boxes"], atol=1e-12)
        changed += found["image"].tobytes() != targets["image"].tobytes()
    assert changed > 50


def test_inputs_in_any_memory_order_give_the_same_bytes() -> None:
    """Broadcast channels, strides, mirrored views, Fortran order, read-only: values alone count."""
    grey = volume((5, 8, 9))
    rgb = np.repeat(grey[..., None], 3, axis=3)
    big = np.zeros((10, 16, 18, 4), np.uint8)
    big[::2, ::2, ::2, :3] = rgb
    forms = [
        np.broadcast_to(grey[..., None], rgb.shape),
        big[::2, ::2, ::2, :3],
        np.asfortranarray(rgb),
        rgb[::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1],
        rgb.transpose(2, 0, 3, 1).copy().transpose(1, 3, 0, 2),
    ]
    aug = exact_pipeline()
    for seed in range(25):
        expected = aug(image=rgb, rng=seed)["image"]
        for form in forms:
            np.testing.assert_array_equal(form, rgb)
            form = form.view()
            form.setflags(write=False)
            found = aug(image=form, rng=seed)["image"]
            assert found.tobytes() == expected.tobytes() and found.flags.writeable


def test_a_thousand_exact_pipelines_are_numpys() -> None:
    """Consecutive ones become one copy; what it is must be what NumPy makes step by step."""
    rng = np.random.default_rng(5)
    image = volume((4, 6, 5, 3))
    options = [Flip(p=1), TimeReverse(p=1), RandomRotate90(p=1), Transpose((1, 2, 0), p=1)]
    for seed in range(1000):
        aug = Compose([options[int(n)] for n in rng.integers(len(options), size=4)])
        record = aug.record(seed, image.shape)
        expected = image
        for transform, params in aug.steps(record["drawn"]):
            match transform:
                case RandomRotate90():
                    expected = np.rot90(expected, params["turns"], params["axes"])
                case Transpose():
                    expected = expected.transpose(1, 2, 0, 3)
                case _:
                    expected = np.flip(expected, params.get("axes", [0]))
        assert aug.replay(record, image=image)["image"].tobytes() == expected.tobytes()
