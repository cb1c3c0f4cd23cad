"""volumentations-3D 1.0.4: linear interpolation everywhere, the faster of its two ways to resize.

The pipeline is a Compose, as its users write it. Single transforms are called on uint8 without
Compose's conversion to float, which is faster.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from importlib.metadata import version

import volumentations as V
from _volumes import grown, half, mask, volumes
from _worker import Augment, Contender, serve

TARGETS = [["image"], ["mask"]]


def alone(transform: V.DualTransform, **targets: object) -> Augment:
    """Without Compose."""
    return lambda volume: transform(False, TARGETS, image=volume, **targets)["image"]


@functools.cache
def resize_type(shape: tuple[int, ...], size: tuple[int, ...]) -> int:
    """0 is scikit-image, 1 is SciPy's zoom: which is faster here."""
    volume = volumes(shape)[0]
    seconds = []
    for kind in (0, 1):
        resize = alone(V.Resize(size, interpolation=1, resize_type=kind, p=1))
        resize(volume)
        began = time.process_time()
        resize(volume)
        seconds.append(time.process_time() - began)
    return seconds.index(min(seconds))


def pipeline(shape: tuple[int, ...], size: tuple[int, ...]) -> Augment:
    """As in the winner's code."""
    compose = V.Compose(
        [
            V.Rotate((-10, 10), (0, 0), (0, 0), interpolation=1, p=0.3),
            V.ElasticTransform((0, 0.25), interpolation=1, p=0.1),
            V.RandomDropPlane(0.1, (0, 1, 2), p=0.3),
            V.RandomCropFromBorders(0.15, p=0.4),
            V.Resize(size, interpolation=1, resize_type=resize_type(shape, size), p=1),
            V.Flip(0, p=0.5),
            V.Flip(1, p=0.5),
            V.Flip(2, p=0.5),
            V.RandomRotate90((1, 2), p=0.5),
            V.GaussianNoise((0, 5), p=0.2),
            V.RandomGamma((50, 150), p=0.2),
        ]
    )
    return lambda volume: compose(image=volume)["image"]


def transforms(shape: tuple[int, ...], size: tuple[int, ...]) -> dict[str, Callable[[], Augment]]:
    """See `Contender.transforms`."""
    return {
        "Rotate": lambda: alone(V.Rotate((-10, 10), (0, 0), (0, 0), interpolation=1, p=1)),
        "ElasticTransform": lambda: alone(V.ElasticTransform((0, 0.25), interpolation=1, p=1)),
        "RandomDropPlane": lambda: alone(V.RandomDropPlane(0.1, (0, 1, 2), p=1)),
        "RandomCropFromBorders": lambda: alone(V.RandomCropFromBorders(0.15, p=1)),
        "Resize": lambda: alone(
            V.Resize(size, interpolation=1, resize_type=resize_type(shape, size), p=1)
        ),
        "Flip 0": lambda: alone(V.Flip(0, p=1)),
        "Flip 1": lambda: alone(V.Flip(1, p=1)),
        "Flip 2": lambda: alone(V.Flip(2, p=1)),
        "RandomRotate90": lambda: alone(V.RandomRotate90((1, 2), p=1)),
        "GaussianNoise": lambda: alone(V.GaussianNoise((0, 5), p=1)),
        "RandomGamma": lambda: alone(V.RandomGamma((50, 150), p=1)),
        "GridDropout": lambda: alone(V.GridDropout(0.5, p=1)),
        "Transpose": lambda: alone(V.Transpose((0, 2, 1, 3), p=1)),
        "Normalize": lambda: alone(V.Normalize()),
        "RandomBrightnessContrast": lambda: alone(V.RandomBrightnessContrast(p=1)),
        "GridDistortion": lambda: alone(V.GridDistortion(5, 0.3, p=1)),
        "RotatePseudo2D 0 1": lambda: alone(V.RotatePseudo2D((0, 1), (-90, 90), p=1)),
        "RotatePseudo2D 1 2": lambda: alone(V.RotatePseudo2D((1, 2), (-90, 90), p=1)),
        "GlassBlur": lambda: alone(V.GlassBlur(p=1)),
        "Downscale": lambda: alone(V.Downscale(p=1)),
        "ImageCompression": lambda: alone(V.ImageCompression(50, 90, p=1)),
        "RandomScale": lambda: alone(V.RandomScale(p=1)),
        "RandomCrop": lambda: alone(V.RandomCrop(half(shape), p=1)),
        "CenterCrop": lambda: alone(V.CenterCrop(half(shape), p=1)),
        "RandomResizedCrop": lambda: alone(
            V.RandomResizedCrop(half(shape), resize_type=resize_type(shape, half(shape)), p=1)
        ),
        "PadIfNeeded": lambda: alone(V.PadIfNeeded(grown(shape), p=1)),
        "CropNonEmptyMaskIfExists": lambda: alone(
            V.CropNonEmptyMaskIfExists(half(shape), p=1), mask=mask(shape)
        ),
        "ResizedCropNonEmptyMaskIfExists": lambda: alone(
            V.ResizedCropNonEmptyMaskIfExists(half(shape), resize_type=0, p=1), mask=mask(shape)
        ),  # the other way fails at masks without channels
        "RemoveEmptyBorder": lambda: alone(V.RemoveEmptyBorder(p=1)),
    }


def elastic(limits: tuple[float, float]) -> Augment:
    """See `Contender.elastic`."""
    return alone(V.ElasticTransform(limits, interpolation=1, border_mode="nearest", p=1))


if __name__ == "__main__":
    serve(
        Contender(
            name=f"volumentations-3D {version('volumentations-3D')}",
            licence="MIT",
            pipeline=pipeline,
            transforms=transforms,
            notes={
                "GridDropout": "drops a tenth of what it should",
                "GridDistortion": "its cells do not fill the frame",
                "Downscale": "z too",
                "ImageCompression": "takes red for blue",
            },
            elastic=elastic,
        )
    )
