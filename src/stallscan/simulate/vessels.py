"""One vessel: a tube around a smooth centreline, in micrometres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]

WIDE_UM = 4.5
"""Radius from which a vessel carries several cells abreast and is no capillary."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Vessel:
    """One tube.

    Attributes:
        points_um: ``(n, 3)`` centreline ``(z, y, x)`` in µm.
        arc_um: ``(n,)`` length along the centreline from its first point, µm.
        radius_um: lumen radius, µm.
    """

    points_um: Float32
    arc_um: Float32
    radius_um: float

    @property
    def length_um(self) -> float:
        """Length of the centreline, µm."""
        return float(self.arc_um[-1])

    @property
    def is_wide(self) -> bool:
        """Several cells abreast."""
        return self.radius_um > WIDE_UM


def along(line_um: NDArray[np.float64], radius_um: float, trim_um: tuple[float, float]) -> Vessel:
    """The vessel along a polyline, with a point about every micrometre.

    Args:
        line_um: ``(k, 3)`` corners.
        radius_um: lumen radius.
        trim_um: what is cut off at both ends, for instance inside of a wide vessel.
    """
    steps = np.linalg.norm(np.diff(line_um, axis=0), axis=1)
    corners = np.concatenate([[0.0], np.cumsum(steps)])
    first, last = trim_um[0], max(corners[-1] - trim_um[1], trim_um[0] + 1.0)
    step = max(1.0, radius_um / 3)  # wide tubes need fewer points
    places = np.linspace(first, last, max(2, round((last - first) / step) + 1))
    points = np.stack([np.interp(places, corners, line_um[:, axis]) for axis in range(3)], axis=1)
    return Vessel(
        points_um=points.astype(np.float32),
        arc_um=(places - first).astype(np.float32),
        radius_um=radius_um,
    )
