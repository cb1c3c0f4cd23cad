"""Seen through frosted glass."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from stallscan.augment import _checks
from stallscan.augment._filters import GREATEST_SIGMA, rounded, smooth
from stallscan.augment._kernels import pick
from stallscan.augment._noise import scramble
from stallscan.augment._transform import Params, Pixel, Shape
from stallscan.errors import OptionError

_ONE, _32, _LOW_32 = np.uint64(1), np.uint64(32), np.uint64(0xFFFFFFFF)


@dataclass(frozen=True)
class GlassBlur(Pixel):
    """Blur, let voxels change places with near ones of their frame, and blur again.

    As ImageNet-C has it (Hendrycks and Dietterich 2019, arXiv:1903.12261). One voxel after the
    other changes places, so that none is lost; those at the border take part. Borders reflect.

    Attributes:
        sigma: standard deviation of both Gaussians along y and x, in voxels.
        max_delta: voxels along y and x that a change of places reaches.
        iterations: how often every voxel changes places.
        always_apply: whatever p says.
        p: probability.
        mode: fast or exact, taken for compatibility; both are one here.
        each_frame: whether each frame gets changes of its own; else all have the same.

    Example:
        >>> frosted = GlassBlur(0.7, 2, 1, p=0.1)
    """

    sigma: float = 0.7
    max_delta: int = 4
    iterations: int = 2
    always_apply: bool = False
    p: float = 0.5
    mode: str = field(default="fast", kw_only=True)
    each_frame: bool = field(default=False, kw_only=True)

    def check(self) -> None:
        """See `Transform.check`."""
        self._set(sigma=_checks.number("GlassBlur.sigma", self.sigma, 0, GREATEST_SIGMA))
        for name, low, high in (("max_delta", 0, 255), ("iterations", 1, 100)):
            value = getattr(self, name)
            if _checks.number(f"GlassBlur.{name}", value, low, high) % 1:
                raise OptionError(f"GlassBlur.{name} is {value!r}, allowed are whole numbers")
            self._set(**{name: int(value)})
        _checks.one_of("GlassBlur.mode", self.mode, ("fast", "exact"))
        _checks.one_of("GlassBlur.each_frame", self.each_frame, (False, True))

    def does_nothing(self) -> str | None:
        """See `Transform.does_nothing`."""
        return "sigma and max_delta are 0" if self.sigma == self.max_delta == 0 else None

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """The seed of the changes."""
        return {"swap_seed": int(rng.integers(2**63))}

    def apply(self, volume: NDArray[Any], params: Params) -> NDArray[Any]:
        """See `Transform.apply`."""
        sigma = (0, self.sigma, self.sigma)
        blurred = smooth(volume, sigma)
        depth, height, width = volume.shape[:3]
        words = blurred.view(np.uint32).reshape(depth, height, width, -1)
        swapped = np.empty_like(words)
        seed, frames = np.uint64(params["swap_seed"]), np.arange(depth)
        places = np.empty((height, width), np.int64)
        for group in frames[:, None] if self.each_frame else frames[None]:
            seed = np.uint64(_mix(seed, self.max_delta, self.iterations, places))
            y, x = np.divmod(places, width)
            pick(words, group, y, x, swapped[group[0] : group[-1] + 1])
        mixed = swapped.view(np.float32).reshape(volume.shape)
        return rounded(smooth(mixed, sigma), volume)


@njit(cache=True, nogil=True)
def _mix(state, reach, iterations, places):  # type: ignore[no-untyped-def]
    """Fill ``(y, x)`` with the place that each voxel comes from; returns the new state."""
    height, width = places.shape
    flat = places.reshape(-1)
    for i in range(len(flat)):
        flat[i] = i
    for _ in range(iterations):
        for y in range(height):
            first_y, last_y = max(y - reach, 0), min(y + reach, height - 1)
            for x in range(width):
                first_x, last_x = max(x - reach, 0), min(x + reach, width - 1)
                state += _ONE
                bits = scramble(state)
                down = ((bits & _LOW_32) * np.uint64(last_y - first_y + 1)) >> _32
                right = ((bits >> _32) * np.uint64(last_x - first_x + 1)) >> _32
                other_y, other_x = first_y + np.int64(down), first_x + np.int64(right)
                places[y, x], places[other_y, other_x] = places[other_y, other_x], places[y, x]
    return state
