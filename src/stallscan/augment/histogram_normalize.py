"""Grey levels spread evenly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stallscan.augment import _checks
from stallscan.augment._checks import Range
from stallscan.augment._curves import counts, shifted
from stallscan.augment._transform import Params, Pixel, Shape
from stallscan.augment._values import ends


@dataclass(frozen=True)
class HistogramNormalize(Pixel):
    """Spread the grey levels of the whole volume so that all are alike frequent.

    One curve for all frames and channels: flicker stays, and grey stays grey. The darkest level
    becomes black, the brightest white, and one between them the share of voxels that it outdoes
    (histogram equalisation). Levels are 8-bit ones whatever the dtype; between them the curve is
    straight. Float32 images lie in [0, 1]. A volume of one level stays as it is.

    Attributes:
        blend_ratio: how much of the spread volume there is in the result, 0 to 1: a pair, or n for
            (n, n).
        always_apply: whatever p says.
        p: probability.

    Example:
        >>> spread = HistogramNormalize(blend_ratio=(0.3, 1.0), p=0.2)
    """

    blend_ratio: Range = 1.0
    always_apply: bool = False
    p: float = 1.0

    def check(self) -> None:
        """See `Transform.check`."""
        where = "HistogramNormalize.blend_ratio"
        self._set(blend_ratio=_checks.pair(where, self.blend_ratio, 0, 1, number="exact"))

    def does_nothing(self) -> str | None:
        """See `Transform.does_nothing`."""
        return "blend_ratio is (0, 0)" if ends(self.blend_ratio) == (0, 0) else None

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """How much of the spread volume is taken."""
        return {"blend": float(rng.uniform(*ends(self.blend_ratio)))}

    def apply(self, volume: NDArray[Any], params: Params) -> NDArray[Any]:
        """See `Transform.apply`."""
        frequent = counts("HistogramNormalize", volume)
        reached = frequent.cumsum() - frequent[np.flatnonzero(frequent)[0]]
        if reached[-1] == 0:
            return volume.copy(order="C")
        spread = np.maximum(reached, 0) * (255 / reached[-1])
        shift = params["blend"] * (spread - np.arange(256))
        return shifted("HistogramNormalize", volume, shift)
