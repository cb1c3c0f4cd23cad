"""Uneven light taken away."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stallscan.augment import _checks
from stallscan.augment._checks import Range
from stallscan.augment._filters import check_sigmas, combine, draw_sigmas, smooth
from stallscan.augment._transform import Params, Pixel, Shape
from stallscan.augment._values import in_greys

_SIGNS = {"default": (1, -1), "bright_objects": (1, -1), "dark_objects": (-1, 1)}
"""By mode, of the image and of its background."""


@dataclass(frozen=True)
class RemoveBackground(Pixel):
    """Take away the background: what is left of each frame after a wide Gaussian blur.

    The blur is within 0.02 grey levels of the exact one, its borders reflect. Results are rounded
    and saturate; float32 images lie in [0, 1].

    Attributes:
        sigma_limit: standard deviation along y and x in voxels, from 1, a pair, or n for (n, n);
            wider than what is to be seen.
        mode: default leaves image − background around `level`; bright_objects what is brighter than
            the background, on black; dark_objects how much darker the image is, on black.
        always_apply: whatever p says.
        p: probability.
        level: what the background becomes in the mode default, in 8-bit grey levels.
        sigma_z_limit: standard deviation along z in frames, a pair, or n for (0, n).
        per_axis: whether y and x get a standard deviation each.

    Example:
        >>> flat = RemoveBackground((8, 16), p=0.1)
    """

    sigma_limit: Range = (8.0, 16.0)
    mode: str = "default"
    always_apply: bool = False
    p: float = 0.5
    level: float = field(default=128, kw_only=True)
    sigma_z_limit: Range = field(default=0, kw_only=True)
    per_axis: bool = field(default=False, kw_only=True)

    def check(self) -> None:
        """See `Transform.check`."""
        check_sigmas(self, least=1)
        _checks.one_of("RemoveBackground.mode", self.mode, tuple(_SIGNS))
        self._set(level=_checks.number("RemoveBackground.level", self.level, 0, 255))

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """The standard deviation along each axis."""
        return {"sigma": draw_sigmas(self, rng)}

    def apply(self, volume: NDArray[Any], params: Params) -> NDArray[Any]:
        """See `Transform.apply`."""
        grey, half, white = in_greys("RemoveBackground", volume)
        level = np.float32(self.level) * grey if self.mode == "default" else np.float32(0)
        own, other = (np.float32(sign) for sign in _SIGNS[self.mode])
        values = np.ascontiguousarray(volume)
        out = np.empty_like(values)
        background = smooth(values, params["sigma"]).reshape(-1)
        combine(values.reshape(-1), background, own, other, level + half, white, out.reshape(-1))
        return out
