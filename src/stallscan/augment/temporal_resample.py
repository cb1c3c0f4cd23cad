"""Another speed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stallscan.augment import _checks
from stallscan.augment._checks import Range
from stallscan.augment._maps import Map, Zoom
from stallscan.augment._spatial import ORDERS, factor_in
from stallscan.augment._transform import Params, Shape, Spatial


@dataclass(frozen=True)
class TemporalResample(Spatial):
    """Play the recording faster or slower: fewer or more frames come out, the plane stays.

    Frames are read at a rate, drawn log-evenly; between two of them they are blended. A `Resize`
    along z brings a recording to a number of frames, so that what one frame lasts depends on how
    long it was; here what a frame lasts changes by a factor that is drawn, and how many frames
    there are follows from it. So a `Resize` of z **afterwards undoes it**: use `TemporalCrop`,
    `RandomCrop` or `PadIfNeeded` to bring z to a size.

    Attributes:
        rate_limit: speed, 2 is twice as fast with half of the frames; a pair or a number.
        interpolation: 0 nearest, 1 linear, 2 to 5 splines.
        always_apply: whatever p says.
        p: probability.

    Example:
        >>> hurried = TemporalResample((0.7, 1.4), p=0.3)
    """

    rate_limit: Range = (0.5, 2.0)
    interpolation: int = 1
    always_apply: bool = False
    p: float = 0.5

    def check(self) -> None:
        """See `Transform.check`."""
        where = "TemporalResample.rate_limit"
        self._set(rate_limit=_checks.pair(where, self.rate_limit, 0.01, 100, number="exact"))
        _checks.one_of("TemporalResample.interpolation", self.interpolation, ORDERS)

    def does_nothing(self) -> str | None:
        """See `Transform.does_nothing`."""
        return "rate_limit is 1" if self.rate_limit == (1, 1) else None

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """The rate."""
        return {"rate": factor_in(rng, self.rate_limit)}

    def map(self, params: Params, shape: Shape) -> list[Map]:
        """A zoom along z."""
        depth, height, width = shape
        size = (max(round(depth / params["rate"]), 1), height, width)
        return [Zoom(shape, size, order=self.interpolation)]
