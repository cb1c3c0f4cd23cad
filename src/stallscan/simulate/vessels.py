"""Vessel geometry: smooth random centrelines in micrometres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

Float32 = NDArray[np.float32]

MEDIAN_LENGTH_UM = 55.0
"""Median length of a capillary segment between branch points (log-normal)."""


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


def sample_lengths_um(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """``(n,)`` segment lengths, µm: log-normal, clipped to 25–170."""
    return np.clip(MEDIAN_LENGTH_UM * np.exp(0.45 * rng.standard_normal(n)), 25.0, 170.0)


def sample_radii_um(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """``(n,)`` capillary radii, µm: mean 2.5, clipped to 1.6–3.5 (diameter 3.2–7 µm)."""
    return np.clip(2.5 + 0.45 * rng.standard_normal(n), 1.6, 3.5)


def sample_directions(rng: np.random.Generator, n: int, flatness: float) -> NDArray[np.float64]:
    """``(n, 3)`` unit vectors ``(z, y, x)``; flatness 1 is isotropic, 0 lies in the image plane."""
    directions = rng.standard_normal((n, 3))
    directions[:, 0] *= flatness
    unit: NDArray[np.float64] = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    return unit


def grow_centrelines(
    rng: np.random.Generator,
    starts_um: NDArray[np.float64],
    directions: NDArray[np.float64],
    lengths_um: NDArray[np.float64],
    radii_um: NDArray[np.float64],
    tortuosity: NDArray[np.float64],
    flatness: float,
) -> list[Vessel]:
    """Grow smooth tubes from their starts.

    The direction of growth takes a step of smoothed noise every micrometre: curvature is correlated
    over about 8 µm, and ``tortuosity`` (rad per µm, about 0.02 for straight and 0.1 for horseshoes)
    sets how much. Steps along z shrink by ``flatness``.

    Args:
        rng: the randomness.
        starts_um: ``(n, 3)`` first points.
        directions: ``(n, 3)`` unit vectors.
        lengths_um: ``(n,)`` lengths.
        radii_um: ``(n,)`` radii.
        tortuosity: ``(n,)`` spread of the change of direction.
        flatness: as in `sample_directions`.
    """
    n, n_steps = len(starts_um), int(np.ceil(lengths_um.max()))
    noise = gaussian_filter1d(rng.standard_normal((n, n_steps, 3)), 8.0, axis=1, mode="reflect")
    noise *= np.sqrt(2 * np.sqrt(np.pi) * 8.0)  # unit variance again after the smoothing
    noise[..., 0] *= flatness
    headings = directions[:, None] + np.cumsum(noise * tortuosity[:, None, None], axis=1)
    headings /= np.linalg.norm(headings, axis=2, keepdims=True)
    points = starts_um[:, None] + np.cumsum(headings, axis=1)  # (n, steps, 3), one step = 1 µm
    vessels = []
    for line, length, radius in zip(points, lengths_um, radii_um, strict=True):
        step = max(1, int(radius / 3))  # wide tubes need fewer points
        line = line[: int(np.ceil(length)) : step].astype(np.float32)
        arc = (np.arange(len(line)) * step).astype(np.float32)
        vessels.append(Vessel(points_um=line, arc_um=arc, radius_um=float(radius)))
    return vessels
