"""Bad arguments: refused at once, with the value that was given and what is allowed."""

from __future__ import annotations

import json
import warnings
from typing import Any

import numpy as np
import pytest

from stallscan.augment import (
    Blur,
    Compose,
    Downscale,
    ElasticTransform,
    Flip,
    OneOf,
    Pad,
    RandomCrop,
    RandomDropPlane,
    RandomFrameDrop,
    RandomRotate90,
    RandomShift,
    Resize,
    Rotate,
    Transpose,
    transform_class,
)
from stallscan.errors import OptionError
from stallscan.roi import Volume
from stallscan.types import Box

IMAGE = np.zeros((4, 5, 6), np.uint8)
NAN = float("nan")
OPTIONS: list[tuple[type, dict[str, Any], str]] = [
    (Rotate, {"x_limit": (10, -10)}, r"x_limit is \(10, -10\): reversed; .*\(-10, 10\)"),
    (Rotate, {"x_limit": -15}, "x_limit is -15: reversed"),
    (Rotate, {"y_limit": (0, 400)}, r"y_limit is \(0, 400\), allowed are -360 to 360"),
    (Rotate, {"z_limit": (0, NAN)}, "z_limit is .*allowed are finite numbers"),
    (Rotate, {"z_limit": "15"}, "z_limit is '15', allowed are a number or a pair"),
    (Rotate, {"z_limit": (1, 2, 3)}, r"z_limit is \(1, 2, 3\), allowed are a number or a pair"),
    (Rotate, {"z_limit": ("a", "b")}, "z_limit is .*allowed are a number or a pair"),
    (Rotate, {"z_limit": None}, "z_limit is None, allowed are a number or a pair"),
    (Rotate, {"z_limit": True}, "z_limit is True, allowed are a number or a pair"),
    (Rotate, {"interpolation": 6}, "interpolation is 6, allowed are 0, 1, 2, 3, 4, 5"),
    (Rotate, {"interpolation": "linear"}, "interpolation is 'linear', allowed are 0, 1"),
    (Rotate, {"border_mode": "wrap"}, "border_mode is 'wrap', allowed are 'constant', 'nearest'"),
    (Rotate, {"border_mode": "constnat"}, "did you mean 'constant'"),
    (Rotate, {"value": NAN}, "value is nan, allowed are"),
    (Rotate, {"mask_value": "0"}, "mask_value is '0', allowed are"),
    (Rotate, {"seed": -1}, "seed is -1, allowed are whole numbers from 0"),
    (Rotate, {"seed": "a"}, "seed is 'a', allowed are whole numbers from 0"),
    (Rotate, {"xlimit": 3}, r"Rotate has no option xlimit \(given 3\).*did you mean x_limit"),
    (ElasticTransform, {"deformation_limits": (0, 1.5)}, r"\(0, 1.5\), allowed are 0 to 1"),
    (ElasticTransform, {"deformation_limits": (-0.1, 0.2)}, r"\(-0.1, 0.2\), allowed are 0 to 1"),
    (ElasticTransform, {"deformation_limits": (0.2, 0.1)}, "reversed"),
    (RandomShift, {"shift_limit": (2, 1)}, r"shift_limit is \(2, 1\): reversed"),
    (RandomShift, {"shift_limit": -1}, "shift_limit is -1"),
    (RandomShift, {"memory": 1.1}, "memory is 1.1, allowed are 0 to 1"),
    (Flip, {"axis": 3}, r"axis is 3, allowed are different axes of 0 \(z\)"),
    (Flip, {"axis": -1}, "axis is -1, allowed are different axes"),
    (Flip, {"axis": (0, 0)}, r"axis is \(0, 0\), allowed are different axes"),
    (Flip, {"axis": ()}, r"axis is \(\), allowed are different axes"),
    (Flip, {"axis": [[0]]}, r"axis is \[\[0\]\], allowed are different axes"),
    (Flip, {"axis": "x"}, "axis is 'x', allowed are different axes"),
    (RandomRotate90, {"axes": (1,)}, r"axes is \(1,\), allowed are different axes"),
    (RandomRotate90, {"axes": (0, 1, 2)}, "axes.*allowed are"),
    (RandomRotate90, {"axes": (1, 1)}, r"axes is \(1, 1\), allowed are different axes"),
    (Transpose, {"axes": (0, 1)}, r"axes is \(0, 1\), allowed"),
    (Transpose, {"axes": (0, 1, 3)}, r"axes is \(0, 1, 3\), allowed"),
    (Transpose, {"axes": (0, 1, 1)}, r"axes is \(0, 1, 1\), allowed"),
    (Transpose, {"axes": (0, True, 2)}, r"axes is \(0, True, 2\), allowed"),
    (Transpose, {"axes": ("a", 1, 2)}, r"axes is \('a', 1, 2\), allowed"),
    (RandomDropPlane, {"plane_drop_prob": 1.2}, "plane_drop_prob is 1.2, allowed are 0 to 1"),
    (RandomDropPlane, {"axes": (0, 4)}, r"axes is \(0, 4\), allowed"),
    (RandomFrameDrop, {"drop_prob": -0.1}, "drop_prob is -0.1, allowed are 0 to 1"),
    (Resize, {"shape": (3, 3)}, r"shape is \(3, 3\), allowed are three positive extents"),
    (Resize, {"shape": (3, 0, 3)}, r"shape is \(3, 0, 3\), allowed are three positive extents"),
    (Resize, {"shape": (3, 2.5, 3)}, r"shape is \(3, 2.5, 3\), allowed are three positive"),
    (Resize, {"shape": 96}, "shape is 96, allowed are three positive extents"),
    (Resize, {"shape": (3, 3, 3), "interpolation": -1}, "interpolation is -1, allowed"),
    (Resize, {"shape": (3, 3, 3), "resize_type": 2}, "resize_type is 2, allowed are 0, 1"),
]


@pytest.mark.parametrize(("kind", "options", "message"), OPTIONS)
def test_a_wrong_option_is_refused_by_name(
    kind: type, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(OptionError, match=message) as caught:
        kind(**options)
    assert kind.__name__ in str(caught.value)
    assert isinstance(caught.value, ValueError)


def test_always_apply_in_the_place_of_p_is_found_out() -> None:
    """``Flip(0, 0.5)`` reads as if 0.5 were p."""
    with pytest.raises(OptionError, match=r"always_apply is 0.5.*p is the option after it"):
        Flip(0, 0.5)


def test_an_unknown_transform_is_refused_with_the_closest_name() -> None:
    with pytest.raises(OptionError, match="'RandomFlip', allowed are 'Flip'"):
        transform_class("RandomFlip")
    with pytest.raises(OptionError, match="did you mean 'ElasticTransform'"):
        transform_class("ElasticTransforms")


TARGETS: list[tuple[dict[str, Any], str]] = [
    ({"points": "abc"}, "points are 'abc', allowed is an array"),
    ({"points": [[1, 2, 3], [1]]}, "points are .*allowed is an array"),
    ({"points": [1, 2, 3]}, r"points have the shape \(3,\), allowed is \(n, 3\)"),
    ({"points": [[0, 0, 0], [0.0, NAN, 2]]}, r"points\[1\] is \[0.0, nan, 2.0\], allowed are"),
    ({"points": [[0.0, np.inf, 2]]}, r"points\[0\] is \[0.0, inf, 2.0\], allowed are finite"),
    ({"boxes": [[3, 3, 3, 1, 1, 1]]}, r"boxes\[0\] is \[3.0, .*allowed are .*after its start"),
    ({"boxes": [[1, 2, 3, 4, 5]]}, r"boxes have the shape \(1, 5\), allowed is \(n, 6\)"),
    ({"boxes": [[0, 0, 0, 1, 1, NAN]]}, r"boxes\[0\] is .*allowed are finite"),
    ({"mask": np.zeros((4, 5, 6), complex)}, "mask is complex128.*allowed"),
    ({"mask": np.zeros((4, 5, 6), np.float16)}, "mask is float16.*allowed"),
    ({"mask": np.full((4, 5, 6), None)}, "mask is object.*allowed"),
    ({"mask": np.zeros((4, 5, 7), bool)}, r"mask has the extent \(4, 5, 7\), image has"),
    ({"masks": IMAGE}, "target is 'masks', allowed are .*did you mean 'mask'"),
    ({"image": IMAGE.astype(bool)}, "image is bool, allowed are uint8, uint16 and float32"),
    ({"image": IMAGE.astype(np.float16)}, "image is float16, allowed are"),
    ({"image": None}, r"image has shape \(\), allowed are"),
    ({"image": np.full((4, 5, 6), NAN, np.float32)}, "image .*finite"),
    ({"image": np.full((4, 5, 6), np.inf, np.float32)}, "image .*finite"),
]


@pytest.mark.parametrize(("targets", "message"), TARGETS)
def test_a_wrong_target_is_refused_whatever_acts(targets: dict[str, Any], message: str) -> None:
    """Also where nothing acts: a call must not fail once in a hundred."""
    for aug in (
        Flip(0, p=1),
        Flip(0, p=1e-9),
        Compose([OneOf([Flip(0)], p=0.5)]),
        Resize((3, 3, 3)),
    ):
        with pytest.raises(OptionError, match=message):
            aug(**{"image": IMAGE, **targets}, rng=0)


def test_masks_in_foreign_byte_order_are_taken() -> None:
    """TIFF readers give them."""
    labels = np.arange(120).reshape(4, 5, 6)
    for angles in ((30, 0, 0), (30, 20, 10)):
        rotate = Rotate(*((angle, angle) for angle in angles), p=1)
        expected = rotate(mask=labels.astype("i4"), rng=0)["mask"]
        for order in ("<i4", ">i4"):
            found = rotate(mask=labels.astype(order), rng=0)["mask"]
            assert found.dtype == np.int32
            np.testing.assert_array_equal(found, expected)


def test_errors_come_without_warnings_of_numpy() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for value in (1e30, -1, 256):
            with pytest.raises(OptionError, match=r"value is .*which uint8 cannot hold"):
                Rotate((30, 30), 0, 0, value=value, p=1)(image=IMAGE, rng=0)


def test_lists_arrays_and_memory_maps_are_taken(tmp_path: Any) -> None:
    path = tmp_path / "stack.npy"
    np.save(path, IMAGE + 3)
    mapped = np.load(path, mmap_mode="r")
    expected = Flip(0, p=1)(image=IMAGE + 3, rng=0)["image"]
    found = Flip(0, p=1)(image=mapped, mask=(IMAGE + 3).tolist(), points=[(0, 0, 0)], rng=0)
    np.testing.assert_array_equal(found["image"], expected)
    np.testing.assert_array_equal(found["mask"], expected)
    np.testing.assert_array_equal(found["points"], [[3, 0, 0]])
    assert type(found["image"]) is np.ndarray and found["image"].flags.writeable
    copy = Flip(0, p=1e-9)(image=mapped, rng=0)["image"]
    assert type(copy) is np.ndarray and copy.flags.writeable


def test_a_volume_stands_for_its_array_in_every_call() -> None:
    array = np.random.default_rng(0).integers(0, 256, (4, 5, 6, 3), np.uint8)
    plane = np.ones((5, 6), bool)
    box = Box(0, 0, 0, 4, 5, 6)
    volume = Volume(array=array, mask=plane, line=plane, box=box, source="phantom")
    aug = Compose([Flip(p=1), RandomRotate90(p=1)])
    found = aug(image=volume, rng=0, return_record=True)
    expected = aug(image=array, rng=0)["image"]
    np.testing.assert_array_equal(found["image"], expected)
    np.testing.assert_array_equal(aug.replay(found["record"], image=volume)["image"], expected)


@pytest.mark.parametrize("shape", [(6, 20), None, (0, 2, 2), (1.5, 2, 2)])
def test_a_record_is_drawn_for_three_positive_extents(shape: Any) -> None:
    with pytest.raises(OptionError, match=r"shape is .*three positive extents"):
        Rotate().record(0, shape)


def test_a_record_is_plain_data_whatever_the_extent_is_made_of() -> None:
    record = RandomCrop((None, 4, 4), p=1).record(0, np.array(IMAGE.shape))
    assert json.loads(json.dumps(record)) == record


def test_a_record_that_options_no_longer_fit_is_refused_as_such() -> None:
    record = {"shape": [4, 5, 6], "applied": ["Blur"], "drawn": {"x": 1}}
    with pytest.raises(OptionError, match=r"does not fit Blur as it is now.*KeyError"):
        Blur().replay(record, image=IMAGE)


def test_a_label_is_what_some_dtype_can_hold() -> None:
    with pytest.raises(OptionError, match="mask_value is 18446744073709551616, allowed"):
        Pad(1, mask_value=2**64)


def test_many_channels_are_resized() -> None:
    """More than OpenCV takes."""
    image = np.random.default_rng(0).integers(0, 256, (2, 4, 6, 130), np.uint8)
    for transform in (Resize((2, 8, 6)), Downscale(0.5, 0.5, 1, p=1)):
        found = transform(image=image, rng=0)["image"]
        few = transform(image=image[..., 128:], rng=0)["image"]
        assert np.abs(found[..., 128:].astype(int) - few).max() <= 1
