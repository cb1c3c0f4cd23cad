"""Volumes of one size, for networks on whole frames (paper, section 3)."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
from numpy.typing import NDArray

from stallscan.roi.volume import Volume
from stallscan.types import UInt8Array


def resize(volume: Volume, size: tuple[int, int, int]) -> Volume:
    """Resize with half-pixel centres: averaging where a plane shrinks, linear where it grows.

    Args:
        volume: any Volume.
        size: ``(z, y, x)``; z is linear always, so that a moment stays a moment.

    Returns:
        A Volume with ``resized`` set, its box as it was, its voxel size scaled.
    """
    depth, height, width = size
    n_planes, old_height, old_width = volume.array.shape[:3]
    method = cv2.INTER_AREA if old_height * old_width > height * width else cv2.INTER_LINEAR
    planes = np.stack(
        [
            cv2.resize(plane, (width, height), interpolation=method).reshape(height, width, -1)
            for plane in volume.array
        ]
    )  # (native z, y, x, c)
    voxel_size_um = volume.voxel_size_um
    if voxel_size_um is not None:
        z, y, x = voxel_size_um
        voxel_size_um = z * n_planes / depth, y * old_height / height, x * old_width / width
    return dataclasses.replace(
        volume,
        array=_resize_depth(planes, depth),
        mask=_nearest(volume.mask, height, width),
        line=_nearest(volume.line, height, width),
        voxel_size_um=voxel_size_um,
        resized=True,
    )


def _resize_depth(planes: UInt8Array, depth: int) -> UInt8Array:
    """``(z, y, x, c)`` → ``(depth, y, x, c)``, linear between the centres of planes."""
    last = len(planes) - 1
    place = np.clip((np.arange(depth) + 0.5) * len(planes) / depth - 0.5, 0, last)
    lower = np.floor(place).astype(int)
    resized = np.empty((depth, *planes.shape[1:]), np.uint8)
    for target, low, share in zip(resized, lower, place - lower, strict=True):
        high = min(low + 1, last)
        target[...] = cv2.addWeighted(planes[low], 1 - share, planes[high], share, 0).reshape(
            target.shape
        )
    return resized


def _nearest(plane: NDArray[np.bool_], height: int, width: int) -> NDArray[np.bool_]:
    resized = cv2.resize(
        plane.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST_EXACT
    )
    return np.asarray(resized, dtype=bool)
