"""Bright values inverted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stallscan.augment import _checks
from stallscan.augment._checks import Range
from stallscan.augment._curves import mapped
from stallscan.augment._transform import Params, Pixel, Shape
from stallscan.augment._values import ends


@dataclass(frozen=True)
class Solarize(Pixel):
    """Invert what is bright: from a threshold on, a value becomes white − value.

    Attributes:
        threshold_limit: the threshold in 8-bit grey levels whatever the dtype (1 is 257 of uint16
            and 1/255 of float32, whose images lie in [0, 1]): a pair, or n for (n, n). 0 inverts
            everything, 256 nothing.
        always_apply: whatever p says.
        p: probability.

    Example:
        >>> cells_bright = Solarize(threshold_limit=(100, 200), p=0.1)
    """

    threshold_limit: Range = 128
    always_apply: bool = False
    p: float = 0.5

    def check(self) -> None:
        """See `Transform.check`."""
        where = "Solarize.threshold_limit"
        self._set(threshold_limit=_checks.pair(where, self.threshold_limit, 0, 256, number="exact"))

    def does_nothing(self) -> str | None:
        """See `Transform.does_nothing`."""
        return "threshold_limit is above 255" if ends(self.threshold_limit)[0] > 255 else None

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """The threshold."""
        return {"threshold": float(rng.uniform(*ends(self.threshold_limit)))}

    def table(self, params: Params, n_frames: int) -> NDArray[np.uint8]:
        """See `Pixel.table`."""
        return self.apply(np.arange(256, dtype=np.uint8), params)

    def apply(self, volume: NDArray[Any], params: Params) -> NDArray[Any]:
        """See `Transform.apply`."""
        bright = params["threshold"] / 255
        return mapped("Solarize", volume, lambda share: np.where(share >= bright, 1 - share, share))
