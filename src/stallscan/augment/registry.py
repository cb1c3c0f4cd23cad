"""All transforms by name, and pipelines from and to plain data and YAML."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from stallscan.augment import _checks
from stallscan.augment._batch import BatchAugmentation
from stallscan.augment._transform import Augmentation, Transform
from stallscan.augment.compose import Compose, OneOf, SomeOf
from stallscan.errors import OptionError

GROUPS: dict[str, dict[str, str]] = {
    "Whole voxels": {
        "Flip": "flip",
        "TimeReverse": "time_reverse",
        "Transpose": "transpose",
        "RandomRotate90": "random_rotate90",
        "CubicSymmetry": "cubic_symmetry",
    },
    "Turned and bent": {
        "Rotate": "rotate",
        "RotatePseudo2D": "rotate_pseudo2d",
        "RandomAffine": "random_affine",
        "RandomShift": "random_shift",
        "ElasticTransform": "elastic_transform",
        "ElasticTransformPseudo2D": "elastic_transform_pseudo2d",
        "GridDistortion": "grid_distortion",
    },
    "Size": {
        "Resize": "resize",
        "RandomScale": "random_scale",
        "RandomCrop": "random_crop",
        "CenterCrop": "center_crop",
        "RandomCropFromBorders": "random_crop_from_borders",
        "RandomResizedCrop": "random_resized_crop",
        "CropNonEmptyMaskIfExists": "crop_non_empty_mask_if_exists",
        "ResizedCropNonEmptyMaskIfExists": "resized_crop_non_empty_mask_if_exists",
        "RemoveEmptyBorder": "remove_empty_border",
        "PadIfNeeded": "pad_if_needed",
        "Pad": "pad",
    },
    "Frames and planes": {
        "RandomDropPlane": "random_drop_plane",
        "RandomFrameDrop": "random_frame_drop",
        "TemporalCrop": "temporal_crop",
        "TemporalResample": "temporal_resample",
        "FrameJitter": "frame_jitter",
        "Attenuation": "attenuation",
    },
    "Brightness": {
        "RandomGamma": "random_gamma",
        "RandomBrightnessContrast": "random_brightness_contrast",
        "BiasField": "bias_field",
        "RemoveBackground": "remove_background",
        "HistogramNormalize": "histogram_normalize",
        "HistogramMatching": "histogram_matching",
        "CLAHE": "clahe",
        "Solarize": "solarize",
        "Posterize": "posterize",
    },
    "Noise": {
        "GaussianNoise": "gaussian_noise",
        "PoissonGamma": "poisson_gamma",
        "RowNoise": "row_noise",
    },
    "Sharpness": {
        "GaussianBlur": "gaussian_blur",
        "Blur": "blur",
        "MedianBlur": "median_blur",
        "MotionBlur": "motion_blur",
        "GlassBlur": "glass_blur",
        "UnsharpMask": "unsharp_mask",
        "Downscale": "downscale",
        "ImageCompression": "image_compression",
    },
    "Holes": {
        "GridDropout": "grid_dropout",
        "CoarseDropout": "coarse_dropout",
        "RandomOcclusion": "random_occlusion",
    },
    "Outline": {
        "OutlineJitter": "outline_jitter",
    },
    "What values mean": {
        "Normalize": "normalize",
        "ToFloat": "to_float",
        "FromFloat": "to_float",
    },
}
"""Transforms by what they change, and the module of each."""

MODULES = {name: module for group in GROUPS.values() for name, module in group.items()}
"""Module of each transform, in the order in which they are listed."""

BATCHES = {"MixUp": "mix_up", "CutMix": "cut_mix"}
"""Module of each augmentation that mixes the samples of a batch."""

_PIPELINES: dict[str, type[Compose | OneOf | SomeOf]] = {
    "Compose": Compose,
    "OneOf": OneOf,
    "SomeOf": SomeOf,
}


def transform_class(name: str) -> type[Transform]:
    """The class of a transform.

    Raises:
        OptionError: there is none of this name.
    """
    found: type[Transform] = _class_of("transform", name, MODULES)
    return found


def batch_class(name: str) -> type[BatchAugmentation]:
    """The class of an augmentation of batches.

    Raises:
        OptionError: there is none of this name.
    """
    found: type[BatchAugmentation] = _class_of("batch augmentation", name, BATCHES)
    return found


def _class_of(what: str, name: str, modules: Mapping[str, str]) -> Any:
    _checks.one_of(what, name, tuple(modules))
    return getattr(importlib.import_module(f"stallscan.augment.{modules[name]}"), name)


def from_dict(fields: Mapping[str, Any]) -> Augmentation:
    """A transform or pipeline from what its `to_dict` gave.

    Raises:
        OptionError: an unknown name, or options that it does not take.
    """
    if not isinstance(fields, Mapping) or "name" not in fields:
        raise OptionError(f"{fields!r} describes no transform; a mapping with the key name does")
    options = {key: _tuples(value) for key, value in fields.items() if key != "name"}
    name = fields["name"]
    _checks.one_of("name", name, (*_PIPELINES, *MODULES))
    if name in _PIPELINES:
        children = fields.get("transforms")
        if not isinstance(children, (list, tuple)):
            raise OptionError(f"{name}.transforms is {children!r}, allowed is a list of transforms")
        options["transforms"] = [from_dict(child) for child in children]
        try:
            return _PIPELINES[name](**options)
        except TypeError as error:
            raise OptionError(f"{name}: {error}") from None
    try:
        return transform_class(name)(**options)
    except TypeError as error:
        raise OptionError(f"{name}: {error}") from None


def to_yaml(augmentation: Augmentation) -> str:
    """A pipeline as YAML, to be kept beside what was trained with it."""
    import yaml

    text: str = yaml.safe_dump(augmentation.to_dict(), sort_keys=False, default_flow_style=None)
    return text


def from_yaml(text: str) -> Augmentation:
    """A pipeline from YAML; nothing in it can execute.

    Raises:
        OptionError: no YAML, or no pipeline.
    """
    import yaml

    try:
        fields = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise OptionError(f"not YAML: {error}") from None
    return from_dict(fields)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(entry) for entry in value) if isinstance(value, list) else value
