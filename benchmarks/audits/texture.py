"""Statistics of the texture of an outlined stack, the same for phantoms and real stacks."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from stallscan.roi.color import orange_mask
from stallscan.types import BoolArray, UInt8Array

Float32 = NDArray[np.float32]

LAGS_PX = (1, 2, 3, 4)
GREY_PERCENTILES = (5, 25, 50, 75, 90, 95, 99, 99.9)
_SMEAR_PX = 2  # chroma subsampling smears the line this far into the grey


def split(rgb: UInt8Array) -> tuple[Float32, BoolArray]:
    """Grey and where it can be trusted.

    Args:
        rgb: ``(z, y, x, 3)``.

    Returns:
        ``(z, y, x)`` float32 grey; ``(z, y, x)`` bool, False on the line of the frame and near it.
    """
    kernel = np.ones((2 * _SMEAR_PX + 1,) * 2, np.uint8)
    line = [cv2.dilate(orange_mask(frame).astype(np.uint8), kernel) for frame in rgb]
    return rgb.mean(axis=3, dtype=np.float32), np.stack(line) == 0


def grey_levels(grey: Float32, free: BoolArray) -> dict[str, float]:
    """Percentiles of the grey, and how much of it is black and saturated."""
    values = grey[free]
    found = {
        f"grey p{percentile:g}": float(value)
        for percentile, value in zip(
            GREY_PERCENTILES, np.percentile(values, GREY_PERCENTILES), strict=True
        )
    }
    return {
        "grey mean": float(values.mean()),
        **found,
        "share of grey 0": float((values < 0.5).mean()),
        "share of grey 255": float((values > 254.5).mean()),
    }


def autocorrelation(grey: Float32, ok: BoolArray, lags_px: tuple[int, ...]) -> dict[str, float]:
    """Pearson correlation of pixels ``lag`` apart along x and y, both of them ok; median frame."""
    found = {}
    for axis, name in ((2, "x"), (1, "y")):
        for lag in lags_px:
            values = [
                _correlation(a[both], b[both])
                for a, b, both in zip(
                    *_shifted(grey, axis, lag),
                    np.logical_and(*_shifted(ok, axis, lag)),
                    strict=True,
                )
            ]
            found[f"along {name}, lag {lag}"] = float(np.nanmedian(values))
    return found


def background(grey: Float32, free: BoolArray) -> BoolArray:
    """The darker half of each frame, by its surroundings of 3 px: noise and little else."""
    ok = np.empty_like(free)
    for frame, usable, out in zip(grey, free, ok, strict=True):
        smooth = cv2.GaussianBlur(frame, (0, 0), 3)
        out[:] = usable & (smooth <= np.median(smooth[usable]))
    return ok


def frame_correlation(grey: Float32, free: BoolArray, lags: tuple[int, ...]) -> dict[str, float]:
    """Pearson correlation of the whole field of frames ``lag`` apart, median; NaN if too short."""
    found = {}
    for lag in lags:
        values = []
        for first in range(len(grey) - lag):
            both = free[first] & free[first + lag]
            values.append(_correlation(grey[first][both], grey[first + lag][both]))
        found[f"frames, lag {lag}"] = float(np.nanmedian(values)) if values else np.nan
    return found


def _shifted(array: np.ndarray, axis: int, lag: int) -> tuple[np.ndarray, np.ndarray]:
    """The array without its last and without its first pixels along an axis."""
    n = array.shape[axis]
    return array.take(range(n - lag), axis), array.take(range(lag, n), axis)


def _correlation(a: Float32, b: Float32) -> float:
    """NaN where one of them is constant or hardly anything is there."""
    if a.size < 20:
        return np.nan
    a, b = a - a.mean(), b - b.mean()
    spread = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / spread if spread > 1e-6 else np.nan
