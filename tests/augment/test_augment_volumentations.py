"""Drop-in for volumentations-3D 1.0.4: its signatures, its README's pipeline, none of its faults.

Each fault below was reproduced with that library, or with the one named.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pulls import coordinates, drawn_as

import stallscan.augment
from stallscan.augment import (
    Compose,
    Flip,
    GaussianNoise,
    GridDropout,
    OneOf,
    RandomBrightnessContrast,
    RandomGamma,
    Resize,
    Rotate,
    transform_class,
)

REQUIRED = inspect.Parameter.empty
INTERPOLATING = [
    ("interpolation", 1),
    ("border_mode", "constant"),
    ("value", 0),
    ("mask_value", 0),
    ("always_apply", False),
    ("p", 0.5),
]
CROPPING = [("shape", REQUIRED), ("always_apply", False), ("p", 1.0)]
RESIZED_CROPPING = [
    ("shape", REQUIRED),
    ("scale_limit", (0.8, 1.2)),
    ("interpolation", 1),
    ("resize_type", 1),
    ("always_apply", False),
    ("p", 1.0),
]
POSITIONAL: dict[str, list[tuple[str, Any]]] = {
    "Rotate": [
        ("x_limit", (-15, 15)),
        ("y_limit", (-15, 15)),
        ("z_limit", (-15, 15)),
        *INTERPOLATING,
    ],
    "ElasticTransform": [("deformation_limits", (0, 0.25)), *INTERPOLATING],
    "RandomRotate90": [("axes", None), ("always_apply", False), ("p", 0.5)],
    "Flip": [("axis", None), ("always_apply", False), ("p", 0.5)],
    "Transpose": [("axes", (1, 0, 2)), ("always_apply", False), ("p", 0.5)],
    "RandomCropFromBorders": [
        ("crop_value", None),
        ("crop_0_min", None),
        ("crop_0_max", None),
        ("crop_1_min", None),
        ("crop_1_max", None),
        ("crop_2_min", None),
        ("crop_2_max", None),
        ("always_apply", False),
        ("p", 1.0),
    ],
    "RandomDropPlane": [
        ("plane_drop_prob", 0.1),
        ("axes", (0,)),
        ("always_apply", False),
        ("p", 1.0),
    ],
    "Resize": [
        ("shape", REQUIRED),
        ("interpolation", 1),
        ("resize_type", 1),
        ("always_apply", False),
        ("p", 1),
    ],
    "GridDropout": [
        ("ratio", 0.5),
        ("unit_size_min", None),
        ("unit_size_max", None),
        ("holes_number_x", None),
        ("holes_number_y", None),
        ("holes_number_z", None),
        ("shift_x", 0),
        ("shift_y", 0),
        ("shift_z", 0),
        ("random_offset", False),
        ("fill_value", 0),
        ("mask_fill_value", None),
        ("always_apply", False),
        ("p", 0.5),
    ],
    "GaussianNoise": [
        ("var_limit", (10.0, 50.0)),
        ("mean", 0),
        ("always_apply", False),
        ("p", 0.5),
    ],
    "RandomGamma": [("gamma_limit", (80, 120)), ("eps", None), ("always_apply", False), ("p", 0.5)],
    "RandomBrightnessContrast": [
        ("brightness_limit", 0.2),
        ("contrast_limit", 0.2),
        ("brightness_by_max", True),
        ("always_apply", False),
        ("p", 0.5),
    ],
    "Normalize": [("range_norm", False), ("always_apply", True), ("p", 1.0)],
    "RandomScale": [
        ("scale_limit", (0.9, 1.1)),
        ("interpolation", 1),
        ("always_apply", False),
        ("p", 0.5),
    ],
    "RandomCrop": CROPPING,
    "CenterCrop": CROPPING,
    "RandomResizedCrop": RESIZED_CROPPING,
    "CropNonEmptyMaskIfExists": CROPPING,
    "ResizedCropNonEmptyMaskIfExists": RESIZED_CROPPING,
    "PadIfNeeded": [
        ("shape", REQUIRED),
        ("border_mode", "constant"),
        ("value", 0),
        ("mask_value", 0),
        ("always_apply", False),
        ("p", 1),
    ],
    "RemoveEmptyBorder": [("border_value", 0), ("always_apply", False), ("p", 1.0)],
}
README = """
from volumentations import *

def get_augmentation(patch_size):
    return Compose([
        Rotate((-15, 15), (0, 0), (0, 0), p=0.5),
        RandomCropFromBorders(crop_value=0.1, p=0.5),
        ElasticTransform((0, 0.25), interpolation=2, p=0.1),
        Resize(patch_size, interpolation=1, resize_type=0, always_apply=True, p=1.0),
        Flip(0, p=0.5),
        Flip(1, p=0.5),
        Flip(2, p=0.5),
        RandomRotate90((1, 2), p=0.5),
        GaussianNoise(var_limit=(0, 5), p=0.2),
        RandomGamma(gamma_limit=(80, 120), p=0.2),
    ], p=1.0)
"""


def noise(shape: tuple[int, ...], dtype: str = "uint8") -> NDArray[Any]:
    values = np.random.default_rng(0).random(shape)
    white = {"uint8": 255, "uint16": 65535, "float32": 1}[dtype]
    return (values * white).astype(dtype)


@pytest.mark.parametrize("name", POSITIONAL)
def test_positional_parameters_have_its_names_order_and_defaults(name: str) -> None:
    parameters = inspect.signature(transform_class(name)).parameters.values()
    found = [(one.name, one.default) for one in parameters if one.kind != one.KEYWORD_ONLY]
    assert found == POSITIONAL[name]


def test_compose_takes_its_arguments() -> None:
    parameters = inspect.signature(Compose.__init__).parameters.values()
    positional = [one.name for one in parameters if one.kind != one.KEYWORD_ONLY]
    assert positional == ["self", "transforms", "p", "targets"]
    aug = Compose([Flip(0, False, 1)], 1.0, [["image", "image2"], ["mask"]])
    found = aug(image=noise((3, 4, 5)), image2=noise((3, 4, 5)))
    np.testing.assert_array_equal(found["image"], found["image2"])


def test_the_readmes_pipeline_runs_with_another_import() -> None:
    names: dict[str, Any] = {}
    exec(README.replace("from volumentations", "from stallscan.augment"), names)
    aug = names["get_augmentation"]((9, 16, 16))
    for shape in ((12, 20, 22), (12, 20, 22, 3)):
        for _ in range(25):
            data = {"image": noise(shape), "mask": noise((12, 20, 22)) > 100}
            found = aug(**data)
            assert found["image"].shape == (9, 16, 16, *shape[3:])
            assert found["image"].dtype == np.uint8 and found["mask"].dtype == bool
            assert found["mask"].shape == (9, 16, 16)
    assert "Rotate" in stallscan.augment.__all__


def test_resize_keeps_float_and_uint16() -> None:
    for dtype in ("float32", "uint16"):
        image = noise((5, 6, 7), dtype)
        found = Resize((6, 9, 9))(image=image)["image"]
        assert found.dtype == dtype
        assert abs(float(found.mean()) / float(image.mean()) - 1) < 0.05
        assert found.max() <= image.max() and found.std() > 0.2 * image.std()


def test_grey_volumes_and_masks_without_channels_work() -> None:
    for name in POSITIONAL:
        options = {"shape": (4, 5, 6)} if ("shape", REQUIRED) in POSITIONAL[name] else {}
        aug = transform_class(name)(**options, p=1)
        found = aug(image=noise((12, 14, 16)), mask=noise((12, 14, 16)), rng=0)
        assert found["image"].ndim == found["mask"].ndim == 3


def test_grid_dropout_drops_its_share() -> None:
    """There 1.2 % instead of 13.3 %; here the cube of the ratio, within 10 %."""
    for shape in ((60, 66, 67), (96, 128, 128), (24, 31, 47), (20, 90, 33)):
        for options in ({}, {"random_offset": True}, {"ratio": 0.3}, {"holes_number_x": 5}):
            dropout = GridDropout(p=1, **options)
            expected = options.get("ratio", 0.5) ** 3
            image = np.ones((*shape, 3), np.uint8)
            for seed in range(3):
                found = dropout(image=image, rng=seed)["image"]
                assert abs((found == 0).mean() / expected - 1) < 0.1, (shape, options)


def test_no_rotation_moves_nothing_in_time_neither() -> None:
    image = noise((9, 12, 12))
    rotate = Rotate(p=1)
    still = drawn_as(rotate, {"angles_deg": [0.0, 0.0, 0.0]}, image.shape)
    assert rotate.replay(still, image=image)["image"].tobytes() == image.tobytes()
    tiny = drawn_as(rotate, {"angles_deg": [1e-3, 0.0, 0.0]}, image.shape)
    places = rotate.replay(tiny, image=coordinates((9, 12, 12)))["image"]
    assert np.abs(places - coordinates((9, 12, 12))).max() < 0.02


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_cubic_overshoot_never_wraps(dtype: str) -> None:
    """There it wraps 0.2 to 0.3 % of the voxels."""
    white = {"uint8": 255, "uint16": 65535, "float32": 1}[dtype]
    image = ((np.indices((8, 14, 14)) // 3).sum(axis=0) % 2 * white).astype(dtype)
    linear = Rotate((20, 20), (10, 10), 0, 1, "nearest", p=1)(image=image, rng=0)["image"]
    cubic = Rotate((20, 20), (10, 10), 0, 3, "nearest", p=1)(image=image, rng=0)["image"]
    assert cubic.max() == white and cubic.min() == 0
    sure = (linear > 0.9 * white) | (linear < 0.1 * white)
    assert np.abs(cubic.astype(float) - linear)[sure].max() < 0.4 * white


def test_the_resized_last_frame_is_never_black() -> None:
    """There it is for 18 of 280 depths, 60 among them."""
    for depth in range(17, 435):
        image = np.full((depth, 2, 2), 200, np.uint8)
        assert (Resize((96, 3, 3))(image=image)["image"] == 200).all(), depth


def test_variance_is_no_standard_deviation() -> None:
    image = np.full((20, 40, 40), 128, np.uint8)
    found = GaussianNoise((25, 25), p=1)(image=image, rng=0)["image"]
    assert abs(found.astype(float).std() - 5) < 0.1


def test_gamma_neither_gives_nan_nor_stretches_the_contrast() -> None:
    gamma = RandomGamma((80, 120), p=1)
    for image in (np.zeros((3, 4, 5), np.float32), np.full((3, 4, 5), 0.5, np.float32)):
        found = gamma(image=image, rng=0)["image"]
        assert np.isfinite(found).all() and np.ptp(found) == 0
    dim = (noise((6, 9, 9)) // 4 + 20).astype(np.uint8)
    assert gamma(image=dim, rng=0)["image"].max() < 120


def test_brightness_and_contrast_make_no_volume_white_and_round() -> None:
    """There 99.5 % of a uint8 volume in a Compose become 1, and alone it loses 0.4 grey levels."""
    volume = noise((6, 8, 9, 3))
    aug = Compose([RandomBrightnessContrast(0, (0.2, 0.2), p=1)])
    found = aug(image=volume, rng=0)["image"]
    expected = np.clip(volume * 1.2, 0, 255)
    assert found.dtype == np.uint8 and found.mean() == pytest.approx(expected.mean(), abs=0.05)


def test_brightness_by_the_mean_means_the_same_in_every_dtype() -> None:
    """There of uint8 the mean before the contrast, of float32 the one behind it."""
    volume = noise((6, 8, 9)) // 4
    aug = RandomBrightnessContrast((0.2, 0.2), (0.5, 0.5), False, p=1)
    found = aug(image=volume, rng=0)["image"]
    as_float = aug(image=volume / np.float32(255), rng=0)["image"] * 255
    np.testing.assert_allclose(found, as_float, atol=0.51)


def test_random_flip_axes_are_the_same_for_image_and_mask() -> None:
    flip = Flip(p=1)
    for _ in range(30):
        found = flip(image=noise((3, 4, 5)), mask=noise((3, 4, 5)))
        np.testing.assert_array_equal(found["image"], found["mask"])


def test_compose_nests_and_keeps_dtypes() -> None:
    aug = Compose([Compose([Flip(0, p=1)]), OneOf([Compose([Flip(1, p=1)])], p=1)])
    mask = (noise((3, 4, 5)) // 50).astype(np.int16)
    for dtype in ("uint8", "uint16", "float32"):
        image = noise((3, 4, 5, 3), dtype)
        found = aug(image=image, mask=mask)
        assert found["image"].dtype == dtype and found["mask"].dtype == np.int16
        np.testing.assert_array_equal(found["image"], image[::-1, ::-1])
        np.testing.assert_array_equal(found["mask"], mask[::-1, ::-1])
