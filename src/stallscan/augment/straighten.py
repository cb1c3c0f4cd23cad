"""A stack as seen along a vessel: the outline's middle made a straight line."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from stallscan.roi.centreline import beside, centreline, directions
from stallscan.types import BoolArray

_FINE = 1.5  # px between samples, beyond which several are averaged


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Straightening:
    """Where each voxel along a vessel lies in the slices of its ROI.

    Attributes:
        x: ``(along × fine, across × fine)`` float32, px; y likewise.
        y: rows.
        fine: samples averaged along each axis.
        spacing_px: px of the slice for a voxel of the result.
    """

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    fine: int
    spacing_px: float

    def __call__(self, stack: NDArray[np.uint8]) -> NDArray[np.float32]:
        """``(z, y, x)`` → ``(z, along, across)`` float32; zeros outside the ROI."""
        height, width = (side // self.fine for side in self.x.shape)
        straight = np.empty((len(stack), height, width), np.float32)
        for plane, target in zip(stack, straight, strict=True):
            sampled = cv2.remap(plane.astype(np.float32), self.x, self.y, cv2.INTER_LINEAR)
            cv2.resize(sampled, (width, height), dst=target, interpolation=cv2.INTER_AREA)
        return straight


def straightening(mask: BoolArray, size: tuple[int, int], spacing_px: float) -> Straightening:
    """The view along the vessel in an outline.

    The outline's middle (`centreline`) becomes the middle row, at one scale along and across it;
    beyond its tips it goes on straight. One that is too long for ``size`` is seen at a coarser
    scale, whole.

    Args:
        mask: ``(y, x)`` the filled outline.
        size: ``(along, across)`` of the result.
        spacing_px: px of the slice for a voxel of the result, at least.

    Raises:
        OptionError: nothing is inside the outline.
    """
    line = centreline(mask)
    length = len(line) - 1.0
    spacing = max(spacing_px, length / size[0])
    fine = int(np.ceil(spacing / _FINE))
    along, across = (
        (np.arange(extent * fine) + 0.5 - extent * fine / 2) * spacing / fine for extent in size
    )
    place = along + length / 2
    on_line = np.clip(place, 0, length)
    steps = directions(line, on_line)
    points = np.stack([np.interp(on_line, np.arange(len(line)), axis) for axis in line.T], axis=1)
    points += (place - on_line)[:, None] * steps
    y, x = beside(points, steps, across)
    return Straightening(x=x, y=y, fine=fine, spacing_px=spacing)
