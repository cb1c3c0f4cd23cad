"""Where a phantom's target is in focus, and whether its blood moves there."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from stallscan.simulate.truth import MOVING_UM, STILL_UM, Truth
from stallscan.types import UInt8Array

_STEP_PX = 0.7
_LEAST_PX = 0.7  # a disc of this radius holds a pixel wherever it lies


class Motion(IntEnum):
    """What is true of a voxel."""

    NONE = 0
    """Not the target's lumen."""
    MOVING = 1
    STILL = 2
    UNDECIDED = 3
    """Blood that drifts by less than 1 µm in its slice."""


def motion_map(truth: Truth) -> UInt8Array:
    """The target's lumen in its ROI, by what its blood does in each slice.

    Args:
        truth: of `phantom_roi`.

    Returns:
        ``(z, y, x)`` uint8, values of `Motion`; the box around the drawn line, all frames.
    """
    shape = (truth.n_frames, truth.roi_y1 - truth.roi_y0, truth.roi_x1 - truth.roi_x0)
    to_um = np.array([truth.z_step_um, truth.pixel_um, truth.pixel_um])
    line = truth.centreline_px - np.array([0.0, truth.roi_y0, truth.roi_x0])
    arc = np.linalg.norm(np.diff(line * to_um, axis=0), axis=1).cumsum()
    arc = np.concatenate([[0.0], arc])
    places = np.arange(0.0, arc[-1] + 1e-9, _STEP_PX * truth.pixel_um)
    points = np.stack([np.interp(places, arc, axis) for axis in line.T], axis=1)

    # Every voxel of a box around each point, and which of them lie in the ball of the lumen.
    reach = np.maximum(truth.diameter_um / 2 / to_um, [0.75, 1.0, 1.0])
    extent = 2 * np.ceil(reach).astype(int) + 1
    near = np.indices(tuple(extent.tolist())).reshape(3, -1).T - np.ceil(reach)
    voxels = np.round(points)[:, None] + near  # (points, voxels, 3)
    off = voxels - points[:, None]
    chord = 1 - (off[..., 0] / reach[0]) ** 2
    radius = np.maximum(reach[1] * np.sqrt(np.maximum(chord, 0)), _LEAST_PX)
    inside = (chord > 0) & (np.hypot(off[..., 1], off[..., 2]) <= radius)
    inside &= ((voxels >= 0) & (voxels < shape)).all(axis=2)
    lumen = np.zeros(shape, bool)
    lumen[tuple(voxels[inside].astype(int).T)] = True
    return lumen * _by_slice(np.abs(truth.motion_um))[:, None, None]


def _by_slice(motion: NDArray[np.float64]) -> UInt8Array:
    """``(z,)`` values of `Motion` of the blood in each slice."""
    kinds = np.select(
        [motion < STILL_UM, motion < MOVING_UM], [Motion.STILL, Motion.UNDECIDED], Motion.MOVING
    )
    return kinds.astype(np.uint8)
