"""What every registered transform refuses, and with which options it changes nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from transform_examples import EXAMPLES, SHAPE, WHITE, make, taken, volume

from stallscan.augment import transform_class
from stallscan.augment.registry import MODULES
from stallscan.errors import OptionError

# Options with which a transform acts and changes nothing; those left out always change something.
IDENTITIES: dict[str, dict[str, Any]] = {
    "Rotate": {"x_limit": 0, "y_limit": 0, "z_limit": 0, "interpolation": 3},
    "ElasticTransform": {"deformation_limits": 0},
    "Transpose": {"axes": (0, 1, 2)},
    "RandomCropFromBorders": {"crop_value": 0},
    "RandomDropPlane": {"plane_drop_prob": 0},
    "RandomFrameDrop": {"drop_prob": 0},
    "RandomShift": {"shift_limit": 0},
    "GaussianNoise": {"var_limit": 0},
    "RowNoise": {"std_limit": 0},
    "FrameJitter": {"gain_limit": 1, "dim_prob": 0},
    "RandomGamma": {"gamma_limit": 100},
    "Attenuation": {"left_limit": 1},
    "RandomBrightnessContrast": {"brightness_limit": 0, "contrast_limit": 0},
    "BiasField": {"ratio_limit": 1, "z_ratio_limit": 1},
    "HistogramNormalize": {"blend_ratio": 0},
    "HistogramMatching": {"blend_ratio": 0},
    "Solarize": {"threshold_limit": 256},
    "CoarseDropout": {"n_holes": 0},
    "RandomOcclusion": {"n_polygons": 0},
    "RandomAffine": {"angle_limit": 0, "scaling_limit": 1, "interpolation": 3},
    "GridDistortion": {"distort_limit": 0, "interpolation": 3},
    "RotatePseudo2D": {"limit": 0},
    "ElasticTransformPseudo2D": {"alpha": 0, "alpha_affine": 0},
    "OutlineJitter": {"shift_limit": 0, "grow_limit": 0, "wobble_limit": 0},
    "GaussianBlur": {"sigma_limit": 0},
    "UnsharpMask": {"alpha_limit": 0},
    "Blur": {"blur_limit": 1},
    "MedianBlur": {"blur_limit": 1},
    "MotionBlur": {"blur_limit": 1},
    "GlassBlur": {"sigma": 0, "max_delta": 0},
    "Downscale": {"scale_min": 1, "scale_max": 1},
    "RandomScale": {"scale_limit": 1},
    "RandomCrop": {"shape": (None, None, None)},
    "CenterCrop": {"shape": (None, None, None)},
    "PadIfNeeded": {"shape": (None, None, None)},
    "Pad": {"padding": 0},
    "CropNonEmptyMaskIfExists": {"shape": (None, None, None)},
    "TemporalCrop": {"length_limit": 1},
    "TemporalResample": {"rate_limit": 1},
}


@pytest.mark.parametrize("name", IDENTITIES)
def test_identity_options_change_no_bit_of_any_target_and_warn(name: str) -> None:
    with pytest.warns(UserWarning, match=f"{name} does nothing: "):
        idle = make(name, IDENTITIES[name])
    places, boxes = np.array([[1.25, 2, 3]]), np.array([[1.0, 2, 3, 4, 5, 6]])
    for dtype in WHITE:
        for size in (SHAPE, (*SHAPE, 3)):
            targets = {
                "image": volume(size, dtype),
                "mask": volume(SHAPE, dtype),
                "points": places,
                "boxes": boxes,
            }
            found = idle(**targets, rng=3)
            for key, target in targets.items():
                assert found[key].tobytes() == target.tobytes(), key
                assert not np.may_share_memory(found[key], target)


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
        made.replay(made.record(0, SHAPE, image=image), image=image[1:])


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
