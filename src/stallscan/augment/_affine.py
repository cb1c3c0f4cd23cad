"""Affine maps about the centre of a volume."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stallscan.augment._maps import Affine, Sampling, Shape

Floats = NDArray[np.float64]


def about_centre(
    matrix: Floats, shape: Shape, sampling: Sampling, shift: Floats | float = 0.0
) -> Affine:
    """The map that leaves the centre in place, and moves it by a shift in voxels.

    Args:
        matrix: ``(3, 3)`` from the result to the source, voxels.
        shape: of source and result.
        sampling: see there.
        shift: ``(3,)`` by which the picture goes on.
    """
    centre = (np.array(shape) - 1) / 2
    return Affine(matrix, centre - matrix @ (centre + shift), sampling=sampling)


def rotation(axis: int, angle_deg: float) -> Floats:
    """Right-handed rotation about an axis; whole quarter turns are exact."""
    angle = np.deg2rad(angle_deg)
    cos, sin = np.cos(angle), np.sin(angle)
    if angle_deg % 90 == 0:
        cos, sin = np.rint(cos), np.rint(sin)
    first, second = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(3)
    matrix[first, first] = matrix[second, second] = cos
    matrix[first, second], matrix[second, first] = -sin, sin
    return matrix
