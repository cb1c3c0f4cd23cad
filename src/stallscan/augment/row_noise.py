"""Streaks along the scanned lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stallscan.augment import _checks
from stallscan.augment._checks import Range
from stallscan.augment._noise import add_rows, normal_quantiles
from stallscan.augment._transform import Params, Pixel, Shape
from stallscan.augment._values import ends, in_greys

# Real videos: autocorrelation 0.87, 0.61, 0.36, 0.21 at lags 1 to 4 along x, 0.23 at lag 1 along y.
# The shortest symmetric filter with these, by least squares; beyond lag 4 it dies out smoothly.
_ALONG_X = np.array([0.68015, 0.45389, 0.23448, 0.0648, 0.04535, 0.03801])
_ALONG_X = np.concatenate([_ALONG_X[:0:-1], _ALONG_X])
_ALONG_Y = np.array([1.0, 0.24411])  # b / (1 + b²) = 0.23


@dataclass(frozen=True)
class RowNoise(Pixel):
    """Add noise that is correlated along the lines of the raster, as real videos have it.

    Autocorrelation 0.87, 0.61, 0.36, 0.21 at lags of 1 to 4 voxels along x, 0.23 from line to line,
    none from frame to frame. It is the detector's: the same in all channels.

    Attributes:
        std_limit: standard deviation in 8-bit grey levels whatever the dtype (1 is 257 of uint16,
            1/255 of float32, whose images lie in [0, 1]); a pair, or n for (0, n).
        always_apply: whatever p says.
        p: probability.

    Example:
        >>> streaked = RowNoise((2, 8), p=0.2)
    """

    std_limit: Range = (2.0, 8.0)
    always_apply: bool = False
    p: float = 0.5

    def check(self) -> None:
        """See `Transform.check`."""
        where = "RowNoise.std_limit"
        self._set(std_limit=_checks.pair(where, self.std_limit, 0, 255, number="from_zero"))

    def does_nothing(self) -> str | None:
        """See `Transform.does_nothing`."""
        return "std_limit is (0, 0)" if ends(self.std_limit) == (0, 0) else None

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """Standard deviation in grey levels, and the seed of the noise."""
        std = float(rng.uniform(*ends(self.std_limit)))
        return {"std": std, "noise_seed": int(rng.integers(2**63))}

    def apply(self, volume: NDArray[Any], params: Params) -> NDArray[Any]:
        """See `Transform.apply`."""
        grey, half, white = in_greys("RowNoise", volume)
        table = (params["std"] * grey * normal_quantiles()).astype(np.float32)
        values = np.ascontiguousarray(volume).reshape(*volume.shape[:3], -1)
        out = np.empty_like(values)
        seed = np.uint64(params["noise_seed"])
        add_rows(values, table, seed, *row_filters(), half, white, out)
        return out.reshape(volume.shape)


def row_filters() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Along x and along y; white noise keeps its variance."""
    along, across = (taps / np.linalg.norm(taps) for taps in (_ALONG_X, _ALONG_Y))
    return along.astype(np.float32), across.astype(np.float32)
