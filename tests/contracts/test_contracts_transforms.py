"""What every registered transform keeps to: a transform that is added is tested by being added."""

from __future__ import annotations

import dataclasses
import inspect
import json
import pickle
import random
import warnings
from typing import Any

import numpy as np
import pytest
from transform_examples import (
    EXAMPLES,
    FLATTENS,
    OUT_DTYPES,
    SHAPE,
    SIZES,
    WHITE,
    WITHOUT_RANDOMNESS,
    ball,
    checkerboard,
    every_case,
    every_case_of_one_dtype,
    every_spatial_case,
    make,
    taken,
    volume,
)

import stallscan.augment
from cases import case
from stallscan.augment import from_dict, from_yaml, to_yaml, transform_class
from stallscan.augment._transform import MaskOnly, Pixel, Spatial
from stallscan.augment.registry import MODULES
from stallscan.errors import OptionError


def test_every_transform_has_an_example_and_stands_in_the_package() -> None:
    assert list(EXAMPLES) == list(MODULES)
    for name in MODULES:
        assert getattr(stallscan.augment, name) is transform_class(name)
        assert transform_class(name).__name__ == name
        assert issubclass(transform_class(name), (Spatial, Pixel, MaskOnly))


@pytest.mark.parametrize("name", MODULES)
def test_options_are_frozen_and_end_with_always_apply_p_and_the_named_ones(name: str) -> None:
    made = make(name, EXAMPLES[name][0])
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.p = 0.3
    parameters = inspect.signature(type(made)).parameters
    positional = [key for key, one in parameters.items() if one.kind != one.KEYWORD_ONLY]
    assert positional[-2:] == ["always_apply", "p"]
    assert parameters["seed"].kind == inspect.Parameter.KEYWORD_ONLY
    assert "Attributes:" in (type(made).__doc__ or "") and "Example:" in (type(made).__doc__ or "")
    for key in positional:
        assert f"{key}: " in type(made).__doc__, f"{key} is not described"


@every_case
def test_output_keeps_dtype_rank_and_range_and_never_aliases(
    name: str, options: dict[str, Any]
) -> None:
    transform = make(name, options)
    for dtype in taken(name):
        for shape in SIZES:
            image = volume(shape, dtype)
            before = image.copy()
            found = transform(image=image, rng=1)["image"]
            assert found.dtype == options.get("dtype", OUT_DTYPES.get(name, dtype))
            assert found.ndim == image.ndim and found.shape[3:] == image.shape[3:]
            assert found.flags.c_contiguous and found.flags.writeable
            assert not np.may_share_memory(found, image)
            assert np.isfinite(found).all()
            if name != "Normalize":
                assert found.min() >= 0 and found.max() <= WHITE[str(found.dtype)]
            np.testing.assert_array_equal(image, before)


@every_case
def test_p_zero_returns_equal_copies_and_warns(name: str, options: dict[str, Any]) -> None:
    always = {"always_apply": False}
    with pytest.warns(UserWarning, match=f"{name} does nothing: p is 0"):
        idle = transform_class(name)(**options, **always, p=0)
    image = volume(SHAPE, taken(name)[0])
    mask = volume(SHAPE) > 99
    places = np.array([[1.0, 2, 3]])
    boxes = np.array([[1.0, 2, 3, 4, 5, 6]])
    found = idle(image=image, mask=mask, points=places, boxes=boxes, rng=0)
    for key, target in {"image": image, "mask": mask, "points": places, "boxes": boxes}.items():
        np.testing.assert_array_equal(found[key], target)
        assert found[key].dtype == target.dtype
        assert not np.may_share_memory(found[key], target)


@every_case
def test_sensible_options_do_not_warn(name: str, options: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make(name, options)


@every_case
def test_one_seed_gives_the_same_bytes_and_global_generators_are_left_alone(
    name: str, options: dict[str, Any]
) -> None:
    transform = make(name, options)
    image, mask = volume(SHAPE, taken(name)[0]), ball(SHAPE)
    np_state, state = np.random.get_state()[1].tobytes(), random.getstate()  # noqa: NPY002
    calls = [transform(image=image, mask=mask, rng=seed) for seed in (*range(8), 0)]
    results = [found["image"].tobytes() + found["mask"].tobytes() for found in calls]
    assert results[0] == results[-1]
    n_different = len(set(results))
    assert (n_different == 1) == (name in WITHOUT_RANDOMNESS or options.get("axis") is not None)
    assert np.random.get_state()[1].tobytes() == np_state  # noqa: NPY002
    assert random.getstate() == state


@every_case
def test_sample_gives_json_and_apply_is_pure(name: str, options: dict[str, Any]) -> None:
    transform = make(name, options)
    image = volume((*SHAPE, 3), taken(name)[-1])
    params = transform.record(3, SHAPE, image=image, mask=volume(SHAPE))["drawn"]
    text = json.dumps(params)
    first = transform.apply(image, params)
    assert json.dumps(params) == text
    for form in (image, np.asfortranarray(image), np.repeat(image, 2, axis=2)[:, :, ::2]):
        kept = form.copy(order="K")
        form.setflags(write=False)
        assert transform.apply(form, json.loads(text)).tobytes() == first.tobytes()
        np.testing.assert_array_equal(form, kept)
    assert tuple(transform.out_shape(params, SHAPE)) == first.shape[:3]


@every_case
def test_a_record_replays_the_same_on_all_targets_also_after_json(
    name: str, options: dict[str, Any]
) -> None:
    transform = make(name, options)
    targets = {
        "image": volume((*SHAPE, 3), taken(name)[0]),
        "mask": volume(SHAPE),
        "points": np.array([[1.0, 2, 3]]),
        "boxes": np.array([[1.0, 2, 3, 4, 5, 6]]),
    }
    found = transform(**targets, rng=5, return_record=True)
    again = transform.replay(json.loads(json.dumps(found["record"])), **targets)
    assert set(again) == set(targets)
    for key in targets:
        assert again[key].tobytes() == found[key].tobytes()


@every_case
def test_dict_yaml_and_pickle_give_an_equal_transform_with_the_same_output(
    name: str, options: dict[str, Any]
) -> None:
    transform = make(name, options)
    image = volume(SHAPE, taken(name)[0])
    expected = transform(image=image, rng=9)["image"]
    copies = [
        from_dict(transform.to_dict()),
        from_dict(json.loads(json.dumps(transform.to_dict()))),
        from_yaml(to_yaml(transform)),
        pickle.loads(pickle.dumps(transform)),
    ]
    for copy in copies:
        assert copy == transform and copy.to_dict() == transform.to_dict()
        np.testing.assert_array_equal(copy(image=image, rng=9)["image"], expected)


@every_case
def test_masks_keep_their_dtype_and_gain_no_label(name: str, options: dict[str, Any]) -> None:
    for dtype in ("bool", "uint8", "int16", "int32", "int64"):
        labels = np.array([0, 1] if dtype == "bool" else [0, 3, 100, 7], dtype)
        if dtype == "int64":
            labels = labels * 2**55 + (labels > 0)  # what neither float32 nor float64 can hold
        mask = labels[np.random.default_rng(0).integers(len(labels), size=SHAPE)]
        with case(dtype):
            found = make(name, options)(mask=mask, rng=2)["mask"]
            assert found.dtype == mask.dtype and found.ndim == 3
            assert set(np.unique(found).tolist()) <= set(labels.tolist())
            assert not np.may_share_memory(found, mask)


@pytest.mark.parametrize("name", [name for name in MODULES if name in EXAMPLES])
def test_values_move_no_voxel_and_voxels_keep_their_labels(name: str) -> None:
    transform = make(name, EXAMPLES[name][0])
    places = np.array([[1.0, 2, 3, 17]])
    boxes = np.array([[1.0, 2, 3, 4, 5, 6, 17]])
    image, mask = volume(SHAPE, taken(name)[0]), volume(SHAPE)
    found = transform(image=image, mask=mask, points=places, boxes=boxes, rng=1)
    assert found["points"].dtype == found["boxes"].dtype == np.float64
    assert found["points"][0, 3] == found["boxes"][0, 6] == 17
    assert found["mask"].shape == found["image"].shape
    if isinstance(transform, (Pixel, MaskOnly)):
        np.testing.assert_array_equal(found["points"], places)
        np.testing.assert_array_equal(found["boxes"], boxes)
        key, target = ("mask", mask) if isinstance(transform, Pixel) else ("image", image)
        np.testing.assert_array_equal(found[key], target)
    else:
        extents = np.array(found["image"].shape)
        low, high = found["boxes"][0, :3], found["boxes"][0, 3:6]
        assert (low >= 0).all() and (high <= extents).all() and (low <= high).all()


@every_spatial_case
def test_channels_are_moved_alike_in_any_number(name: str, options: dict[str, Any]) -> None:
    """Equal channels stay equal, and are what the volume without channels becomes.

    But for the last bits: OpenCV's loops differ with the number of channels.
    """
    transform = make(name, options)
    for dtype in WHITE:
        image = volume(SHAPE, dtype)
        expected = transform(image=image, rng=4)["image"]
        for channels in (1, 2, 3, 4, 5, 7):
            many = np.repeat(image[..., None], channels, axis=3)
            found = transform(image=many, rng=4)["image"]
            assert found.shape == (*expected.shape, channels)
            difference = np.abs(found - expected[..., None].astype(np.float64))
            assert difference.max() <= (1e-6 if dtype == "float32" else 1)


@every_case
def test_thin_and_single_frame_volumes_go_through(name: str, options: dict[str, Any]) -> None:
    transform = make(name, options)
    for shape in ((1, 1, 1), (1, 6, 7), (5, 1, 8), (5, 8, 1), (2, 2, 41, 3)):
        image = volume(shape, taken(name)[0])
        with case(shape):
            found = transform(image=image, mask=image, points=np.zeros((1, 3)), rng=0)
            assert found["image"].shape[:3] == found["mask"].shape[:3]
            assert np.isfinite(found["image"]).all() and np.isfinite(found["points"]).all()


@every_case_of_one_dtype
def test_black_and_white_never_wrap(name: str, options: dict[str, Any]) -> None:
    """A checkerboard of whole numbers becomes what that of floats becomes, within rounding.

    With noise too: it means the same in every dtype.
    """
    transform = make(name, options)
    exact = transform(image=checkerboard(SHAPE, "float32"), rng=6)["image"]
    assert (np.ptp(exact) > 0.9) == (name not in FLATTENS)
    for dtype, rounding in (("uint8", 0.01), ("uint16", 0.0001)):
        found = transform(image=checkerboard(SHAPE, dtype), rng=6)["image"] / WHITE[dtype]
        # Where planes are remapped, places are whole 32ths of a voxel in every dtype.
        tolerance = 0.01 if isinstance(transform, Spatial) else rounding
        np.testing.assert_allclose(found, exact, atol=tolerance)


@every_case
def test_what_can_be_undone_is_undone_exactly_and_the_rest_is_refused(
    name: str, options: dict[str, Any]
) -> None:
    transform = make(name, options)
    targets = {
        "image": volume((*SHAPE, 3), taken(name)[0]),
        "mask": volume(SHAPE),
        "points": np.array([[1.25, 2, 3]]),
        "boxes": np.array([[1.0, 2, 3, 4, 5, 6]]),
    }
    for seed in range(12):
        found = transform(**targets, rng=seed, return_record=True)
        record = found.pop("record")
        if name not in ("Flip", "RandomRotate90", "Transpose", "TimeReverse", "CubicSymmetry"):
            with pytest.raises(OptionError, match=f"{name} cannot be undone; allowed are Flip"):
                transform.invert(record, **found)
            continue
        undone = transform.invert(record, **found)
        for key, target in targets.items():
            np.testing.assert_array_equal(undone[key], target)
