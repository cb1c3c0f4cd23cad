"""Sharper than the microscope."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stallscan.augment import _checks
from stallscan.augment._checks import Range
from stallscan.augment._filters import check_sigmas, combine, draw_sigmas, no_sigmas, smooth
from stallscan.augment._transform import Params, Pixel, Shape
from stallscan.augment._values import ends, in_greys


@dataclass(frozen=True)
class UnsharpMask(Pixel):
    """Sharpen: add a share of what a Gaussian blur takes away, within the frames.

    The result is value + α · (value − blurred value), rounded and saturated; float32 images lie in
    [0, 1].

    Attributes:
        sigma_limit: standard deviation of the blur along y and x in voxels, a pair, or n for
            (0, n).
        alpha_limit: the share α, a pair, or n for (0, n).
        always_apply: whatever p says.
        p: probability.
        sigma_z_limit: standard deviation along z in frames, a pair, or n for (0, n).
        per_axis: whether y and x get a standard deviation each.

    Example:
        >>> sharpened = UnsharpMask((0.5, 2), (0.2, 1), p=0.2)
    """

    sigma_limit: Range = (0.5, 2.0)
    alpha_limit: Range = (0.2, 1.0)
    always_apply: bool = False
    p: float = 0.5
    sigma_z_limit: Range = field(default=0, kw_only=True)
    per_axis: bool = field(default=False, kw_only=True)

    def check(self) -> None:
        """See `Transform.check`."""
        check_sigmas(self)
        where = "UnsharpMask.alpha_limit"
        self._set(alpha_limit=_checks.pair(where, self.alpha_limit, 0, 100, number="from_zero"))

    def does_nothing(self) -> str | None:
        """See `Transform.does_nothing`."""
        return "alpha_limit is (0, 0)" if ends(self.alpha_limit) == (0, 0) else no_sigmas(self)

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """The standard deviation along each axis, and the share."""
        return {
            "sigma": draw_sigmas(self, rng),
            "alpha": float(rng.uniform(*ends(self.alpha_limit))),
        }

    def apply(self, volume: NDArray[Any], params: Params) -> NDArray[Any]:
        """See `Transform.apply`."""
        _, half, white = in_greys("UnsharpMask", volume)
        alpha = np.float32(params["alpha"])
        values = np.ascontiguousarray(volume)
        out = np.empty_like(values)
        smoothed = smooth(values, params["sigma"]).reshape(-1)
        one = np.float32(1)
        combine(values.reshape(-1), smoothed, one + alpha, -alpha, half, white, out.reshape(-1))
        return out
