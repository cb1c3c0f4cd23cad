"""Array aliases, labels and boxes that every room shares (a leaf: NumPy only)."""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

UInt8Array: TypeAlias = NDArray[np.uint8]
FloatArray: TypeAlias = NDArray[np.floating[Any]]
BoolArray: TypeAlias = NDArray[np.bool_]
IntArray: TypeAlias = NDArray[np.integer[Any]]

Location: TypeAlias = Path | str
"""A path, or a URL."""

AXES = ("z", "y", "x")
"""Order of every size, spacing and position; z is the frame axis: depth and time."""


class Label(IntEnum):
    """The state of a vessel segment."""

    FLOWING = 0
    STALLED = 1

    @property
    def word(self) -> str:
        """``"flowing"`` or ``"stalled"``."""
        return self.name.lower()


class _Triple(tuple[int, int, int]):
    """Three whole numbers. (No NamedTuple: the command line takes those for groups of options.)"""

    __slots__ = ()

    def __new__(cls, *values: int) -> Self:
        """From three numbers."""
        if len(values) != 3:
            raise TypeError(f"{cls.__name__} takes three numbers, got {len(values)}")
        return super().__new__(cls, values)

    def __getnewargs__(self) -> tuple[int, int, int]:
        return self[0], self[1], self[2]


class Color(_Triple):
    """RGB, 0–255 each."""


class Size(_Triple):
    """Extent in voxels, ``(z, y, x)``."""


class Box(NamedTuple):
    """Half-open box ``(z0, y0, x0, z1, y1, x1)`` in voxels."""

    z0: int
    y0: int
    x0: int
    z1: int
    y1: int
    x1: int

    @property
    def size(self) -> tuple[int, int, int]:
        """``(z, y, x)`` extent in voxels."""
        return self.z1 - self.z0, self.y1 - self.y0, self.x1 - self.x0

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """Index of the box in an array whose first axes are ``(z, y, x)``."""
        return slice(self.z0, self.z1), slice(self.y0, self.y1), slice(self.x0, self.x1)
