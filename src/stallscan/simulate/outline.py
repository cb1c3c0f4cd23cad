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
BUFFER_PX = (8.0, 13.0)
"""Distance of the line from the projected centreline."""
_FINE = 4  # fine pixels in a pixel
_RIM_PX = 5  # between the line's area and the edge of the frame


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
    thickness_px: float

    def coverage(self, shape: tuple[int, int]) -> NDArray[np.float32]:
        """``(y, x)`` share of each pixel that the antialiased line covers, 0–1."""
        # By distance: OpenCV's own antialiased lines come out almost twice as thick as asked for.
        cover = np.zeros(shape, np.float32)
        rim = int(np.ceil(self.thickness_px)) + 1
        low = np.floor(self.contour_px.min(axis=0)).astype(int) - rim
        high = np.ceil(self.contour_px.max(axis=0)).astype(int) + rim + 1
        canvas = np.full(_FINE * (high - low)[::-1], 255, np.uint8)
        # Pixel i covers the fine pixels from 4 i to 4 i + 3, its middle is 4 i + 1.5.
        points = np.round(_FINE * (self.contour_px - low) + (_FINE - 1) / 2).astype(np.int32)
        cv2.polylines(canvas, [points], True, 0, 1)
        fine = cv2.distanceTransform(canvas, cv2.DIST_L2, 5)
        distance = cv2.resize(fine, None, fx=1 / _FINE, fy=1 / _FINE, interpolation=cv2.INTER_AREA)
        line = np.clip(self.thickness_px / 2 - distance / _FINE + 0.5, 0, 1)
        first, last = np.maximum(low, 0), np.minimum(high, shape[::-1])
        if (first < last).all():
            inside = line[
                first[1] - low[1] : last[1] - low[1], first[0] - low[0] : last[0] - low[0]
            ]
            cover[first[1] : last[1], first[0] : last[0]] = inside
        return cover

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
    add_line(rgb, coverage, color)
    return rgb


def add_line(rgb: UInt8Array, coverage: NDArray[np.float32], color: tuple[int, int, int]) -> None:
    """Draw the line into ``(z, y, x, 3)`` uint8, in place."""
    ys, xs = np.nonzero(coverage)
    weight = coverage[ys, xs, None]
    under = rgb[:, ys, xs].astype(np.float32)  # (z, pixels, 3)
    rgb[:, ys, xs] = np.round(under + weight * (np.asarray(color, np.float32) - under))


def sample_outline(
    rng: np.random.Generator,
    centreline_px: NDArray[np.float32],
    shape: tuple[int, int],
    offset_px: float = 0.0,
) -> Outline | None:
    """Outline of a projected centreline, buffered 8–13 px.

    Args:
        rng: draws buffer, colour and width.
        centreline_px: ``(n, 2)`` ``(y, x)``.
        shape: height and width of the frame.
        offset_px: how far the outline is off its place.

    Returns:
        The outline, or None where it would leave the frame.
    """
    buffer_px = float(rng.uniform(*BUFFER_PX))
    nominal = ORANGES[int(rng.integers(len(ORANGES)))]
    red, green, blue = np.clip(np.add(nominal, rng.integers(-8, 9, 3)), 0, 255)
    thickness = float(rng.uniform(2.8, 3.8))
    closing_px = int(rng.uniform(8, 45)) if rng.random() < 0.4 else 0
    angle = rng.uniform(0, 2 * np.pi)
    line = centreline_px[:, ::-1] + offset_px * np.array([np.cos(angle), np.sin(angle)])
    rim = int(np.ceil(buffer_px)) + _RIM_PX
    low, high = line.min(axis=0), line.max(axis=0)
    if (low < rim).any() or (high > np.array(shape[::-1]) - rim).any():
        return None
    # Around the line only: the frame is large.
    corner = np.floor(low).astype(int) - rim
    size = np.ceil(high).astype(int) + rim - corner
    area = np.zeros((size[1], size[0]), np.uint8)
    cv2.polylines(area, [np.round(line - corner).astype(np.int32)], False, 1, round(2 * buffer_px))
    if closing_px:
        # Real outlines reach from a sausage to an almost convex hull.
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (closing_px, closing_px))
        wide = np.pad(area, closing_px)
        closed = cv2.morphologyEx(wide, cv2.MORPH_CLOSE, disc)
        area = closed[closing_px:-closing_px, closing_px:-closing_px]
    contours, _ = cv2.findContours(area, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    contour = max(contours, key=len)[:, 0] + corner
    smooth = gaussian_filter1d(contour.astype(np.float32), 3.0, axis=0, mode="wrap")
    color = (int(red), int(green), int(blue))
    return Outline(contour_px=smooth, color=color, thickness_px=thickness)
