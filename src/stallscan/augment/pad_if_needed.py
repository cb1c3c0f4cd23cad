"""A border up to a size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stallscan.augment import _checks
from stallscan.augment._cut import centred_start, cut_or_pad
from stallscan.augment._maps import Map
from stallscan.augment._spatial import beyond
from stallscan.augment._transform import Params, Shape, Spatial


@dataclass(frozen=True)
class PadIfNeeded(Spatial):
    """Add planes on both sides until the volume has a shape at least; it stays in the middle.

    Where an odd number is added, the end gets one more.

    Attributes:
        shape: least ``(z, y, x)``; None leaves an axis as it is.
        border_mode: what is added: constant, nearest (the outermost plane) or reflect (the mirror
            image, the outermost plane too).
        value: the constant, in the image's own grey levels.
        mask_value: the constant of masks.
        always_apply: whatever p says.
        p: probability.

    Example:
        >>> large_enough = PadIfNeeded((None, 64, 64), "reflect")
    """

    shape: tuple[int | None, ...]
    border_mode: str = "constant"
    value: float = 0
    mask_value: float = 0
    always_apply: bool = False
    p: float = 1

    def check(self) -> None:
        """See `Transform.check`."""
        self._set(shape=_checks.size_or_whole("PadIfNeeded.shape", self.shape))
        beyond(self)

    def does_nothing(self) -> str | None:
        """See `Transform.does_nothing`."""
        return None if any(self.shape) else "shape leaves all axes as they are"

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """Where the result begins, in voxels of the volume, and its size."""
        size = [max(extent or 1, n) for extent, n in zip(self.shape, shape, strict=True)]
        return {"start": centred_start(size, shape), "size": size}

    def map(self, params: Params, shape: Shape) -> list[Map]:
        """One move by whole voxels."""
        return cut_or_pad(params, shape, self)
