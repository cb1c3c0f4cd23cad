"""Boxes cut out of a volume: where they begin, how large they are, what lies beyond its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stallscan.augment import _checks
from stallscan.augment._maps import Affine, Map, Take
from stallscan.augment._spatial import beyond
from stallscan.augment._transform import Params, Shape, Spatial
from stallscan.errors import OptionError


def cut(params: Params, shape: Shape) -> list[Map]:
    """What a volume has of the box that begins at ``start`` and has the extents ``size``."""
    maps: list[Map] = []
    for axis, (first, extent) in enumerate(zip(params["start"], params["size"], strict=True)):
        low, high = max(first, 0), min(first + extent, shape[axis])
        if (low, high) != (0, shape[axis]):
            maps.append(Take(axis, range(low, high)))
    return maps


def cut_or_pad(params: Params, shape: Shape, transform: Spatial) -> list[Map]:
    """All of the box: what is outside the volume, the transform's border mode says."""
    maps = cut(params, shape)
    start, (depth, height, width) = params["start"], params["size"]
    lacking = (
        first < 0 or first + extent > n
        for first, extent, n in zip(start, params["size"], shape, strict=True)
    )
    if any(lacking):
        offset = np.minimum(start, 0).astype(np.float64)
        maps.append(Affine(np.eye(3), offset, (depth, height, width), beyond(transform)))
    return maps


def centred_start(size: Sequence[int], shape: Shape) -> list[int]:
    """Of a box in the middle; what is odd goes to the end, planes cut off and planes added."""
    pairs = zip(size, shape, strict=True)
    return [(n - extent) // 2 if n > extent else -((extent - n) // 2) for extent, n in pairs]


def random_start(rng: np.random.Generator, size: Sequence[int], shape: Shape) -> list[int]:
    """Of a box anywhere within the volume; along an axis that is too short, in its middle."""
    spare = [n - extent for extent, n in zip(size, shape, strict=True)]
    return [int(rng.integers(n + 1)) if n > 0 else -(-n // 2) for n in spare]


def start_around(
    rng: np.random.Generator, size: Sequence[int], shape: Shape, mask: NDArray[np.generic] | None
) -> list[int]:
    """Of a box with a voxel of the mask in it, each alike likely; without any, anywhere."""
    voxel = None if mask is None else _voxel_of(rng, mask)
    if voxel is None:
        return random_start(rng, size, shape)
    start = []
    for place, extent, n in zip(voxel, size, shape, strict=True):
        first = place - int(rng.integers(extent))
        start.append(min(max(first, 0), n - extent) if n > extent else -((extent - n) // 2))
    return start


def _voxel_of(rng: np.random.Generator, mask: NDArray[np.generic]) -> tuple[int, ...] | None:
    """One of those that are not 0, or None; frames are counted, and one of them is searched."""
    marked = mask if mask.dtype == bool else mask != 0
    if marked.ndim == 4:
        marked = marked.any(axis=3)
    counts = [np.count_nonzero(frame) for frame in marked]
    before = np.cumsum(counts)
    if before[-1] == 0:
        return None
    chosen = int(rng.integers(before[-1]))
    frame = int(np.searchsorted(before, chosen, side="right"))
    number = chosen - int(before[frame]) + counts[frame]
    place = np.flatnonzero(marked[frame])[number]
    row, column = divmod(int(place), marked.shape[2])
    return frame, row, column


@dataclass(frozen=True)
class Crop(Spatial):
    """What crops of a given shape share: an axis may be kept whole, or be too short."""

    shape: tuple[int | None, ...]
    always_apply: bool = False
    p: float = 1.0
    pad_if_needed: bool = field(default=False, kw_only=True)
    border_mode: str = field(default="constant", kw_only=True)
    value: float = field(default=0, kw_only=True)
    mask_value: float = field(default=0, kw_only=True)

    def check(self) -> None:
        """See `Transform.check`."""
        name = type(self).__name__
        self._set(shape=_checks.size_or_whole(f"{name}.shape", self.shape))
        _checks.one_of(f"{name}.pad_if_needed", self.pad_if_needed, (False, True))
        beyond(self)

    def does_nothing(self) -> str | None:
        """See `Transform.does_nothing`."""
        return None if any(self.shape) else "shape keeps all axes whole"

    def size_in(self, shape: Shape) -> list[int]:
        """Extents of the crop.

        Raises:
            OptionError: greater than the volume's, and nothing may be padded.
        """
        size = [
            n if extent is None else extent for extent, n in zip(self.shape, shape, strict=True)
        ]
        if not self.pad_if_needed and any(a > b for a, b in zip(size, shape, strict=True)):
            raise OptionError(
                f"{type(self).__name__}.shape is {self.shape}, the volume has only {shape}; give "
                "pad_if_needed=True, a smaller shape, or None for a whole axis"
            )
        return size

    def map(self, params: Params, shape: Shape) -> list[Map]:
        """Planes of each axis that loses some, and a padding where there are too few."""
        return cut_or_pad(params, shape, self)
