"""TorchIO 1: SimpleITK; no crop of random size, no quarter turns, no dropped planes."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import SimpleITK as sitk
import torch
import torchio as tio
from _volumes import MARGIN, grown, half
from _worker import Augment, Contender, serve
from numpy.typing import NDArray

DEGREES = (-10, 10, 0, 0, 0, 0)
LANDMARKS = {"default_image_name": np.linspace(0, 255, 13)}
STDS = (0, 0, 1.5, 1.5, 1.5, 1.5)
LOG_GAMMA = (math.log(0.5), math.log(1.5))


def tensor(volume: NDArray) -> torch.Tensor:
    """``(c, z, y, x)``, a view."""
    return torch.from_numpy(volume).permute(3, 0, 1, 2)


def pipeline(shape: tuple[int, ...], size: tuple[int, ...]) -> Augment:
    """What there is of it."""
    compose = tio.Compose(
        [
            tio.RandomAffine(0, DEGREES, default_pad_value=0, p=0.3, copy=False),
            tio.RandomElasticDeformation(7, reach(shape), p=0.1, copy=False),
            tio.Resize(size, copy=False),
            tio.RandomFlip((0, 1, 2), 0.5, copy=False),
            tio.RandomNoise(0, (0, math.sqrt(5)), p=0.2, copy=False),
            tio.RandomGamma(LOG_GAMMA, p=0.2, copy=False),
        ],
        copy=False,
    )
    return lambda volume: compose(tensor(volume).float().contiguous())


def reach(shape: tuple[int, ...]) -> float:
    """Largest displacement, an eighth of the extent."""
    return min(shape[:3]) / 8


def transforms(shape: tuple[int, ...], size: tuple[int, ...]) -> dict[str, Callable[[], Augment]]:
    """See `Contender.transforms`."""

    def alone(make: Callable, *arguments: object, **options: object) -> Callable[[], Augment]:
        return lambda: run(make(*arguments, **options, copy=False))

    def run(transform: tio.Transform) -> Augment:
        return lambda volume: transform(tensor(volume).contiguous())

    return {
        "Rotate": alone(tio.RandomAffine, 0, DEGREES, default_pad_value=0),
        "ElasticTransform": alone(tio.RandomElasticDeformation, 7, reach(shape)),
        "Resize": alone(tio.Resize, size),
        "Flip 0": alone(tio.RandomFlip, 0, 1),
        "Flip 1": alone(tio.RandomFlip, 1, 1),
        "Flip 2": alone(tio.RandomFlip, 2, 1),
        "GaussianNoise": alone(tio.RandomNoise, 0, (0, math.sqrt(5))),
        "RandomGamma": alone(tio.RandomGamma, LOG_GAMMA),
        "Normalize": alone(tio.ZNormalization),
        "ToFloat": alone(tio.RescaleIntensity, (0, 1), in_min_max=(0, 255)),
        "BiasField": alone(tio.RandomBiasField, 0.5, 3),
        "HistogramMatching": alone(tio.HistogramStandardization, LANDMARKS),
        "RandomAffine": alone(
            *(tio.RandomAffine, (0.9, 1.1), (-15, 15, -5, 5, -5, 5)),
            isotropic=True,
            default_pad_value=0,
        ),
        "RotatePseudo2D 0 1": alone(
            tio.RandomAffine, 0, (0, 0, 0, 0, -90, 90), default_pad_value=0
        ),
        "RotatePseudo2D 1 2": alone(
            tio.RandomAffine, 0, (-90, 90, 0, 0, 0, 0), default_pad_value=0
        ),
        "GaussianBlur": alone(tio.RandomBlur, STDS),
        "Downscale": alone(tio.RandomAnisotropy, (1, 2), (4, 4)),
        "CenterCrop": alone(tio.CropOrPad, half(shape)),
        "PadIfNeeded": alone(tio.CropOrPad, grown(shape)),
        "Pad": alone(tio.Pad, MARGIN),
    }


if __name__ == "__main__":
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    serve(
        Contender(
            name=f"TorchIO {tio.__version__}",
            licence="Apache-2.0",
            pipeline=pipeline,
            transforms=transforms,
            notes={
                "pipeline": "without dropped planes, crop, quarter turns",
                "HistogramMatching": "HistogramStandardization",
                "Downscale": "RandomAnisotropy: y or x, linear on the way back",
            },
        )
    )
