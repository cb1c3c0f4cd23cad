"""MONAI: array transforms on tensors without metadata; its lazy mode is slower here.

The elastic transform is RandSmoothDeform, a coarse random field: Rand3DElastic smooths a full one
and takes 20 times as long. Crops are of random size, to 0.7 of each axis.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import monai
import monai.transforms as M
import numpy as np
import torch
from _volumes import MARGIN, N_VOLUMES, batch, grown, half, mask
from _worker import Augment, Contender, serve
from numpy.typing import NDArray

ANGLE = math.radians(10)
ANGLES = (math.radians(15), math.radians(5), math.radians(5))
SIGMA = (1.5, 1.5)


def tensor(volume: NDArray) -> torch.Tensor:
    """``(c, z, y, x)``, a view."""
    return torch.from_numpy(volume).permute(3, 0, 1, 2)


def rotate(prob: float) -> M.RandRotate:
    """About the frame axis."""
    return M.RandRotate(range_x=ANGLE, prob=prob, mode="bilinear", padding_mode="zeros")


def deform(shape: tuple[int, ...], prob: float) -> M.RandSmoothDeform:
    """Up to an eighth of the extent, as with σ of a quarter."""
    return M.RandSmoothDeform(
        spatial_size=shape[:3],
        rand_size=(7, 7, 7),
        field_mode="trilinear",
        align_corners=True,
        prob=prob,
        def_range=0.25,
        grid_mode="bilinear",
        grid_padding_mode="zeros",
    )


def drop(shape: tuple[int, ...]) -> M.RandCoarseDropout:
    """One to three boxes of a tenth to three tenths of the extent."""
    least, most = ([max(round(s * n), 1) for n in shape[:3]] for s in (0.1, 0.3))
    return M.RandCoarseDropout(
        holes=1, spatial_size=least, fill_value=0, max_holes=3, max_spatial_size=most, prob=1
    )


def dropped(transform: M.RandCoarseDropout) -> Augment:
    """Of a copy, for it changes its input."""
    return lambda volume: transform(tensor(volume).clone())


def pipeline(shape: tuple[int, ...], size: tuple[int, ...]) -> Augment:
    """All but dropped planes."""
    compose = M.Compose(
        [
            lambda volume: tensor(volume).float(),
            rotate(0.3),
            deform(shape, 0.1),
            M.OneOf([M.RandScaleCrop(0.7, 1.0, random_size=True), M.Identity()], [0.4, 0.6]),
            M.Resize(size, mode="trilinear"),
            M.RandFlip(0.5, 0),
            M.RandFlip(0.5, 1),
            M.RandFlip(0.5, 2),
            M.RandRotate90(0.5, 3, (1, 2)),
            M.RandGaussianNoise(0.2, 0, math.sqrt(5)),
            M.RandAdjustContrast(0.2, (0.5, 1.5)),
        ]
    )
    return compose


def mixed(mix: Callable, shape: tuple[int, ...]) -> Augment:
    """Of a batch of tensors, whatever the volume."""
    images = torch.from_numpy(batch(shape))
    return lambda volume: mix(images)


def transforms(shape: tuple[int, ...], size: tuple[int, ...]) -> dict[str, Callable[[], Augment]]:
    """See `Contender.transforms`."""

    mean = M.ImageFilter(np.full((1, 5, 5), 1 / 25, np.float32))  # its own "mean" is a sum

    def alone(transform: Callable) -> Callable[[], Augment]:
        return lambda: lambda volume: transform(tensor(volume))

    def around_mask() -> Augment:
        crop = M.RandCropByPosNegLabel(half(shape), pos=1, neg=0)
        label = torch.from_numpy(mask(shape))[None]
        return lambda volume: crop(tensor(volume), label=label)[0]

    resized = (M.RandScaleCrop(0.4, 0.6, random_size=True), M.Resize(half(shape), mode="trilinear"))
    zoom = {"mode": "trilinear", "keep_size": False}
    return {
        "Rotate": alone(rotate(1)),
        "ElasticTransform": alone(deform(shape, 1)),
        "RandomCropFromBorders": alone(M.RandScaleCrop(0.7, 1.0, random_size=True)),
        "Resize": alone(M.Resize(size, mode="trilinear")),
        "Flip 0": alone(M.RandFlip(1, 0)),
        "Flip 1": alone(M.RandFlip(1, 1)),
        "Flip 2": alone(M.RandFlip(1, 2)),
        "RandomRotate90": alone(M.RandRotate90(1, 3, (1, 2))),
        "GaussianNoise": alone(M.RandGaussianNoise(1, 0, math.sqrt(5))),
        "RandomGamma": alone(M.RandAdjustContrast(1, (0.5, 1.5))),
        "Transpose": alone(M.Transpose((0, 1, 3, 2))),
        "Normalize": alone(M.NormalizeIntensity()),
        "ToFloat": alone(M.ScaleIntensityRange(0, 255, 0, 1)),
        "FromFloat": alone(M.ScaleIntensityRange(0, 1, 0, 255, clip=True, dtype=np.uint8)),
        "MixUp": lambda: mixed(M.MixUp(N_VOLUMES, 1.0), shape),
        "CutMix": lambda: mixed(M.CutMix(N_VOLUMES, 1.0), shape),
        "RandomBrightnessContrast": alone(
            M.Compose([M.RandScaleIntensity(0.2, 1), M.RandShiftIntensity(0.2 * 255, prob=1)])
        ),
        "BiasField": alone(M.RandBiasField(3, (0, 0.1), prob=1)),
        "HistogramNormalize": alone(M.HistogramNormalize()),
        "CoarseDropout": lambda: dropped(drop(shape)),
        "RandomAffine": alone(
            M.RandAffine(1, ANGLES, None, None, (0.1,) * 3, mode="bilinear", padding_mode="zeros")
        ),
        "GridDistortion": in_frames(M.RandGridDistortion(5, 1, 0.3, "bilinear", "border")),
        "RotatePseudo2D 0 1": alone(turn(range_z=math.pi / 2)),
        "RotatePseudo2D 1 2": alone(turn(range_x=math.pi / 2)),
        "ElasticTransformPseudo2D": in_frames(
            M.Rand2DElastic((12, 12), (1, 2), 1, mode="bilinear", padding_mode="reflection")
        ),
        "GaussianBlur": alone(M.RandGaussianSmooth((0, 0), SIGMA, SIGMA, prob=1)),
        "UnsharpMask": alone(M.GaussianSharpen((0, 0, 0), (0, SIGMA[0], SIGMA[0]), 0.5)),
        "Blur": lambda: lambda volume: mean(tensor(volume).float()),
        "MedianBlur": alone(M.MedianSmooth((0, 1, 1))),
        "Downscale": alone(M.RandSimulateLowResolution(1, zoom_range=(0.25, 0.25))),
        "RandomScale": alone(M.RandZoom(1, 0.9, 1.1, **zoom)),
        "RandomCrop": alone(M.RandSpatialCrop(half(shape))),
        "CenterCrop": alone(M.CenterSpatialCrop(half(shape))),
        "RandomResizedCrop": alone(M.Compose(resized)),
        "PadIfNeeded": alone(M.SpatialPad(grown(shape))),
        "Pad": alone(M.BorderPad(MARGIN)),
        "CropNonEmptyMaskIfExists": around_mask,
        "RemoveEmptyBorder": alone(M.CropForeground()),
        "TemporalCrop": alone(M.RandSpatialCrop((shape[0] // 2, -1, -1), random_size=True)),
        "TemporalResample": alone(M.RandZoom(1, (0.5, 1, 1), (2, 1, 1), **zoom)),
    }


def turn(**ranges: float) -> M.RandRotate:
    """About one axis."""
    return M.RandRotate(**ranges, prob=1, mode="bilinear", padding_mode="zeros")


def in_frames(transform: Callable) -> Callable[[], Augment]:
    """A transform of planes, the same for all frames: frames as channels."""

    def call(volume: NDArray) -> torch.Tensor:
        planes = tensor(volume)
        return transform(planes.reshape(-1, *planes.shape[2:])).reshape(planes.shape)

    return lambda: call


if __name__ == "__main__":
    monai.data.set_track_meta(False)
    serve(
        Contender(
            name=f"MONAI {monai.__version__}",
            licence="Apache-2.0",
            pipeline=pipeline,
            transforms=transforms,
            notes={
                "pipeline": "without dropped planes",
                "ElasticTransform": "RandSmoothDeform",
                "RandomCropFromBorders": "RandScaleCrop",
                **dict.fromkeys(
                    ("MixUp", "CutMix"), "images alone: it takes no labels, or mixes them wrongly"
                ),
                "RandomBrightnessContrast": "RandScaleIntensity, RandShiftIntensity; no saturation",
                "CoarseDropout": "of a copy: it changes its input",
                "RandomAffine": "a factor for each axis",
                "ElasticTransformPseudo2D": "Rand2DElastic, a control grid",
                "UnsharpMask": "GaussianSharpen, its first blur none",
                "Blur": "ImageFilter of floats",
                "Downscale": "RandSimulateLowResolution: z too, linear on the way back",
                "RandomResizedCrop": "RandScaleCrop and Resize",
                "CropNonEmptyMaskIfExists": "RandCropByPosNegLabel; the mask is not cropped",
            },
        )
    )
