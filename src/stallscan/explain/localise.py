"""Weak localisation: a heatmap as an outline of what mattered (the paper's discussion)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stallscan.errors import OptionError


def heat_mask(heat: NDArray[np.float32], share: float = 0.5) -> NDArray[np.bool_]:
    """Where a map reaches a share of its maximum.

    Args:
        heat: ``(z, y, x)``, 0 and above.
        share: 0 to 1.

    Returns:
        ``(z, y, x)`` bool; nothing where the map is 0 everywhere.

    Raises:
        OptionError: a share outside.
    """
    if not 0 < share <= 1:
        raise OptionError(f"share is {share}, allowed are numbers above 0, up to 1")
    largest = float(heat.max())
    found: NDArray[np.bool_] = (heat >= share * largest) & (largest > 0)
    return found


def peak(heat: NDArray[np.float32]) -> tuple[int, int, int]:
    """``(z, y, x)`` of the largest value; the first of several."""
    z, y, x = np.unravel_index(int(heat.argmax()), heat.shape)
    return int(z), int(y), int(x)


def energy_inside(heat: NDArray[np.float32], inside: NDArray[np.bool_]) -> float:
    """Share of a map's sum that lies inside; 0 where the map is 0 everywhere."""
    whole = float(heat.sum(dtype=np.float64))
    return float(heat[inside].sum(dtype=np.float64)) / whole if whole > 0 else 0.0


def overlap(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Intersection over union; 0 where both are empty."""
    union = int((found | truth).sum())
    return int((found & truth).sum()) / union if union else 0.0
