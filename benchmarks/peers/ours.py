"""Ours: uint8 in, uint8 out, repaired where volumentations errs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from _volumes import MARGIN, batch, grown, half, mask
from _worker import Augment, Contender, serve

import stallscan
from stallscan import augment

RNG = np.random.default_rng(0)


def called(augmentation: Callable, **targets: object) -> Augment:
    """With the one generator, so that no draw comes twice."""
    return lambda volume: augmentation(image=volume, **targets, rng=RNG)["image"]


def mixed(mix: Callable, shape: tuple[int, ...]) -> Augment:
    """Of a batch of tensors, whatever the volume."""
    images = torch.from_numpy(batch(shape))
    labels = torch.arange(float(len(images)))
    return lambda volume: mix(images=images, labels=labels, rng=RNG)["images"]


def transforms(shape: tuple[int, ...], size: tuple[int, ...]) -> dict[str, Callable[[], Augment]]:
    """All of them; the parameters of the pipeline where they are in it, else the defaults."""

    def make(name: str, *arguments: object) -> Callable[[], Augment]:
        return lambda: called(getattr(augment, name)(*arguments, p=1.0))

    def with_mask(name: str, *arguments: object) -> Callable[[], Augment]:
        return lambda: called(getattr(augment, name)(*arguments, p=1.0), mask=mask(shape))

    return {
        "Rotate": make("Rotate", (-10, 10), (0, 0), (0, 0)),
        "ElasticTransform": make("ElasticTransform", (0, 0.25)),
        "RandomDropPlane": make("RandomDropPlane", 0.1, (0, 1, 2)),
        "RandomCropFromBorders": make("RandomCropFromBorders", 0.15),
        "Resize": make("Resize", size),
        "Flip 0": make("Flip", 0),
        "Flip 1": make("Flip", 1),
        "Flip 2": make("Flip", 2),
        "RandomRotate90": make("RandomRotate90", (1, 2)),
        "GaussianNoise": make("GaussianNoise", (0, 5)),
        "RandomGamma": make("RandomGamma", (50, 150)),
        "GridDropout": make("GridDropout", 0.5),
        "Transpose": make("Transpose", (0, 2, 1)),
        "Normalize": make("Normalize"),
        "ToFloat": make("ToFloat"),
        "FromFloat": make("FromFloat"),
        "TimeReverse": make("TimeReverse"),
        "RandomFrameDrop": make("RandomFrameDrop"),
        "RandomShift": make("RandomShift"),
        "FrameJitter": make("FrameJitter"),
        "RowNoise": make("RowNoise"),
        "PoissonGamma": make("PoissonGamma"),
        "Attenuation": make("Attenuation"),
        "MixUp": lambda: mixed(augment.MixUp(1.0), shape),
        "CutMix": lambda: mixed(augment.CutMix(1.0, 1.0), shape),
        "RandomBrightnessContrast": make("RandomBrightnessContrast"),
        "BiasField": make("BiasField"),
        "HistogramNormalize": make("HistogramNormalize"),
        "HistogramMatching": make("HistogramMatching"),
        "Solarize": make("Solarize"),
        "Posterize": make("Posterize", 4),
        "CLAHE": make("CLAHE"),
        "CoarseDropout": make("CoarseDropout"),
        "RandomOcclusion": make("RandomOcclusion"),
        "RandomAffine": make("RandomAffine", (15, 5, 5), 0, (0.9, 1.1)),
        "GridDistortion": make("GridDistortion", 5, 0.3),
        "RotatePseudo2D 0 1": make("RotatePseudo2D", (0, 1), (-90, 90)),
        "RotatePseudo2D 1 2": make("RotatePseudo2D", (1, 2), (-90, 90)),
        "ElasticTransformPseudo2D": make("ElasticTransformPseudo2D", 60, 6, 1),
        "CubicSymmetry": make("CubicSymmetry"),
        "OutlineJitter": lambda: outlined(augment.OutlineJitter(p=1.0), shape),
        "GaussianBlur": make("GaussianBlur", (1.5, 1.5)),
        "UnsharpMask": make("UnsharpMask", (1.5, 1.5), (0.5, 0.5)),
        "Blur": make("Blur", 5),
        "MedianBlur": make("MedianBlur", 3),
        "MotionBlur": make("MotionBlur"),
        "GlassBlur": make("GlassBlur"),
        "Downscale": make("Downscale"),
        "ImageCompression": make("ImageCompression"),
        "RemoveBackground": make("RemoveBackground", (10, 10)),
        "RandomScale": make("RandomScale"),
        "RandomCrop": make("RandomCrop", half(shape)),
        "CenterCrop": make("CenterCrop", half(shape)),
        "RandomResizedCrop": make("RandomResizedCrop", half(shape)),
        "PadIfNeeded": make("PadIfNeeded", grown(shape)),
        "Pad": make("Pad", MARGIN),
        "CropNonEmptyMaskIfExists": with_mask("CropNonEmptyMaskIfExists", half(shape)),
        "ResizedCropNonEmptyMaskIfExists": with_mask(
            "ResizedCropNonEmptyMaskIfExists", half(shape)
        ),
        "RemoveEmptyBorder": make("RemoveEmptyBorder"),
        "TemporalCrop": make("TemporalCrop"),
        "TemporalResample": make("TemporalResample"),
    }


def outlined(augmentation: Callable, shape: tuple[int, ...]) -> Augment:
    """On a mask, an ellipse that is the same on all frames."""
    depth, height, width = shape[:3]
    y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    mask = np.repeat(((y / 0.8) ** 2 + (x / 0.3) ** 2 < 1)[None], depth, axis=0)
    return lambda _: augmentation(mask=mask, rng=RNG)["mask"]


def elastic(limits: tuple[float, float]) -> Augment:
    """See `Contender.elastic`."""
    return called(augment.ElasticTransform(limits, border_mode="nearest", p=1.0))


if __name__ == "__main__":
    serve(
        Contender(
            name=f"stallscan {stallscan.__version__}",
            licence="MIT",
            pipeline=lambda shape, size: called(augment.preset("winner_v20", size=size)),
            transforms=transforms,
            notes={
                "TimeReverse": "the peers': Flip 0",
                "OutlineJitter": "a mask, the same on all frames",
            },
            elastic=elastic,
        )
    )
