"""Rotation about the axes of the volume."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from stallscan.augment import _checks
from stallscan.augment._affine import about_centre, rotation
from stallscan.augment._checks import Range
from stallscan.augment._maps import Map
from stallscan.augment._spatial import interpolating
from stallscan.augment._transform import Params, Shape, Spatial


@dataclass(frozen=True)
class Rotate(Spatial):
    """Turn the volume about its centre; its extent stays (paper, section 3: 10 degrees about z).

    The names are those of volumentations: x, y, z are the axes 0, 1, 2 of the array. In a stack
    ``(z, y, x)`` **x_limit turns about the frame axis**, within the frames.

    Attributes:
        x_limit: degrees about axis 0, a pair, or n for (−n, n).
        y_limit: degrees about axis 1.
        z_limit: degrees about axis 2.
        interpolation: 0 nearest, 1 linear, 2 to 5 splines.
        border_mode: what lies beyond: constant, nearest or reflect.
        value: the constant, in the image's own grey levels.
        mask_value: the constant of masks.
        always_apply: whatever p says.
        p: probability.

    Example:
        >>> turned = Rotate((-10, 10), (0, 0), (0, 0), p=0.3)
    """

    keeps_shape: ClassVar[bool] = True
    x_limit: Range = (-15, 15)
    y_limit: Range = (-15, 15)
    z_limit: Range = (-15, 15)
    interpolation: int = 1
    border_mode: str = "constant"
    value: float = 0
    mask_value: float = 0
    always_apply: bool = False
    p: float = 0.5

    def check(self) -> None:
        """See `Transform.check`."""
        for name in ("x_limit", "y_limit", "z_limit"):
            self._set(**{name: _checks.pair(f"Rotate.{name}", getattr(self, name), -360, 360)})
        interpolating(self)

    def does_nothing(self) -> str | None:
        """See `Transform.does_nothing`."""
        limits = (*self.x_limit, *self.y_limit, *self.z_limit)  # type: ignore[misc]
        return None if any(limits) else "all limits are 0 degrees"

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """Three angles in degrees."""
        limits = (self.x_limit, self.y_limit, self.z_limit)
        return {"angles_deg": [float(rng.uniform(*limit)) for limit in limits]}  # type: ignore[misc]

    def map(self, params: Params, shape: Shape) -> list[Map]:
        """One affine map about the centre; whole quarter turns are exact."""
        turns = [rotation(axis, angle) for axis, angle in enumerate(params["angles_deg"])]
        matrix = (turns[0] @ turns[1] @ turns[2]).T  # volumentations multiplies rows from the left
        return [about_centre(matrix, shape, interpolating(self))]
