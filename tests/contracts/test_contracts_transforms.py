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
from numpy.typing import NDArray

import stallscan.augment
from stallscan.augment import from_dict, from_yaml, to_yaml, transform_class
from stallscan.augment._transform import Pixel, Spatial, Transform
from stallscan.augment.registry import MODULES
from stallscan.errors import OptionError

# Options that make each transform act on the volumes below, without p.
EXAMPLES: dict[str, list[dict[str, Any]]] = {
    "Rotate": [
        {"x_limit": (10, 30), "y_limit": 0, "z_limit": 0, "border_mode": "nearest"},
        {"x_limit": (-30, -10), "y_limit": (5, 20), "z_limit": (5, 20)},
        {"x_limit": (10, 30), "border_mode": "reflect", "interpolation": 3},
    ],
    "ElasticTransform": [
        {"deformation_limits": (0.1, 0.25)},
        {"deformation_limits": (0.1, 0.25), "interpolation": 2, "border_mode": "reflect"},
    ],
    "RandomRotate90": [{"axes": (1, 2)}, {"axes": None}],
    "Flip": [{"axis": 0}, {"axis": (1, 2)}, {"axis": None}],
    "Transpose": [{"axes": (2, 0, 1)}],
    "TimeReverse": [{}],
    "RandomCropFromBorders": [{"crop_value": 0.3}],
    "RandomDropPlane": [{"plane_drop_prob": 0.4, "axes": (0, 1, 2)}],
    "RandomFrameDrop": [{"drop_prob": 0.5}],
    "RandomShift": [{"shift_limit": (1, 2)}, {"shift_limit": 2, "border_mode": "constant"}],
    "Resize": [
        {"shape": (9, 5, 17)},
        {"shape": (4, 20, 11), "interpolation": 3},
        {"shape": (9, 5, 17), "align_corners": True},
        {"shape": (5, 13, 9), "interpolation": 0},
    ],
    "GridDropout": [{"random_offset": True}],
    "GaussianNoise": [{"var_limit": (100, 400)}],
    "PoissonGamma": [{}],
    "RowNoise": [{"std_limit": (5, 20)}],
    "FrameJitter": [{"gain_limit": (0.5, 2), "dim_prob": 0.3}],
    "RandomGamma": [{"gamma_limit": (40, 60)}, {"gamma_limit": (150, 200), "stretch": True}],
    "Normalize": [{}, {"range_norm": True}],
    "ToFloat": [{}],
    "FromFloat": [{}, {"dtype": "uint8"}],
}
CASES = [
    pytest.param(name, options, id=f"{name}-{number}")
    for name, examples in EXAMPLES.items()
    for number, options in enumerate(examples)
]
OUT_DTYPES = {"Normalize": "float32", "ToFloat": "float32", "FromFloat": "uint16"}
WITHOUT_RANDOMNESS = {"TimeReverse", "Transpose", "Resize", "Normalize", "ToFloat", "FromFloat"}
WHITE = {"uint8": 255, "uint16": 65535, "float32": 1}
SHAPE = (7, 10, 12)
SIZES = ((7, 10, 12), (6, 9, 8, 1), (6, 9, 8, 2), (5, 8, 9, 3), (5, 8, 9, 4), (4, 7, 9, 5))

every_case = pytest.mark.parametrize(("name", "options"), CASES)


def make(name: str, options: dict[str, Any]) -> Transform:
    return transform_class(name)(**options, p=1.0)


def volume(shape: tuple[int, ...], dtype: str = "uint8", seed: int = 0) -> NDArray[Any]:
    """Every value alike often, black and white among them."""
    share = np.clip(np.random.default_rng(seed).random(shape) * 1.2 - 0.1, 0, 1)
    return (share if dtype == "float32" else np.rint(share * WHITE[dtype])).astype(dtype)


def taken(name: str, dtypes: tuple[str, ...] = tuple(WHITE)) -> list[str]:
    """The dtypes that a transform takes."""
    return ["float32"] if name == "FromFloat" else list(dtypes)


def checkerboard(shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    return (np.indices(shape[:3]).sum(axis=0) % 2 * WHITE[dtype]).astype(dtype)


def test_every_transform_has_an_example_and_stands_in_the_package() -> None:
    assert list(EXAMPLES) == list(MODULES)
    for name in MODULES:
        assert getattr(stallscan.augment, name) is transform_class(name)
        assert transform_class(name).__name__ == name
        assert issubclass(transform_class(name), (Spatial, Pixel))


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
    image = volume(SHAPE, taken(name)[0])
    np_state, state = np.random.get_state()[1].tobytes(), random.getstate()  # noqa: NPY002
    results = [transform(image=image, rng=seed)["image"] for seed in (*range(8), 0)]
    assert results[0].tobytes() == results[-1].tobytes()
    n_different = len({result.tobytes() for result in results})
    assert (n_different == 1) == (name in WITHOUT_RANDOMNESS or options.get("axis") is not None)
    assert np.random.get_state()[1].tobytes() == np_state  # noqa: NPY002
    assert random.getstate() == state


@every_case
def test_sample_gives_json_and_apply_is_pure(name: str, options: dict[str, Any]) -> None:
    transform = make(name, options)
    image = volume((*SHAPE, 3), taken(name)[-1])
    params = transform.sample(np.random.default_rng(3), SHAPE)
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
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "int32", "int64"])
def test_masks_keep_their_dtype_and_gain_no_label(
    name: str, options: dict[str, Any], dtype: str
) -> None:
    labels = np.array([0, 1] if dtype == "bool" else [0, 3, 100, 7], dtype)
    if dtype == "int64":
        labels = labels * 2**55 + (labels > 0)  # what neither float32 nor float64 can hold
    mask = labels[np.random.default_rng(0).integers(len(labels), size=SHAPE)]
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
    if isinstance(transform, Pixel):
        np.testing.assert_array_equal(found["points"], places)
        np.testing.assert_array_equal(found["boxes"], boxes)
        np.testing.assert_array_equal(found["mask"], mask)
    else:
        extents = np.array(found["image"].shape)
        low, high = found["boxes"][0, :3], found["boxes"][0, 3:6]
        assert (low >= 0).all() and (high <= extents).all() and (low <= high).all()


@every_case
def test_channels_are_moved_alike_in_any_number(name: str, options: dict[str, Any]) -> None:
    """Equal channels stay equal, and are what the volume without channels becomes.

    But for the last bits: OpenCV's loops differ with the number of channels.
    """
    transform = make(name, options)
    if not isinstance(transform, Spatial):
        pytest.skip("noise differs between channels")
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
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 6, 7), (5, 1, 8), (5, 8, 1), (2, 2, 41, 3)])
def test_thin_and_single_frame_volumes_go_through(
    name: str, options: dict[str, Any], shape: tuple[int, ...]
) -> None:
    transform = make(name, options)
    image = volume(shape, taken(name)[0])
    found = transform(image=image, mask=image, points=np.zeros((1, 3)), rng=0)
    assert found["image"].shape[:3] == found["mask"].shape[:3]
    assert np.isfinite(found["image"]).all() and np.isfinite(found["points"]).all()


@every_case
def test_black_and_white_never_wrap(name: str, options: dict[str, Any]) -> None:
    """A checkerboard of whole numbers becomes what that of floats becomes, within rounding."""
    transform = make(name, options)
    if not isinstance(transform, Spatial):
        for dtype in taken(name, ("uint8", "uint16")):
            white = np.full(SHAPE, WHITE[dtype], dtype)
            bright = transform(image=white, rng=1)["image"].astype(float)
            dark = transform(image=white * 0, rng=1)["image"].astype(float)
            if name not in ("GridDropout", "FrameJitter", "Normalize", "FromFloat"):
                assert bright.min() > WHITE.get(str(bright.dtype), 1) * 0.2 or name == "ToFloat"
            if name != "FromFloat":
                assert dark.max() < 0.7 * WHITE[dtype]
        return
    exact = transform(image=checkerboard(SHAPE, "float32"), rng=6)["image"]
    for dtype, tolerance in (("uint8", 0.09), ("uint16", 0.07)):
        found = transform(image=checkerboard(SHAPE, dtype), rng=6)["image"] / WHITE[dtype]
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
        if name not in ("Flip", "RandomRotate90", "Transpose", "TimeReverse"):
            with pytest.raises(OptionError, match=f"{name} cannot be undone; allowed are Flip"):
                transform.invert(record, **found)
            continue
        undone = transform.invert(record, **found)
        for key, target in targets.items():
            np.testing.assert_array_equal(undone[key], target)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"imag": np.zeros(SHAPE, np.uint8)}, "imag.*image"),
    ({"image": np.zeros(SHAPE)}, "float64.*uint8, uint16 and float32"),
    ({"image": np.zeros(SHAPE, np.int64)}, "int64.*uint8, uint16 and float32"),
    ({"image": np.zeros((5, 6), np.uint8)}, r"\(5, 6\).*\(z, y, x\)"),
    ({"image": np.zeros((1, 2, 5, 6, 3), np.uint8)}, r"\(1, 2, 5, 6, 3\).*\(z, y, x, c\)"),
    ({"image": np.zeros((0, 5, 6), np.uint8)}, r"\(0, 5, 6\).*not empty"),
    ({"mask": np.zeros((4, 5), np.uint8)}, r"mask .*\(4, 5\)"),
    ({"mask": np.full(SHAPE, "a")}, "mask is <U1"),
    ({"points": [[1, 2, 3]]}, "give image= or mask="),
    ({}, "give image= or mask="),
]


@pytest.mark.parametrize("name", MODULES)
def test_wrong_calls_are_refused_with_what_was_given_and_what_is_allowed(name: str) -> None:
    made = make(name, EXAMPLES[name][0])
    image = np.zeros(SHAPE, taken(name)[0])
    for targets, message in REFUSED:
        with pytest.raises(OptionError, match=message):
            made(**targets, rng=0)
    with pytest.raises(OptionError, match=r"mask has the extent \(6, 10, 12\).*\(7, 10, 12\)"):
        made(image=image, mask=np.zeros((6, 10, 12), bool), rng=0)
    for key, rows in (("points", [[1.0, np.nan, 2]]), ("points", [[1.0, 2]]), ("boxes", [[1.0]])):
        with pytest.raises(OptionError, match=f"{key}.*allowed"):
            made(image=image, rng=0, **{key: rows})
    with pytest.raises(OptionError, match="record was drawn for"):
        made.replay(made.record(0, SHAPE), image=image[1:])


@pytest.mark.parametrize("name", MODULES)
def test_wrong_options_are_refused_with_the_value_and_what_is_allowed(name: str) -> None:
    options = EXAMPLES[name][0]
    kind = transform_class(name)
    for p in (-0.1, 1.01, float("nan"), "half", None, True):
        with pytest.raises(OptionError, match=rf"{name}\.p is {p!r}, allowed are 0 to 1"):
            kind(**options, p=p)
    with pytest.raises(OptionError, match=f"{name}.always_apply is 0.5.*True and False"):
        kind(**options, always_apply=0.5)
    with pytest.raises(OptionError, match=f"{name} has no option probability .*0.5.*allowed are"):
        kind(**options, probability=0.5)
    first = next(iter(options), "always_apply")
    with pytest.raises(OptionError, match=f"did you mean {first}"):
        kind(**{first + "s": 1})
