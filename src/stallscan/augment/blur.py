"""Means of boxes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stallscan.augment import _checks
from stallscan.augment._checks import Range
from stallscan.augment._filters import box, correlate, draw_odd, odd_pair, rounded
from stallscan.augment._transform import Params, Pixel, Shape
from stallscan.augment._values import ends


@dataclass(frozen=True)
class Blur(Pixel):
    """Replace every voxel by the mean of a box around it, within the frames.

    Borders reflect; the result is exact to the rounding in every dtype.

    Attributes:
        blur_limit: extent of the box along y and x in voxels, odd, a pair or n for (n, n).
        always_apply: whatever p says.
        p: probability.
        blur_z_limit: extent along z in frames, odd, a pair or n for (n, n); 1 mixes no frames.
        per_axis: whether y and x get an extent each.

    Example:
        >>> blurred = Blur((3, 7), p=0.2)
    """

    blur_limit: Range = (3, 7)
    always_apply: bool = False
    p: float = 0.5
    blur_z_limit: Range = field(default=1, kw_only=True)
    per_axis: bool = field(default=False, kw_only=True)

    def check(self) -> None:
        """See `Transform.check`."""
        for name in ("blur_limit", "blur_z_limit"):
            self._set(**{name: odd_pair(f"Blur.{name}", getattr(self, name), 255)})
        _checks.one_of("Blur.per_axis", self.per_axis, (False, True))

    def does_nothing(self) -> str | None:
        """See `Transform.does_nothing`."""
        single = ends(self.blur_limit) == ends(self.blur_z_limit) == (1, 1)
        return "blur_limit and blur_z_limit are (1, 1)" if single else None

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """The extent along each axis."""
        along_z = draw_odd(rng, self.blur_z_limit)
        along_y = draw_odd(rng, self.blur_limit)
        along_x = draw_odd(rng, self.blur_limit) if self.per_axis else along_y
        return {"extents": [along_z, along_y, along_x]}

    def apply(self, volume: NDArray[Any], params: Params) -> NDArray[Any]:
        """See `Transform.apply`."""
        return rounded(correlate(volume, [box(extent) for extent in params["extents"]]), volume)
