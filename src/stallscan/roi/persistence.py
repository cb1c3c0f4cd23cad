"""The persistence score: does the pattern inside the outline stay from slice to slice?"""

from __future__ import annotations

import cv2
import numpy as np

from stallscan.roi.volume import Volume
from stallscan.types import BoolArray, FloatArray

_FINE_PX, _COARSE_PX = 1.0, 5.0
_SMEAR_PX = 2  # chroma subsampling smears the line this far into the grey


def persistence_score(volume: Volume) -> float:
    """Correlation of the high-passed grey between consecutive slices, weighted by energy.

    With h_z the grey of slice z smoothed by σ = 1 px minus σ = 5 px, inside the outline but away
    from the drawn line, the score is Σ_z ⟨h_z, h_z+1⟩ / Σ_z ½ (|h_z|² + |h_z+1|²): slices with much
    structure weigh most, noise in dark ones little. Stopped cells stay where they are in
    consecutive slices, flowing ones do not. The line and its smear are left out of the smoothing
    (normalised convolution), or their constant edge would pass for persistence.

    Args:
        volume: any Volume; channels are averaged.

    Returns:
        −1 to 1; 1 for a frozen pattern, about 0 for independent slices. 0.0, no evidence of
        persistence, where it is not defined: a single slice, nothing inside the line, or no
        structure.
    """
    width = 2 * _SMEAR_PX + 1
    near_line = cv2.dilate(volume.line.astype(np.uint8), np.ones((width, width), np.uint8)) > 0
    inside = volume.mask & ~near_line
    if volume.n_frames < 2 or not inside.any():
        return 0.0
    grey = volume.array.mean(axis=3, dtype=np.float32)  # (z, y, x)
    weight = (~near_line).astype(np.float32)
    detail = _smooth(grey, weight, inside, _FINE_PX) - _smooth(grey, weight, inside, _COARSE_PX)
    energy = (detail**2).sum(axis=1, dtype=np.float64)
    common = (detail[1:] * detail[:-1]).sum(dtype=np.float64)
    total = 0.5 * (energy[1:] + energy[:-1]).sum()
    # Rounding leaves traces where there is no structure: below 1e-3 grey levels it is none.
    return float(common / total) if total > 1e-6 * detail[1:].size else 0.0


def _smooth(grey: FloatArray, weight: FloatArray, inside: BoolArray, sigma_px: float) -> FloatArray:
    """Gaussian mean of the pixels with weight, at the inside pixels: ``(z, n)``."""

    def blur(plane: FloatArray) -> FloatArray:
        blurred = cv2.GaussianBlur(plane, (0, 0), sigma_px, borderType=cv2.BORDER_CONSTANT)
        return np.asarray(blurred, dtype=np.float32)[inside]

    norm = blur(weight)
    return np.stack([blur(plane * weight) / norm for plane in grey])
