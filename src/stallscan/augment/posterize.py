"""Few grey levels."""

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
class Posterize(Pixel):
    """Leave few grey levels, as a coarse digitiser does: 2ⁿ, evenly from black to white.

    Each value becomes the nearest of them, the same in every dtype; float32 images lie in [0, 1].
    (Cutting off the lower bits instead would darken the volume, white above all.)

    Attributes:
        bits_limit: n, 1 to 8: a pair of whole numbers, or n for (n, n). 8 leaves uint8 as it is.
        always_apply: whatever p says.
        p: probability.

    Example:
        >>> coarse = Posterize(bits_limit=(3, 6), p=0.1)
    """

    bits_limit: Range = (3, 6)
    always_apply: bool = False
    p: float = 0.5

    def check(self) -> None:
        """See `Transform.check`."""
        self._set(bits_limit=_checks.whole_pair("Posterize.bits_limit", self.bits_limit, 1, 8))

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """How many bits."""
        fewest, most = (int(end) for end in ends(self.bits_limit))
        return {"bits": int(rng.integers(fewest, most + 1))}

    def table(self, params: Params, n_frames: int) -> NDArray[np.uint8]:
        """See `Pixel.table`."""
        return self.apply(np.arange(256, dtype=np.uint8), params)

    def apply(self, volume: NDArray[Any], params: Params) -> NDArray[Any]:
        """See `Transform.apply`."""
        steps = 2 ** params["bits"] - 1
        return mapped("Posterize", volume, lambda share: np.rint(share * steps) / steps)
