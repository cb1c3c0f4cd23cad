"""A crop anywhere, brought to a size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stallscan.augment import _checks
from stallscan.augment._checks import Range
from stallscan.augment._cut import cut, random_start
from stallscan.augment._maps import Map, Zoom
from stallscan.augment._spatial import ORDERS, factor_in
from stallscan.augment._transform import Params, Shape, Spatial


@dataclass(frozen=True)
class RandomResizedCrop(Spatial):
    """Cut out a box somewhat smaller or larger than a shape, and bring it to that shape.

    As in volumentations the box has a factor times the extents of **the shape**, not of the volume;
    along an axis where the volume is shorter, it is the whole axis. The factor is drawn log-evenly.

    Attributes:
        shape: ``(z, y, x)`` of the result.
        scale_limit: the factor, a pair or a number; above 1 more is seen, and smaller.
        interpolation: 0 nearest, 1 linear, 2 to 5 splines.
        resize_type: taken for compatibility; both kinds of volumentations are one here.
        always_apply: whatever p says.
        p: probability.

    Example:
        >>> patch = RandomResizedCrop((32, 48, 48), (0.7, 1.4))
    """

    shape: tuple[int, ...]
    scale_limit: Range = (0.8, 1.2)
    interpolation: int = 1
    resize_type: int = 1
    always_apply: bool = False
    p: float = 1.0

    def check(self) -> None:
        """See `Transform.check`."""
        name = type(self).__name__
        limit = _checks.pair(f"{name}.scale_limit", self.scale_limit, 0.01, 100, number="exact")
        self._set(shape=_checks.size_of(f"{name}.shape", self.shape), scale_limit=limit)
        _checks.one_of(f"{name}.interpolation", self.interpolation, ORDERS)
        _checks.one_of(f"{name}.resize_type", self.resize_type, (0, 1))

    def size_in(self, rng: np.random.Generator, shape: Shape) -> list[int]:
        """Extents of a box."""
        factor = factor_in(rng, self.scale_limit)
        pairs = zip(self.shape, shape, strict=True)
        return [min(max(round(extent * factor), 1), n) for extent, n in pairs]

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """Start and size of the box."""
        size = self.size_in(rng, shape)
        return {"start": random_start(rng, size, shape), "size": size}

    def map(self, params: Params, shape: Shape) -> list[Map]:
        """The crop, and one zoom."""
        depth, height, width = self.shape
        zoom = Zoom(tuple(params["size"]), (depth, height, width), order=self.interpolation)
        return [*cut(params, shape), zoom]
