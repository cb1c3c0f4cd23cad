"""The flips averaged at test time."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

FLIPS: tuple[tuple[int, ...], ...] = tuple(
    sorted(
        (axes for count in range(4) for axes in itertools.combinations((-1, -2, -3), count)),
        key=lambda axes: (-3 in axes, len(axes), axes),
    )
)
"""All eight flips over ``(z, y, x)`` as negative axes; the first 1, 2, 4 or 8 are used. The plane
comes first, time reversal last. A flip is its own inverse."""


def mirrored(array: NDArray[Any], axes: tuple[int, ...]) -> NDArray[Any]:
    """Mirror ``(…, z, y, x)`` over the given axes (a view)."""
    return np.flip(array, axes) if axes else array
