"""Examples of every registered transform, and volumes to try them on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stallscan.augment import transform_class
from stallscan.augment._transform import Spatial, Transform

# Options that make each transform act on the volumes below, without p.
EXAMPLES: dict[str, list[dict[str, Any]]] = {
    "Flip": [{"axis": 0}, {"axis": (1, 2)}, {"axis": None}],
    "TimeReverse": [{}],
    "Transpose": [{"axes": (2, 0, 1)}],
    "RandomRotate90": [{"axes": (1, 2)}, {"axes": None}],
    "CubicSymmetry": [{}, {"keep_frames": True}],
    "Rotate": [
        {"x_limit": (10, 30), "y_limit": 0, "z_limit": 0, "border_mode": "nearest"},
        {"x_limit": (-30, -10), "y_limit": (5, 20), "z_limit": (5, 20)},
        {"x_limit": (10, 30), "border_mode": "reflect", "interpolation": 3},
    ],
    "RotatePseudo2D": [
        {},
        {"axes": (1, 2), "limit": (10, 40), "border_mode": "nearest"},
        {"axes": (2, 0), "interpolation": 0},
    ],
    "RandomAffine": [
        {"translation_limit": 0.1, "shear_limit": 10, "spacing": (2, 0.8, 0.8)},
        {"angle_limit": ((10, 30), 0, 0), "scaling_limit": (1, 1.2, (0.8, 1.1))},
        {"angle_limit": 20, "border_mode": "reflect", "interpolation": 3},
    ],
    "RandomShift": [{"shift_limit": (1, 2)}, {"shift_limit": 2, "border_mode": "constant"}],
    "ElasticTransform": [
        {"deformation_limits": (0.1, 0.25)},
        {"deformation_limits": (0.1, 0.25), "interpolation": 2, "border_mode": "reflect"},
    ],
    "ElasticTransformPseudo2D": [
        {"alpha": 20, "sigma": 3},
        {"alpha": 5, "sigma": 1, "border_mode": "constant"},
        {"interpolation": 2},
    ],
    "GridDistortion": [
        {},
        {"num_steps": 3, "distort_limit": 0.8, "axes": (0, 1, 2)},
        {"interpolation": 2, "axes": 0},
    ],
    "Resize": [
        {"shape": (9, 5, 17)},
        {"shape": (4, 20, 11), "interpolation": 3},
        {"shape": (9, 5, 17), "align_corners": True},
        {"shape": (5, 13, 9), "interpolation": 0},
    ],
    "RandomScale": [
        {"scale_limit": (0.6, 1.6)},
        {"scale_limit": (0.6, 1.6), "per_axis": True, "interpolation": 0},
        {"scale_limit": (1.2, 2), "interpolation": 3},
    ],
    "RandomCrop": [
        {"shape": (5, None, 8), "pad_if_needed": True},
        {"shape": (4, 5, 15), "pad_if_needed": True, "border_mode": "reflect"},
    ],
    "CenterCrop": [{"shape": (5, 14, None), "pad_if_needed": True, "border_mode": "nearest"}],
    "RandomCropFromBorders": [{"crop_value": 0.3}],
    "RandomResizedCrop": [
        {"shape": (6, 8, 9), "scale_limit": (0.6, 1.2)},
        {"shape": (4, 5, 6), "scale_limit": (1.1, 1.9), "interpolation": 0},
    ],
    "CropNonEmptyMaskIfExists": [{"shape": (None, 5, 13), "pad_if_needed": True}],
    "ResizedCropNonEmptyMaskIfExists": [{"shape": (5, 6, 7), "scale_limit": (0.5, 1.3)}],
    "RemoveEmptyBorder": [{}],
    "PadIfNeeded": [{"shape": (None, 15, 14)}, {"shape": (9, 9, 20), "border_mode": "reflect"}],
    "Pad": [
        {"padding": 2},
        {"padding": (1, 0, 3), "border_mode": "nearest"},
        {"padding": ((0, 20), (1, 2), (3, 0)), "border_mode": "reflect"},
    ],
    "RandomDropPlane": [{"plane_drop_prob": 0.4, "axes": (0, 1, 2)}],
    "RandomFrameDrop": [{"drop_prob": 0.5}],
    "TemporalCrop": [{"length_limit": (0.3, 0.8)}],
    "TemporalResample": [{"rate_limit": (0.4, 3)}, {"rate_limit": (0.4, 3), "interpolation": 0}],
    "FrameJitter": [{"gain_limit": (0.5, 2), "dim_prob": 0.3}],
    "Attenuation": [{"left_limit": (0.2, 0.6)}, {"left_limit": (0.3, 0.6), "dimmest": "either"}],
    "RandomGamma": [{"gamma_limit": (40, 60)}, {"gamma_limit": (150, 200), "stretch": True}],
    "RandomBrightnessContrast": [
        {"brightness_limit": (-0.2, 0.05), "contrast_limit": (0.25, 0.6)},
        {"brightness_limit": (-0.2, 0.1), "contrast_limit": (0.2, 0.5), "brightness_by_max": False},
    ],
    "BiasField": [{}, {"ratio_limit": (2, 4), "z_ratio_limit": 1, "order": 1}],
    "RemoveBackground": [{}, {"sigma_limit": (3, 9), "sigma_z_limit": 9, "per_axis": True}],
    "HistogramNormalize": [{"blend_ratio": (0.3, 1)}],
    "HistogramMatching": [
        {"references": ((*range(8), *range(248, 255)), (*range(7), 90, *range(245, 252)))},
    ],
    "CLAHE": [{}, {"tile_grid": (2, 3, 2), "clip_limit": (2, 10)}],
    "Solarize": [{"threshold_limit": (60, 200)}],
    "Posterize": [{"bits_limit": (1, 5)}],
    "GaussianNoise": [{"var_limit": (100, 400)}],
    "PoissonGamma": [{}],
    "RowNoise": [{"std_limit": (5, 20)}],
    "GaussianBlur": [
        {"sigma_limit": (0.4, 0.7)},
        {"sigma_limit": (0.3, 0.6), "sigma_z_limit": 0.6, "per_axis": True},
    ],
    "Blur": [{"blur_limit": 3, "blur_z_limit": (1, 3)}, {"blur_limit": (1, 3), "per_axis": True}],
    "MedianBlur": [{"blur_limit": (3, 7)}, {"blur_limit": (1, 3), "frames": 3}],
    "MotionBlur": [{"blur_limit": 3}, {"blur_limit": 3, "angle_limit": 20, "each_frame": True}],
    "GlassBlur": [
        {"sigma": 0.3, "max_delta": 1, "iterations": 1},
        {"sigma": 0.4, "each_frame": True},
    ],
    "UnsharpMask": [
        {},
        {"sigma_limit": 8, "alpha_limit": (1, 2), "sigma_z_limit": (0.5, 9), "per_axis": True},
    ],
    "Downscale": [
        {"scale_min": 0.3, "scale_max": 0.9},
        {"scale_min": 0.4, "scale_max": 0.9, "axes": (0, 1, 2), "per_axis": True, "upscale": 1},
        {"scale_min": 0.4, "scale_max": 0.9, "interpolation": 1, "upscale": 3},
    ],
    "ImageCompression": [{}, {"compression_type": 1}],
    "GridDropout": [{"random_offset": True}],
    "CoarseDropout": [{}, {"n_holes": (2, 4)}],
    "RandomOcclusion": [{"radius_limit": (0.2, 0.4)}, {"n_polygons": 2, "max_cover": 0.1}],
    "OutlineJitter": [{"shift_limit": 2, "wobble_limit": 1, "wobble_length": 4}],
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
FLATTENS = {"Solarize"}  # white becomes black, as black is
WITHOUT_RANDOMNESS = {
    *("TimeReverse", "Transpose", "Resize", "Normalize", "ToFloat", "FromFloat"),
    *("CenterCrop", "PadIfNeeded", "Pad", "RemoveEmptyBorder"),
}
WHITE = {"uint8": 255, "uint16": 65535, "float32": 1}
SHAPE = (7, 10, 12)
SIZES = ((7, 10, 12), (6, 9, 8, 1), (6, 9, 8, 2), (5, 8, 9, 3), (5, 8, 9, 4), (4, 7, 9, 5))

every_case = pytest.mark.parametrize(("name", "options"), CASES)
every_spatial_case = pytest.mark.parametrize(
    ("name", "options"),
    [case for case in CASES if issubclass(transform_class(str(case.values[0])), Spatial)],
)
every_case_of_one_dtype = pytest.mark.parametrize(
    ("name", "options"), [case for case in CASES if case.values[0] not in OUT_DTYPES]
)


def make(name: str, options: dict[str, Any]) -> Transform:
    return transform_class(name)(**options, p=1.0)


def volume(shape: tuple[int, ...], dtype: str = "uint8", seed: int = 0) -> NDArray[Any]:
    """Every value alike often, black and white among them."""
    share = np.clip(np.random.default_rng(seed).random(shape) * 1.2 - 0.1, 0, 1)
    return (share if dtype == "float32" else np.rint(share * WHITE[dtype])).astype(dtype)


def ball(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """A mask: what lies within a third of each extent from the middle."""
    places = np.moveaxis(np.indices(shape[:3]), 0, -1) - (np.array(shape[:3]) - 1) / 2
    reach = np.linalg.norm(places / np.array(shape[:3]), axis=3)
    return (reach <= 1 / 3).astype(np.uint8)


def taken(name: str, dtypes: tuple[str, ...] = tuple(WHITE)) -> list[str]:
    """The dtypes that a transform takes."""
    return ["float32"] if name == "FromFloat" else list(dtypes)


def checkerboard(shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    """Black and white cubes of two voxels."""
    return ((np.indices(shape[:3]) // 2).sum(axis=0) % 2 * WHITE[dtype]).astype(dtype)
