"""Another scale."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from stallscan.augment import _checks
from stallscan.augment._checks import Range
from stallscan.augment._maps import Map, Zoom
from stallscan.augment._spatial import ORDERS, factor_in
from stallscan.augment._transform import Params, Shape, Spatial


@dataclass(frozen=True)
class RandomScale(Spatial):
    """Make the volume larger or smaller, its extents with it; time is stretched too.

    The factor is drawn log-evenly, so that half is as likely as twice. Every extent becomes the
    nearest whole number to itself times the factor, one voxel at least. What comes afterwards and
    brings all to one size (`Resize`) undoes it; a crop or a padding does not.

    Attributes:
        scale_limit: the factor, a pair or a number.
        interpolation: 0 nearest, 1 linear, 2 to 5 splines.
        always_apply: whatever p says.
        p: probability.
        per_axis: draw a factor for each axis, so that proportions change.

    Example:
        >>> zoomed = RandomScale((0.8, 1.25), p=0.3)
    """

    scale_limit: Range = (0.9, 1.1)
    interpolation: int = 1
    always_apply: bool = False
    p: float = 0.5
    per_axis: bool = field(default=False, kw_only=True)

    def check(self) -> None:
        """See `Transform.check`."""
        where = "RandomScale.scale_limit"
        self._set(scale_limit=_checks.pair(where, self.scale_limit, 0.01, 100, number="exact"))
        _checks.one_of("RandomScale.interpolation", self.interpolation, ORDERS)
        _checks.one_of("RandomScale.per_axis", self.per_axis, (False, True))

    def does_nothing(self) -> str | None:
        """See `Transform.does_nothing`."""
        return "scale_limit is 1" if self.scale_limit == (1, 1) else None

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """A factor for each axis."""
        factors = [factor_in(rng, self.scale_limit) for _ in range(3 if self.per_axis else 1)]
        return {"factors": factors if self.per_axis else factors * 3}

    def map(self, params: Params, shape: Shape) -> list[Map]:
        """One zoom."""
        depth, height, width = (
            max(round(extent * factor), 1)
            for extent, factor in zip(shape, params["factors"], strict=True)
        )
        return [Zoom(shape, (depth, height, width), order=self.interpolation)]
