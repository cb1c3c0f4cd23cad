"""TorchIO 2 (alpha): torch's grid_sample; no crop of random size, quarter turns or dropped planes.

It lies in a folder of its own, for the name is that of TorchIO 1. Resizing by its one-grid
transform Spatial takes seven times as long as its Resize, so rotation and elastic go before that.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from _volumes import MARGIN, grown, half
from _worker import Augment, Contender, serve
from numpy.typing import NDArray

sys.path.insert(0, str(Path(sys.prefix) / "torchio2"))
import torchio as tio

DEGREES = (-10.0, 10.0, 0.0, 0.0, 0.0, 0.0)
STDS = (0.0, 0.0, 1.5, 1.5, 1.5, 1.5)
LOG_GAMMA = (math.log(0.5), math.log(1.5))


def tensor(volume: NDArray) -> torch.Tensor:
    """``(c, z, y, x)``, a view."""
    return torch.from_numpy(volume).permute(3, 0, 1, 2)


def pipeline(shape: tuple[int, ...], size: tuple[int, ...]) -> Augment:
    """What there is of it."""
    compose = tio.Compose(
        [
            tio.Affine(degrees=DEGREES, default_pad_value=0, p=0.3),
            tio.Spatial(max_displacement=reach(shape), default_pad_value=0, p=0.1),
            tio.Resize(size),
            tio.Flip(axes=(0, 1, 2), flip_probability=0.5),
            tio.Noise(std=(0.0, math.sqrt(5)), p=0.2),
            tio.Gamma(log_gamma=LOG_GAMMA, p=0.2),
        ],
        copy=False,
    )
    return lambda volume: compose(tensor(volume).float().contiguous())


def reach(shape: tuple[int, ...]) -> tuple[float, float]:
    """Displacements to an eighth of the extent."""
    return (0.0, min(shape[:3]) / 8)


def transforms(shape: tuple[int, ...], size: tuple[int, ...]) -> dict[str, Callable[[], Augment]]:
    """See `Contender.transforms`."""

    def alone(make: Callable, *arguments: object, **options: object) -> Callable[[], Augment]:
        return lambda: run(make(*arguments, **options, copy=False))

    def run(transform: tio.Transform) -> Augment:
        return lambda volume: transform(tensor(volume).contiguous())

    return {
        "Rotate": alone(tio.Affine, degrees=DEGREES, default_pad_value=0),
        "ElasticTransform": alone(tio.Spatial, max_displacement=reach(shape), default_pad_value=0),
        "Resize": alone(tio.Resize, size),
        "Flip 0": alone(tio.Flip, axes=0),
        "Flip 1": alone(tio.Flip, axes=1),
        "Flip 2": alone(tio.Flip, axes=2),
        "GaussianNoise": alone(tio.Noise, std=(0.0, math.sqrt(5))),
        "RandomGamma": alone(tio.Gamma, log_gamma=LOG_GAMMA),
        "Normalize": alone(tio.ZNormalization),
        "ToFloat": alone(tio.Normalize, out_min=0, out_max=1, in_min=0, in_max=255),
        "BiasField": alone(tio.BiasField),
        "HistogramMatching": alone(tio.HistogramStandardization, torch.linspace(0, 255, 13)),
        "RandomAffine": alone(
            tio.Affine,
            scales=(0.9, 1.1),
            degrees=(-15.0, 15.0, -5.0, 5.0, -5.0, 5.0),
            isotropic=True,
            default_pad_value=0,
        ),
        "RotatePseudo2D 0 1": alone(
            tio.Affine, degrees=(0.0, 0.0, 0.0, 0.0, -90.0, 90.0), default_pad_value=0
        ),
        "RotatePseudo2D 1 2": alone(
            tio.Affine, degrees=(-90.0, 90.0, 0.0, 0.0, 0.0, 0.0), default_pad_value=0
        ),
        "GaussianBlur": alone(tio.Blur, std=STDS),
        "Downscale": alone(tio.Anisotropy, axes=(1, 2), downsampling=(4.0, 4.0)),
        "CenterCrop": alone(tio.CropOrPad, half(shape)),
        "PadIfNeeded": alone(tio.CropOrPad, grown(shape)),
        "Pad": alone(tio.Pad, padding=MARGIN),
    }


if __name__ == "__main__":
    if not tio.__version__.startswith("2."):
        raise ImportError(f"TorchIO 2 is not in torchio2, only {tio.__version__} was found")
    serve(
        Contender(
            name=f"TorchIO {tio.__version__}",
            licence="Apache-2.0",
            pipeline=pipeline,
            transforms=transforms,
            notes={
                "pipeline": "without dropped planes, crop, quarter turns",
                "HistogramMatching": "HistogramStandardization",
                "Downscale": "Anisotropy: y or x, linear on the way back",
            },
        )
    )
