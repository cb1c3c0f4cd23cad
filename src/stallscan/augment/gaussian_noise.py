"""Noise of the same strength everywhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stallscan.augment import _checks
from stallscan.augment._checks import Range
from stallscan.augment._noise import add_independent, normal_quantiles
from stallscan.augment._transform import Params, Pixel, Shape
from stallscan.augment._values import ends, in_greys


@dataclass(frozen=True)
class GaussianNoise(Pixel):
    """Add independent normal noise to every value of every channel.

    Variance and mean are in 8-bit grey levels whatever the dtype: a standard deviation of 1 is 257
    values of uint16 and 1/255 of float32, whose images lie in [0, 1]. Results are rounded and
    saturate. Draws end at 4.3 standard deviations.

    Attributes:
        var_limit: variance, a pair, or n for (0, n). (The paper's pipeline has (0, 5).)
        mean: of the noise.
        always_apply: whatever p says.
        p: probability.
        as_std: whether `var_limit` is the standard deviation, as the competition code takes it.

    Example:
        >>> noisy = GaussianNoise((10, 50), p=0.2)
    """

    var_limit: Range = (10.0, 50.0)
    mean: float = 0
    always_apply: bool = False
    p: float = 0.5
    as_std: bool = field(default=False, kw_only=True)

    def check(self) -> None:
        """See `Transform.check`."""
        _checks.one_of("GaussianNoise.as_std", self.as_std, (False, True))
        most = 255 if self.as_std else 255**2
        limit = _checks.pair("GaussianNoise.var_limit", self.var_limit, 0, most, number="from_zero")
        self._set(var_limit=limit, mean=_checks.number("GaussianNoise.mean", self.mean, -255, 255))

    def does_nothing(self) -> str | None:
        """See `Transform.does_nothing`."""
        silent = ends(self.var_limit) == (0, 0) and self.mean == 0
        return "var_limit is (0, 0) and mean is 0" if silent else None

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """Standard deviation and mean in grey levels, and the seed of the noise."""
        drawn = float(rng.uniform(*ends(self.var_limit)))
        std = drawn if self.as_std else drawn**0.5
        return {"std": std, "mean": self.mean, "noise_seed": int(rng.integers(2**63))}

    def apply(self, volume: NDArray[Any], params: Params) -> NDArray[Any]:
        """See `Transform.apply`."""
        grey, half, white = in_greys("GaussianNoise", volume)
        noise = (params["std"] * normal_quantiles() + params["mean"]) * grey
        flat = np.ascontiguousarray(volume).reshape(-1)
        out = np.empty_like(flat)
        seed = np.uint64(params["noise_seed"])
        add_independent(flat, noise.astype(np.float32), seed, half, white, out)
        return out.reshape(volume.shape)
