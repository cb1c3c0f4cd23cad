"""Flips and quarter turns: the mirror augmentation, and the flips averaged at test time."""

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


def flip(array: NDArray[Any], axes: tuple[int, ...]) -> NDArray[Any]:
    """Mirror ``(…, z, y, x)`` over the given axes (a view)."""
    return np.flip(array, axes) if axes else array


def random_mirror(array: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Mirror each axis with probability ½ and turn the plane by a random multiple of 90°.

    Args:
        array: ``(c, z, y, x)`` with y = x.
        rng: the randomness.

    Returns:
        The same shape, contiguous.
    """
    array = flip(array, FLIPS[int(rng.integers(len(FLIPS)))])
    return np.ascontiguousarray(np.rot90(array, int(rng.integers(4)), axes=(-2, -1)))
