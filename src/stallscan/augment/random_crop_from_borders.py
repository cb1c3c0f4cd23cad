"""Borders cut off."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stallscan.augment import _checks
from stallscan.augment._maps import Map, Take
from stallscan.augment._transform import Params, Shape, Spatial
from stallscan.errors import OptionError

_SIDES = tuple(f"crop_{axis}_{end}" for axis in range(3) for end in ("min", "max"))


@dataclass(frozen=True)
class RandomCropFromBorders(Spatial):
    """Cut a random part off each of the six sides (paper, section 3); no resizing afterwards.

    Each side loses 0 to ``int(share × extent)`` planes, each number equally often; at least one
    plane stays.

    Attributes:
        crop_value: greatest share of the extent, for all sides; 0.1 where None.
        crop_0_min: greatest share at the start of axis 0, in place of `crop_value`.
        crop_0_max: at its end.
        crop_1_min: at the start of axis 1.
        crop_1_max: at its end.
        crop_2_min: at the start of axis 2.
        crop_2_max: at its end.
        always_apply: whatever p says.
        p: probability.

    Example:
        >>> cropped = RandomCropFromBorders(0.15, p=0.4)
    """

    crop_value: float | None = None
    crop_0_min: float | None = None
    crop_0_max: float | None = None
    crop_1_min: float | None = None
    crop_1_max: float | None = None
    crop_2_min: float | None = None
    crop_2_max: float | None = None
    always_apply: bool = False
    p: float = 1.0

    def check(self) -> None:
        """See `Transform.check`."""
        if self.crop_value is not None:
            _checks.number("RandomCropFromBorders.crop_value", self.crop_value, 0, 0.5)
        for side in _SIDES:
            if getattr(self, side) is not None:
                _checks.number(f"RandomCropFromBorders.{side}", getattr(self, side), 0, 1)
        for axis in range(3):
            first, last = (self._share(f"crop_{axis}_{end}") for end in ("min", "max"))
            if first + last > 1:
                raise OptionError(
                    f"RandomCropFromBorders.crop_{axis}_min is {first:g} and crop_{axis}_max "
                    f"{last:g}: together more than the volume; allowed are sums up to 1"
                )

    def does_nothing(self) -> str | None:
        """See `Transform.does_nothing`."""
        return None if any(self._share(side) for side in _SIDES) else "all shares are 0"

    def _share(self, side: str) -> float:
        own: float | None = getattr(self, side)
        if own is not None:
            return own
        return 0.1 if self.crop_value is None else self.crop_value

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """Start and stop of what stays, by axis."""
        kept = []
        for axis, extent in enumerate(shape):
            start = int(rng.integers(int(self._share(f"crop_{axis}_min") * extent) + 1))
            start = min(start, extent - 1)
            lowest = extent - int(self._share(f"crop_{axis}_max") * extent)
            stop = int(rng.integers(max(start + 1, lowest), extent + 1))
            kept.append([start, stop])
        return {"kept": kept}

    def map(self, params: Params, shape: Shape) -> list[Map]:
        """Planes of each axis that loses some."""
        return [
            Take(axis, range(start, stop))
            for axis, (start, stop) in enumerate(params["kept"])
            if (start, stop) != (0, shape[axis])
        ]
