"""Another size."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from stallscan.augment import _checks
from stallscan.augment._maps import Map, Zoom
from stallscan.augment._spatial import ORDERS
from stallscan.augment._transform import Params, Shape, Spatial


@dataclass(frozen=True)
class Resize(Spatial):
    """Bring the volume to a size; what it shows keeps its outer edges (half-pixel centres).

    Attributes:
        shape: ``(z, y, x)`` of the result.
        interpolation: 0 nearest, 1 linear, 2 to 5 splines.
        resize_type: taken for compatibility; both kinds of volumentations are one here.
        always_apply: whatever p says.
        p: probability.
        align_corners: keep the centres of the corner voxels instead, as volumentations does.

    Example:
        >>> fitted = Resize((96, 128, 128))
    """

    shape: tuple[int, ...]
    interpolation: int = 1
    resize_type: int = 1
    always_apply: bool = False
    p: float = 1
    align_corners: bool = field(default=False, kw_only=True)

    def check(self) -> None:
        """See `Transform.check`."""
        self._set(shape=_checks.size_of("Resize.shape", self.shape))
        _checks.one_of("Resize.interpolation", self.interpolation, ORDERS)
        _checks.one_of("Resize.resize_type", self.resize_type, (0, 1))

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """The size."""
        return {"size": list(self.shape)}

    def map(self, params: Params, shape: Shape) -> list[Map]:
        """One zoom."""
        depth, height, width = params["size"]
        return [Zoom(shape, (depth, height, width), self.align_corners, self.interpolation)]
