"""Padding: NumPy's, bit for bit, for any values, also joined with crops and flips."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pulls import n_stages, pipeline

from stallscan.augment import (
    Flip,
    Pad,
    PadIfNeeded,
    RandomCrop,
    RandomCropFromBorders,
    RandomDropPlane,
    RandomFrameDrop,
    RandomRotate90,
    Resize,
    Rotate,
    Transpose,
)
from stallscan.augment._maps import Affine, Axes, Sampling, Take
from stallscan.augment._plan import resample
from stallscan.augment._transform import Augmentation
from stallscan.errors import OptionError

SIDES = ((1, 2), (0, 3), (4, 0))
NUMPYS = {"constant": "constant", "nearest": "edge", "reflect": "symmetric"}
DTYPES = ("uint8", "uint16", "float32")
LABELS = ("bool", "int8", "uint16", "int32", "int64", "float64")
SHAPES = ((5, 6, 7), (5, 6, 7, 1), (4, 5, 6, 3), (3, 5, 4, 6), (1, 1, 1, 2), (1, 4, 2))


def volume(shape: tuple[int, ...], dtype: str = "uint8") -> NDArray[Any]:
    values = np.random.default_rng(0).random(shape)
    if dtype == "int64":  # what no float holds
        return (values * 2**62).astype(dtype)
    return (values if dtype == "float32" else values * 100 - (dtype == "int8") * 50).astype(dtype)


def padded(array: NDArray[Any], sides: Any, border: str, value: float) -> NDArray[Any]:
    """NumPy's reading."""
    sides = (*sides, *[(0, 0)] * (array.ndim - 3))
    options = {"constant_values": value} if border == "constant" else {}
    return np.pad(array, sides, NUMPYS[border], **options)


@pytest.mark.parametrize("border", NUMPYS)
@pytest.mark.parametrize("sides", [SIDES, ((0, 0), (13, 12), (0, 9)), ((2, 2), (2, 2), (2, 2))])
def test_every_value_of_every_dtype_is_numpys(border: str, sides: Any) -> None:
    """Further than the volume reaches, too: it is mirrored again and again."""
    pad = Pad(sides, border, value=1, mask_value=1)
    for shape, dtype in itertools.product(SHAPES, DTYPES):
        image = volume(shape, dtype)
        found = pad(image=image)["image"]
        assert found.dtype == image.dtype and found.flags.c_contiguous
        np.testing.assert_array_equal(found, padded(image, sides, border, 1))
    for shape, dtype in itertools.product(SHAPES, LABELS):
        labels = volume(shape, dtype)
        found = pad(mask=labels)["mask"]
        assert found.dtype == labels.dtype
        np.testing.assert_array_equal(found, padded(labels, sides, border, 1))


def test_padding_is_one_number_three_or_three_pairs() -> None:
    image = volume((5, 6, 7))
    for padding, sides in ((2, ((2, 2),) * 3), ((1, 0, 3), ((1, 1), (0, 0), (3, 3)))):
        found = Pad(padding)(image=image)["image"]
        np.testing.assert_array_equal(found, padded(image, sides, "constant", 0))
        assert Pad(padding) == Pad(sides)


@pytest.mark.parametrize("border", NUMPYS)
def test_a_shape_is_reached_around_the_middle_and_more_is_kept(border: str) -> None:
    image = volume((5, 6, 7))
    found = PadIfNeeded((8, 3, None), border, value=7)(image=image)["image"]
    np.testing.assert_array_equal(found, padded(image, ((1, 2), (0, 0), (0, 0)), border, 7))
    kept = PadIfNeeded((5, 1, 7), border)(image=image)["image"]
    np.testing.assert_array_equal(kept, image)
    assert not np.may_share_memory(kept, image)


def stepped(aug: Augmentation, record: dict[str, Any], array: NDArray[Any]) -> NDArray[Any]:
    """A record in NumPy, one transform after another."""
    for step, drawn in aug.steps(record["drawn"]):
        n = array.shape[0]
        match step:
            case Pad():
                array = padded(array, step.padding, step.border_mode, step.value)
            case RandomCropFromBorders():
                array = array[tuple(slice(*ends) for ends in drawn["kept"])]
            case RandomRotate90():
                array = np.rot90(array, drawn["turns"], drawn["axes"])
            case Transpose():
                array = array.transpose(*drawn["axes"], *range(3, array.ndim))
            case Flip():
                array = np.flip(array, drawn["axes"])
            case RandomDropPlane():
                array = np.delete(array, drawn["dropped"], axis=drawn["axis"])
            case RandomFrameDrop():
                shown = np.arange(n)
                for lost in drawn["dropped"]:
                    shown[lost] = shown[lost - 1]
                array = array[shown]
            case _:
                raise NotImplementedError(step)
    return array


@pytest.mark.parametrize("border", NUMPYS)
def test_three_hundred_pipelines_of_whole_voxels_are_numpys(border: str) -> None:
    """One copy as long as nothing is cropped between two paddings, and exact in any case."""
    rng = np.random.default_rng(7)
    pad = Pad(SIDES, border, value=3, mask_value=3)
    others = [
        RandomCropFromBorders(0.4),
        Flip(p=1),
        RandomRotate90(p=1),
        Transpose((2, 0, 1), p=1),
        RandomDropPlane(0.3, (0, 1, 2)),
        RandomFrameDrop(0.3, p=1),
    ]
    stages = []
    for seed in range(100):
        chosen = [others[int(n)] for n in rng.integers(len(others), size=4)]
        chosen.insert(int(rng.integers(5)), pad)
        if seed % 4 == 0:
            chosen.insert(int(rng.integers(6)), pad)
        aug = pipeline(*chosen)
        image, labels = volume((6, 7, 8, 3)), volume((6, 7, 8), "int64")
        record = aug.record(seed, image.shape)
        found = aug.replay(record, image=image, mask=labels)
        np.testing.assert_array_equal(found["image"], stepped(aug, record, image))
        np.testing.assert_array_equal(found["mask"], stepped(aug, record, labels))
        if seed % 4:
            assert n_stages(aug, record) == 1, aug
        stages.append(n_stages(aug, record))
    assert max(stages) == 2


@pytest.mark.parametrize("order", [None, 0, 1])
@pytest.mark.parametrize("offset", [(1, -1, 2), (0, 5, -9), (30, 0, 0), (-30, 0, 0)])
def test_a_move_by_whole_voxels_may_leave_nothing(
    offset: tuple[int, int, int], order: int | None
) -> None:
    """Whatever interpolation it asks for, and with planes repeated and mirrored afterwards."""
    image = volume((2, 3, 4))
    move = Affine(np.eye(3), np.array(offset, float), None, Sampling(order=order, value=7))
    planes = np.array([0, 1, 1, 3])
    flip = Axes(image.shape, mirrored=(True, False, True))
    expected = np.full(image.shape, 7)
    for place in np.ndindex(image.shape):
        source = np.add(place, offset)
        if (source >= 0).all() and (source < image.shape).all():
            expected[place] = image[tuple(source)]
    found = resample(image, [move, Take(2, planes), flip])
    np.testing.assert_array_equal(found, expected[:, :, planes][::-1, :, ::-1])


def test_what_was_cropped_or_padded_does_not_come_back() -> None:
    image = np.full((6, 6, 6), 9, np.uint8)
    crop = RandomCrop((4, 4, 4))
    found = pipeline(crop, Pad(1, value=5))(image=image, rng=0)["image"]
    np.testing.assert_array_equal(found, np.pad(np.full((4, 4, 4), 9), 1, constant_values=5))
    found = pipeline(Pad(1, value=5), crop, Pad(3, value=7))(image=image, rng=0)["image"]
    assert (found == np.pad(found[3:-3, 3:-3, 3:-3], 3, constant_values=7)).all()
    turned = pipeline(Pad(2, value=5), Rotate((45, 45), 0, 0, value=7, p=1))(image=image, rng=0)
    corner, border = turned["image"][5, 0, 0], turned["image"][5, 5, 9]
    assert corner == 7 and border == 5  # each its own


def test_a_padded_volume_is_resized_as_any_other() -> None:
    image = np.full((6, 8, 8), 100, np.uint8)
    found = pipeline(Pad((0, 4, 4), value=20), Resize((6, 32, 32)))(image=image)["image"]
    expected = np.full((6, 32, 32), 20)
    expected[:, 8:-8, 8:-8] = 100
    assert np.abs(found - expected.astype(float)).max() < 1


def test_points_and_boxes_follow() -> None:
    image = np.zeros((5, 6, 7), np.uint8)
    image[2, 3, 4] = 255
    found = pipeline(Pad(SIDES), Flip((0, 2), p=1), PadIfNeeded((12, 12, 12)))(
        image=image, points=[[2, 3, 4]], boxes=[[2, 3, 4, 3, 4, 5]], rng=0
    )
    (place,) = np.argwhere(found["image"])
    np.testing.assert_array_equal(found["points"], [place])
    np.testing.assert_array_equal(found["boxes"], [[*place, *(place + 1)]])


WRONG: list[tuple[type, dict[str, Any], str]] = [
    (Pad, {"padding": -1}, r"padding is -1, allowed are a whole number from 0, three of them"),
    (Pad, {"padding": (1, 2)}, r"padding is \(1, 2\), allowed"),
    (Pad, {"padding": (1, 2, 3, 4, 5, 6)}, r"padding is \(1, 2, 3, 4, 5, 6\), .*three pairs"),
    (Pad, {"padding": ((1, 2), (3, 4), (5, -6))}, r"padding is .*-6.*, allowed"),
    (Pad, {"padding": ((1, 2), (3, 4), (5, 6, 7))}, "padding is .*three pairs"),
    (Pad, {"padding": 1.5}, "padding is 1.5, allowed"),
    (Pad, {"padding": True}, "padding is True, allowed"),
    (Pad, {"padding": "1"}, "padding is '1', allowed"),
    (Pad, {"padding": 1, "border_mode": "edge"}, "border_mode is 'edge', allowed are 'constant'"),
    (Pad, {"padding": 1, "value": float("nan")}, "value is nan"),
    (PadIfNeeded, {"shape": (3, 3)}, r"shape is \(3, 3\), allowed are three .*and None"),
    (PadIfNeeded, {"shape": (3, 3, 0)}, r"shape is \(3, 3, 0\), allowed are three positive"),
    (PadIfNeeded, {"shape": None}, "shape is None, allowed are three positive"),
    (PadIfNeeded, {"shape": (3, 3, 3), "mask_value": "0"}, "mask_value is '0', allowed"),
]


@pytest.mark.parametrize(("kind", "options", "message"), WRONG)
def test_a_wrong_option_is_refused(kind: type, options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=rf"{kind.__name__}\.{message}"):
        kind(**options)


def test_a_value_that_the_target_cannot_hold_is_refused() -> None:
    with pytest.raises(OptionError, match="value is 300, which uint8 cannot hold"):
        Pad(1, value=300)(image=volume((3, 4, 5)))
    with pytest.raises(OptionError, match="mask_value is 2, which bool cannot hold"):
        Pad(1, mask_value=2)(mask=volume((3, 4, 5), "bool"))
