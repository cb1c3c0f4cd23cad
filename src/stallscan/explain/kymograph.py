"""The vessel straightened, slice after slice, and what physics says of it without a network."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from stallscan.roi.centreline import beside, centreline, directions
from stallscan.roi.volume import Volume

Float32 = NDArray[np.float32]

_SMEAR_PX = 2  # chroma subsampling smears the drawn line this far into the grey
_VESSEL_PX = 2.5  # σ of the ridge filter, for vessels of 5 to 6 px
_SLICES = 1.5  # σ along z for the ridge filter
_FLOOR = 0.1  # ease where there is no ridge
_ACROSS_PX = 6  # from the middle to the side of a profile
_LUMEN_PX, _FLANK_PX = 1, 4  # up to which is the vessel; from which are its surroundings
_CELL_PX = 1.5  # below which there is noise
_AROUND = 1.5, 5.0  # slices and px over which the vessel itself is taken, without its cells
_FOCUS_PX, _FOCUS_SLICES = 8.0, 1.0  # over which contrast is taken
_PIECE_PX = 6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Kymograph:
    """The outlined vessel along its course, over the slices.

    Standing cells are vertical bands, moving ones are elsewhere in each slice.

    Attributes:
        intensity: ``(z, arc)`` float32 grey levels in the vessel's middle, a px of arc a column.
        contrast: ``(z, arc)`` float32 grey levels by which it is brighter than its surroundings,
            smoothed; 0 where it is not: there it is out of focus.
        line_px: ``(arc, 2)`` float64 y and x of the columns in the ROI.
        persistence: of the dark pattern, −1 to 1, see `kymograph`; 0 where there is none.
    """

    intensity: Float32
    contrast: Float32
    line_px: NDArray[np.float64]
    persistence: float

    @property
    def focus(self) -> NDArray[np.bool_]:
        """``(z,)`` slices in which a piece of the vessel as long as a cell is in focus."""
        clear = self.contrast > 0.5 * np.quantile(self.contrast, 0.98)
        found: NDArray[np.bool_] = clear.sum(axis=1) >= _PIECE_PX
        return found


def kymograph(volume: Volume) -> Kymograph:
    """Straighten the outlined vessel.

    Its course is the way through the outline, from tip to tip, that keeps to the brightest ridge
    (negative curvature of the grey over σ = 2.5 px, the largest of all slices), and rather to the
    outline's middle. With k the grey along it, smoothed by σ = 1.5 px, less its mean over σ = 5 px
    and 1.5 slices, and c the vessel's contrast to its surroundings, the persistence of its pattern
    is Σ c_z c_z+1 k_z k_z+1 / Σ c_z c_z+1 ½ (k_z² + k_z+1²): what is in focus counts.

    Args:
        volume: a ROI with its outline; channels are averaged.

    Raises:
        OptionError: nothing is inside the outline.
    """
    grey = _without_line(volume)
    line = centreline(volume.mask, _ease(grey, volume))
    profiles = _profiles(grey, line)
    lumen = profiles[..., _ACROSS_PX - _LUMEN_PX : _ACROSS_PX + _LUMEN_PX + 1].mean(axis=2)
    far = _ACROSS_PX - _FLANK_PX + 1
    flanks = np.concatenate([profiles[..., :far], profiles[..., -far:]], axis=2).mean(axis=2)
    smooth = gaussian_filter(lumen - flanks, (_FOCUS_SLICES, _FOCUS_PX), mode="nearest")
    contrast = smooth.clip(0)
    return Kymograph(
        intensity=lumen,
        contrast=contrast,
        line_px=line,
        persistence=_persistence(lumen, contrast),
    )


def _without_line(volume: Volume) -> Float32:
    """``(z, y, x)`` float32 grey, the drawn line filled from what surrounds it."""
    width = 2 * _SMEAR_PX + 1
    near_line = cv2.dilate(volume.line.astype(np.uint8), np.ones((width, width), np.uint8)) > 0
    weight = (~near_line).astype(np.float32)
    norm = cv2.GaussianBlur(weight, (0, 0), 2.0) + 1e-3
    grey: Float32 = volume.array.mean(axis=3, dtype=np.float32)
    for plane in grey:
        around = cv2.GaussianBlur(plane * weight, (0, 0), 2.0) / norm
        plane[near_line] = around[near_line]
    return grey


def _ease(grey: Float32, volume: Volume) -> NDArray[np.float64]:
    """``(y, x)``: large on ridges, and towards the outline's middle."""
    smooth = gaussian_filter(grey, (_SLICES, 1.0, 1.0), mode="nearest")
    ridge = np.max([_ridge(plane) for plane in smooth], axis=0)
    usual = max(float(np.quantile(ridge[volume.mask], 0.95)), 1e-6) if volume.mask.any() else 1.0
    inner = cv2.distanceTransform(np.pad(volume.mask, 1).astype(np.uint8), cv2.DIST_L2, 5)
    middle = np.clip(inner[1:-1, 1:-1] / max(float(inner.max()), 1.0), 0.05, 1)
    return np.asarray(_FLOOR + middle * ridge / usual, np.float64)


def _ridge(plane: Float32) -> Float32:
    """Curvature across bright lines: minus the least eigenvalue of the Hessian, or 0."""
    yy, xx, xy = (
        gaussian_filter(plane, _VESSEL_PX, order=order) for order in ((2, 0), (0, 2), (1, 1))
    )
    least = (yy + xx - np.hypot(yy - xx, 2 * xy)) / 2
    found: Float32 = np.clip(-least, 0, None)
    return found


def _profiles(grey: Float32, line: NDArray[np.float64]) -> Float32:
    """``(z, arc, across)``: each slice along the line, and px by px to both sides."""
    across = np.arange(-_ACROSS_PX, _ACROSS_PX + 1.0)
    y, x = beside(line, directions(line, np.arange(float(len(line)))), across)
    found = np.empty((len(grey), *y.shape), np.float32)
    for plane, target in zip(grey, found, strict=True):
        cv2.remap(plane, x, y, cv2.INTER_LINEAR, dst=target, borderMode=cv2.BORDER_REPLICATE)
    return found


def _persistence(intensity: Float32, contrast: Float32) -> float:
    fine = gaussian_filter1d(intensity, _CELL_PX, axis=1, mode="nearest").astype(np.float64)
    pattern = fine - gaussian_filter(intensity.astype(np.float64), _AROUND, mode="nearest")
    weight = contrast[1:].astype(np.float64) * contrast[:-1]
    common = (weight * pattern[1:] * pattern[:-1]).sum()
    total = 0.5 * (weight * (pattern[1:] ** 2 + pattern[:-1] ** 2)).sum()
    return float(common / total) if total > 1e-6 else 0.0
