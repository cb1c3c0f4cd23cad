"""bio-volumentations: no elastic transform, no random crop of random size, no dropped planes.

Its gamma wants values in [0, 1], so the pipeline starts with a division.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version

import bio_volumentations as V
import numpy as np
from _volumes import MARGIN, grown, half
from _worker import Augment, Contender, serve
from numpy.typing import NDArray

TARGETS = V.Compose([]).targets


def pipeline(shape: tuple[int, ...], size: tuple[int, ...]) -> Augment:
    """What there is of it."""
    compose = V.Compose(
        [
            V.RandomAffineTransform((-10, 10, 0, 0, 0, 0), p=0.3),
            V.Resize(size, p=1),
            V.Flip([1], p=0.5),
            V.Flip([2], p=0.5),
            V.Flip([3], p=0.5),
            V.RandomRotate90([1], p=0.5),
            V.GaussianNoise((0, 5 / 255**2), p=0.2),
            V.RandomGamma((0.5, 1.5), p=0.2),
        ]
    )
    return lambda volume: compose(image=to_unit(volume))["image"]


def channels_first(volume: NDArray) -> NDArray:
    """``(c, z, y, x)``, a view."""
    return np.moveaxis(volume, 3, 0)


def to_float(volume: NDArray) -> NDArray:
    """``(c, z, y, x)``."""
    return np.ascontiguousarray(channels_first(volume), dtype=np.float32)


def to_unit(volume: NDArray) -> NDArray:
    """``(c, z, y, x)`` in [0, 1]."""
    return to_float(volume) / 255


def alone(transform: V.Transform, prepare: Augment = channels_first) -> Augment:
    """Without Compose, which converts to float first."""
    return lambda volume: transform(False, TARGETS, image=prepare(volume))["image"]


def transforms(shape: tuple[int, ...], size: tuple[int, ...]) -> dict[str, Callable[[], Augment]]:
    """See `Contender.transforms`."""
    return {
        "Rotate": lambda: alone(V.RandomAffineTransform((-10, 10, 0, 0, 0, 0), p=1)),
        "Resize": lambda: alone(V.Resize(size, p=1)),
        "Flip 0": lambda: alone(V.Flip([1], p=1)),
        "Flip 1": lambda: alone(V.Flip([2], p=1)),
        "Flip 2": lambda: alone(V.Flip([3], p=1)),
        "RandomRotate90": lambda: alone(V.RandomRotate90([1], p=1)),
        "GaussianNoise": lambda: alone(V.GaussianNoise((0, 5), p=1)),
        "RandomGamma": lambda: alone(V.RandomGamma((0.5, 1.5), p=1), to_unit),
        "Normalize": lambda: alone(V.Normalize(), to_float),
        "RandomBrightnessContrast": lambda: alone(V.RandomBrightnessContrast(p=1), to_unit),
        "HistogramNormalize": lambda: alone(V.HistogramEqualization(), to_unit),
        "RandomAffine": lambda: alone(
            V.RandomAffineTransform((15.0, 5.0, 5.0), scaling_limit=1.1, p=1)
        ),
        "RotatePseudo2D 0 1": lambda: alone(V.RandomAffineTransform((0, 0, 0, 0, -90, 90), p=1)),
        "RotatePseudo2D 1 2": lambda: alone(V.RandomAffineTransform((-90, 90, 0, 0, 0, 0), p=1)),
        "GaussianBlur": lambda: alone(V.GaussianBlur((0, 1.5, 1.5), p=1)),
        "RemoveBackground": lambda: alone(V.RemoveBackgroundGaussian((0, 10, 10), p=1), to_float),
        "RandomScale": lambda: alone(V.RandomScale((0.9, 1.1), p=1)),
        "RandomCrop": lambda: alone(V.RandomCrop(half(shape), p=1)),
        "CenterCrop": lambda: alone(V.CenterCrop(half(shape), p=1)),
        "PadIfNeeded": lambda: alone(V.CenterCrop(grown(shape), p=1)),
        "Pad": lambda: alone(V.Pad(MARGIN, p=1)),
        "Attenuation": lambda: alone(V.AttenuationSimulation(1.0), to_unit),
        "PoissonGamma": lambda: alone(V.PoissonNoise(p=1), to_float),
    }


if __name__ == "__main__":
    serve(
        Contender(
            name=f"bio-volumentations {version('bio-volumentations')}",
            licence="MIT",
            pipeline=pipeline,
            transforms=transforms,
            notes={
                "pipeline": "without elastic, dropped planes, crop",
                "RandomBrightnessContrast": "does not saturate",
                "HistogramNormalize": "HistogramEqualization, of each channel",
                "RandomAffine": "a factor for each axis",
                "RandomScale": "the extents stay",
                "PadIfNeeded": "CenterCrop to a larger size",
                "Attenuation": "AttenuationSimulation: by what lies above a voxel",
                "PoissonGamma": "PoissonNoise: values are counts",
            },
        )
    )
