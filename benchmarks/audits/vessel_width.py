"""Width of capillaries in focus: full width at half maximum across bright ridges."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

Float32 = NDArray[np.float32]

_SCALE_PX = 2.0  # of the ridges looked for
_REACH_PX = 14.0  # profiles go so far to both sides
_STEP_PX = 0.25
_ALONG_PX = np.arange(-3, 4)  # profiles are averaged along the vessel
_BRIGHTEST = 400  # ridge points in a frame


def widths_px(grey: Float32, free: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Widths at the clearest ridge points of a frame.

    A ridge point is a maximum across the direction in which the grey (σ 2 px) bends most; the
    profile across it is averaged over 7 px along it. The background is the higher of the two
    sides' lowest levels. Points without a fall to half on both sides within 14 px are left out, and
    so is what is less than twice as high as the noise of the profile.

    Args:
        grey: ``(y, x)``.
        free: ``(y, x)``, False where the drawn line hides the grey.

    Returns:
        ``(n,)`` in px.
    """
    ys, xs, normals = _ridges(grey, free)
    if not len(ys):
        return np.empty(0)
    across = np.arange(-_REACH_PX, _REACH_PX + _STEP_PX, _STEP_PX)
    ny, nx = normals[:, 0, None, None], normals[:, 1, None, None]
    y = ys[:, None, None] + ny * across + nx * _ALONG_PX[:, None]  # (n, along, across)
    x = xs[:, None, None] + nx * across - ny * _ALONG_PX[:, None]
    inside = ((y >= 0) & (y < grey.shape[0]) & (x >= 0) & (x < grey.shape[1])).all(axis=(1, 2))
    lines = map_coordinates(grey, [y[inside], x[inside]], order=1)
    profiles = lines.mean(axis=1)  # (n, across)
    noise = lines.std(axis=1).mean(axis=1) / np.sqrt(len(_ALONG_PX))
    widths = [_width(profile, error) for profile, error in zip(profiles, noise, strict=True)]
    return np.array([width for width in widths if width is not None])


def _width(profile: Float32, noise: float) -> float | None:
    """Between the half-maximum crossings next to the middle."""
    centre = len(profile) // 2
    left, right = profile[centre::-1], profile[centre:]
    base = max(float(left.min()), float(right.min()))
    height = float(profile[centre - 2 : centre + 3].max()) - base
    if height < 10 or height < 2 * noise:
        return None
    sides = []
    for side in (left, right):
        below = np.flatnonzero(side < base + height / 2)
        if not len(below) or below[0] == 0:
            return None
        last = int(below[0])
        a, b = float(side[last - 1]), float(side[last])
        sides.append(last - 1 + (a - base - height / 2) / (a - b))
    return sum(sides) * _STEP_PX


def _ridges(
    grey: Float32, free: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], NDArray[np.intp], Float32]:
    """Places ``(n,)`` and unit normals ``(n, 2)`` (y, x) of the strongest ridge points."""
    smooth = cv2.GaussianBlur(grey, (0, 0), _SCALE_PX)
    dy, dx = np.gradient(smooth)
    dyy, dyx = np.gradient(dy)
    dxx = np.gradient(dx, axis=1)
    # Eigenvalues and -vectors of the symmetric 2×2 matrices; the lower value bends down most.
    half, spread = (dyy + dxx) / 2, np.hypot((dyy - dxx) / 2, dyx)
    angle = 0.5 * np.arctan2(2 * dyx, dyy - dxx)
    strength = spread - half
    ny, nx = -np.sin(angle), np.cos(angle)
    # A blob bends in both directions, a vessel in one.
    line_like = strength > 3 * np.abs(half + spread)
    y, x = np.mgrid[: grey.shape[0], : grey.shape[1]]
    peak = np.ones(grey.shape, bool)
    for sign in (-1, 1):
        near = map_coordinates(smooth, [y + sign * ny, x + sign * nx], order=1, mode="nearest")
        peak &= smooth > near
    found = np.flatnonzero(peak & line_like & free)
    found = found[np.argsort(strength.flat[found])[::-1][:_BRIGHTEST]]
    ys, xs = np.unravel_index(found, grey.shape)
    return ys, xs, np.stack([ny[ys, xs], nx[ys, xs]], axis=1)
