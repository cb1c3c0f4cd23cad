"""AlbumentationsX (AGPL-3.0, for comparison only): uint8 volumes, its 2D transforms where faster.

Crop and resize are one transform, whose crop keeps between 0.7³ and all of the volume.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib.metadata import version

import albumentations as A
from _volumes import MARGIN, grown, half, volumes
from _worker import Augment, Contender, serve

STD = (0.0, math.sqrt(5) / 255)
SIGMA = (1.5, 1.5)
SIDES = dict.fromkeys(("crop_left", "crop_right", "crop_top", "crop_bottom"), 0.15)


def bend(p: float) -> A.ElasticTransform3D:
    """Up to an eighth of the extent, as with σ of a quarter."""
    return A.ElasticTransform3D(displacement_range=(0, 0.125), control_grid_shape=(5, 5), p=p)


def alone(transform: Callable) -> Augment:
    """A transform or pipeline on volumes."""
    return lambda volume: transform(volume=volume)["volume"]


def pipeline(shape: tuple[int, ...], size: tuple[int, ...]) -> Augment:
    """All but dropped planes."""
    crop = A.RandomResizedCrop3D(size, scale=(0.7**3, 1), p=0.4)
    return alone(
        A.Compose(
            [
                A.Rotate(angle_range=(-10, 10), p=0.3),
                bend(0.1),
                A.OneOf([crop, A.Resize3D(size, p=0.6)], p=1),
                A.Flip3D(p=1),  # each axis with p = 1/2
                A.RandomRotate90_3D(axis_pairs=((1, 2),), p=0.5),
                A.GaussNoise(std_range=STD, per_channel=True, p=0.2),
                A.RandomGamma(gamma_range=(50, 150), p=0.2),
            ]
        )
    )


def matched(shape: tuple[int, ...]) -> Augment:
    """To the middle frame of another volume."""
    transform = A.HistogramMatching(p=1)
    reference = volumes(shape)[-1][shape[0] // 2]
    return lambda volume: transform(volume=volume, hm_metadata=[reference])["volume"]


def turn(z: float, y: float, x: float) -> dict[str, tuple[float, float]]:
    """To so many degrees about each axis."""
    return {"z": (-z, z), "y": (-y, y), "x": (-x, x)}


def transforms(shape: tuple[int, ...], size: tuple[int, ...]) -> dict[str, Callable[[], Augment]]:
    """See `Contender.transforms`."""
    return {
        "Rotate": lambda: alone(A.Rotate(angle_range=(-10, 10), p=1)),
        "ElasticTransform": lambda: alone(bend(1)),
        "RandomCropFromBorders": lambda: alone(A.RandomCropFromBorders(**SIDES, p=1)),
        "Resize": lambda: alone(A.Resize3D(size, p=1)),
        "Flip 0": lambda: alone(A.Flip3D(axes=(0,), flip_axes=(0,), p=1)),
        "Flip 1": lambda: alone(A.VerticalFlip(p=1)),
        "Flip 2": lambda: alone(A.Flip3D(axes=(2,), flip_axes=(2,), p=1)),
        "RandomRotate90": lambda: alone(A.RandomRotate90_3D(axis_pairs=((1, 2),), p=1)),
        "GaussianNoise": lambda: alone(A.GaussNoise(std_range=STD, per_channel=True, p=1)),
        "RandomGamma": lambda: alone(A.RandomGamma(gamma_range=(50, 150), p=1)),
        "GridDropout": lambda: alone(A.GridDropout(ratio=0.5, random_offset=False, p=1)),
        "Transpose": lambda: alone(A.Transpose(p=1)),
        "Normalize": lambda: alone(A.Normalize(normalization="image", p=1)),
        "ToFloat": lambda: alone(A.ToFloat(max_value=255, p=1)),
        "FromFloat": lambda: alone(A.FromFloat(max_value=255, p=1)),
        "RandomBrightnessContrast": lambda: alone(
            A.RandomBrightnessContrast(brightness_by_max=True, p=1)
        ),
        "HistogramNormalize": lambda: alone(A.Equalize(p=1)),
        "HistogramMatching": lambda: matched(shape),
        "Solarize": lambda: alone(A.Solarize(threshold_range=(0.5, 0.5), p=1)),
        "Posterize": lambda: alone(A.Posterize(num_bits=(4, 4), p=1)),
        "CLAHE": lambda: alone(A.CLAHE(p=1)),
        "CoarseDropout": lambda: alone(
            A.CoarseDropout3D(
                num_holes_range=(1, 3),
                hole_depth_range=(0.1, 0.3),
                hole_height_range=(0.1, 0.3),
                hole_width_range=(0.1, 0.3),
                p=1,
            )
        ),
        "RandomAffine": lambda: alone(
            A.Affine3D(turn(15, 5, 5), dict.fromkeys("xyz", (0.9, 1.1)), p=1)
        ),
        "GridDistortion": lambda: alone(A.GridDistortion(5, (-0.3, 0.3), p=1)),
        "RotatePseudo2D 0 1": lambda: alone(A.Affine3D(turn(0, 0, 90), p=1)),
        "RotatePseudo2D 1 2": lambda: alone(A.Rotate(angle_range=(-90, 90), p=1)),
        "ElasticTransformPseudo2D": lambda: alone(A.ElasticTransform((0.02, 0.05), p=1)),
        "CubicSymmetry": lambda: alone(A.CubicSymmetry(p=1)),
        "GaussianBlur": lambda: alone(A.GaussianBlur(sigma_range=SIGMA, p=1)),
        "UnsharpMask": lambda: alone(
            A.UnsharpMask((0, 0), sigma_range=SIGMA, alpha_range=(0.5, 0.5), threshold=0, p=1)
        ),
        "Blur": lambda: alone(A.Blur((5, 5), p=1)),
        "MedianBlur": lambda: alone(A.MedianBlur((3, 3), p=1)),
        "MotionBlur": lambda: alone(A.MotionBlur((3, 7), p=1)),
        "GlassBlur": lambda: alone(A.GlassBlur(p=1)),
        "Downscale": lambda: alone(A.Downscale(p=1)),
        "ImageCompression": lambda: alone(A.ImageCompression(quality_range=(50, 90), p=1)),
        "RandomScale": lambda: alone(A.RandomScale((-0.1, 0.1), p=1)),
        "RandomCrop": lambda: alone(A.RandomCrop3D(half(shape), p=1)),
        "CenterCrop": lambda: alone(A.CenterCrop3D(half(shape), p=1)),
        "RandomResizedCrop": lambda: alone(
            A.RandomResizedCrop3D(half(shape), scale=(0.4**3, 0.6**3), p=1)
        ),
        "PadIfNeeded": lambda: alone(A.PadIfNeeded3D(grown(shape), p=1)),
        "Pad": lambda: alone(A.Pad3D(MARGIN, p=1)),
    }


if __name__ == "__main__":
    serve(
        Contender(
            name=f"AlbumentationsX {version('albumentationsx')}",
            licence="AGPL-3.0-only",
            pipeline=pipeline,
            transforms=transforms,
            notes={
                "pipeline": "without dropped planes",
                "Rotate": "2D, the same in all frames",
                "RandomCropFromBorders": "y and x only",
                "GridDropout": "2D, the same in all frames",
                "HistogramNormalize": "Equalize, of each frame and channel",
                "HistogramMatching": "of each frame and channel",
                "CLAHE": "of each frame",
                "RandomAffine": "a factor for each axis",
                "ElasticTransformPseudo2D": "a control grid",
                "RandomScale": "y and x only",
            },
        )
    )
