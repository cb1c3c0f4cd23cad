"""The orange outline, drawn as the real videos have it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from stallscan.types import BoolArray, UInt8Array

ORANGES = ((240, 104, 17), (255, 102, 0))
"""RGB: measured in real videos, and the nominal one of common renderers."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outline:
    """A closed line around the 2D projection of a vessel.

    Attributes:
        contour_px: ``(n, 2)`` float32 ``(x, y)``.
        color: RGB, 0–255.
        thickness_px: width of the line.
    """

    contour_px: NDArray[np.float32]
    color: tuple[int, int, int]
    thickness_px: int

    def coverage(self, shape: tuple[int, int]) -> NDArray[np.float32]:
        """``(y, x)`` share of each pixel that the antialiased line covers, 0–1."""
        canvas = np.zeros(shape, np.uint8)
        shift = 4  # sixteenths of a pixel
        points = np.round(self.contour_px * 2**shift).astype(np.int32)
        cv2.polylines(canvas, [points], True, 255, self.thickness_px, cv2.LINE_AA, shift)
        return (canvas / 255).astype(np.float32)

    def filled(self, shape: tuple[int, int]) -> BoolArray:
        """``(y, x)`` bool, the area inside the line and the line itself."""
        area = (self.coverage(shape) >= 0.5).astype(np.uint8)
        cv2.fillPoly(area, [np.round(self.contour_px).astype(np.int32)], 1)
        return area.astype(bool)


def draw(
    grey: UInt8Array, coverage: NDArray[np.float32], color: tuple[int, int, int]
) -> UInt8Array:
    """Grey ``(z, y, x)`` uint8 → RGB ``(z, y, x, 3)`` with the line on every frame."""
    rgb = np.repeat(grey[..., None], 3, axis=3)
    ys, xs = np.nonzero(coverage)
    weight = coverage[ys, xs, None]
    under = rgb[:, ys, xs].astype(np.float32)  # (z, pixels, 3)
    rgb[:, ys, xs] = np.round(under + weight * (np.asarray(color, np.float32) - under))
    return rgb


def sample_outline(
    rng: np.random.Generator, centreline_px: NDArray[np.float32], shape: tuple[int, int]
) -> Outline | None:
    """Outline of a projected centreline, buffered 8–13 px.

    Args:
        rng: draws buffer, colour and width.
        centreline_px: ``(n, 2)`` ``(y, x)``.
        shape: height and width of the frame.

    Returns:
        The outline, or None where it would leave the frame.
    """
    buffer_px = float(rng.uniform(8, 13))
    nominal = ORANGES[int(rng.integers(len(ORANGES)))]
    red, green, blue = np.clip(np.add(nominal, rng.integers(-8, 9, 3)), 0, 255)
    thickness = 2 if rng.random() < 0.3 else 3
    area = np.zeros(shape, np.uint8)
    points = np.round(centreline_px[:, ::-1]).astype(np.int32)
    cv2.polylines(area, [points], False, 1, round(2 * buffer_px))
    if area[:3].any() or area[-3:].any() or area[:, :3].any() or area[:, -3:].any():
        return None
    contours, _ = cv2.findContours(area, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    contour = max(contours, key=len)[:, 0].astype(np.float32)
    smooth = gaussian_filter1d(contour, 3.0, axis=0, mode="wrap")
    color = (int(red), int(green), int(blue))
    return Outline(contour_px=smooth, color=color, thickness_px=thickness)
