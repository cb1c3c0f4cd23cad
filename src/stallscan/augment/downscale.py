"""Coarser voxels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stallscan.augment import _checks
from stallscan.augment._maps import Zoom
from stallscan.augment._plan import resample
from stallscan.augment._spatial import ORDERS
from stallscan.augment._transform import Params, Pixel, Shape
from stallscan.errors import OptionError


@dataclass(frozen=True)
class Downscale(Pixel):
    """Resize to fewer voxels and back: detail is lost, what is left stays where it is.

    Within the frames, unless `axes` says otherwise. Nothing is averaged on the way down: a scanning
    microscope that takes fewer lines has the same focus. Outer edges stay in their place.

    Attributes:
        scale_min: least extent of the small volume, in that of the volume; above 0.
        scale_max: greatest one, up to 1.
        interpolation: 0 nearest, 1 linear, 2 to 5 splines.
        always_apply: whatever p says.
        p: probability.
        axes: axes that become coarser: 0 (z), 1 (y), 2 (x).
        per_axis: whether each of them gets a scale of its own.
        upscale: interpolation of the way back; None: as `interpolation`.

    Example:
        >>> coarse = Downscale(0.4, 0.8, upscale=1, p=0.1)
    """

    scale_min: float = 0.25
    scale_max: float = 0.25
    interpolation: int = 0
    always_apply: bool = False
    p: float = 0.5
    axes: int | tuple[int, ...] = field(default=(1, 2), kw_only=True)
    per_axis: bool = field(default=False, kw_only=True)
    upscale: int | None = field(default=None, kw_only=True)

    def check(self) -> None:
        """See `Transform.check`."""
        low, high = (
            _checks.number(f"Downscale.{name}", getattr(self, name), 0.001, 1)
            for name in ("scale_min", "scale_max")
        )
        if low > high:
            raise OptionError(
                f"Downscale.scale_min is {low:g}, scale_max {high:g}; allowed is a scale_min up to "
                "scale_max"
            )
        self._set(scale_min=low, scale_max=high, axes=_checks.axes_of("Downscale.axes", self.axes))
        _checks.one_of("Downscale.interpolation", self.interpolation, ORDERS)
        _checks.one_of("Downscale.upscale", self.upscale, (None, *ORDERS))
        _checks.one_of("Downscale.per_axis", self.per_axis, (False, True))

    def does_nothing(self) -> str | None:
        """See `Transform.does_nothing`."""
        return "scale_min is 1" if self.scale_min == 1 else None

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """The size of the small volume."""
        axes: tuple[int, ...] = self.axes  # type: ignore[assignment]
        scales = rng.uniform(self.scale_min, self.scale_max, len(axes) if self.per_axis else 1)
        size = list(shape)
        for axis, scale in zip(axes, np.broadcast_to(scales, len(axes)), strict=True):
            size[axis] = max(round(shape[axis] * scale), 1)
        return {"size": size}

    def apply(self, volume: NDArray[Any], params: Params) -> NDArray[Any]:
        """See `Transform.apply`."""
        depth, height, width = volume.shape[:3]
        large, small = (depth, height, width), tuple(params["size"])
        order = self.interpolation if self.upscale is None else self.upscale
        down = resample(volume, [Zoom(large, small, order=self.interpolation)])
        return resample(down, [Zoom(small, large, order=order)])
