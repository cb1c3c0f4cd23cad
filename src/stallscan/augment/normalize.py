"""Mean 0, standard deviation 1."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stallscan.augment import _checks
from stallscan.augment._transform import Params, Pixel, Shape
from stallscan.augment._values import moment, standardise, sums
from stallscan.errors import OptionError


@dataclass(frozen=True)
class Normalize(Pixel):
    """Standardise a volume, all channels together: mean 0, standard deviation 1, float32.

    Uint8, uint16 or any finite float32 come in. A constant volume becomes zeros. Behind it values
    are no longer grey levels: it comes last.

    Attributes:
        range_norm: bring the values to [0, 1] first. Standardising undoes that, so the result is
            the same; it is here for pipelines that name it.
        always_apply: whatever p says.
        p: probability.

    Example:
        >>> network_input = Normalize()
    """

    range_norm: bool = False
    always_apply: bool = True
    p: float = 1.0

    def check(self) -> None:
        """See `Transform.check`."""
        _checks.one_of("Normalize.range_norm", self.range_norm, (False, True))

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """Nothing is random."""
        return {}

    def apply(self, volume: NDArray[Any], params: Params) -> NDArray[Any]:
        """See `Transform.apply`."""
        flat = np.ascontiguousarray(volume).reshape(-1)
        mean, deviation = _mean_and_deviation(flat)
        out = np.empty(flat.shape, np.float32)
        standardise(flat, mean, 1 / deviation if deviation else 0.0, out)
        return out.reshape(volume.shape)


def _mean_and_deviation(flat: NDArray[Any]) -> tuple[float, float]:
    """Of ``(n,)`` values; the deviation of equal ones is exactly 0."""
    n = flat.size
    if flat.dtype != np.float32:
        total, squares = (int(found) for found in sums(flat))
        return total / n, math.sqrt(n * squares - total**2) / n  # Python's integers: exact
    mean = moment(flat, 0.0, 1) / n
    deviation = math.sqrt(moment(flat, mean, 2) / n)
    if not math.isfinite(deviation):
        raise OptionError(
            f"Normalize: the image has values that are not finite (mean {mean:g}); allowed are "
            "finite ones"
        )
    # Equal values of 24 bits add up exactly: their deviation is 0 and nothing like 1e-17.
    return mean, deviation
