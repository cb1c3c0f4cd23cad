"""Rotation, scale, shear and shift at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

import numpy as np

from stallscan.augment import _checks
from stallscan.augment._affine import about_centre, rotation
from stallscan.augment._checks import Range
from stallscan.augment._maps import Map
from stallscan.augment._spatial import interpolating
from stallscan.augment._transform import Params, Shape, Spatial
from stallscan.errors import OptionError

Limits: TypeAlias = Range | Sequence[Range]
"""One range for all axes, or three."""


@dataclass(frozen=True)
class RandomAffine(Spatial):
    """Turn, scale, shear and shift the volume about its centre, in one interpolation.

    Voxels are rarely cubes: turned as if they were, a vessel changes its length. With `spacing`
    the volume is scaled, sheared and turned in µm, in this order, and then shifted; its extent
    stays. A limit is one range for all axes or three, ``(z, y, x)``, each a pair or a number.

    Attributes:
        angle_limit: degrees about each axis, right-handed as in `Rotate`; n for (−n, n). About z
            the frames stay frames.
        translation_limit: shares of the extent along each axis; n for (−n, n).
        scaling_limit: factors, drawn log-evenly, above 1 larger; n for (1/n, n). One range: one
            factor for all axes; three: one for each.
        shear_limit: degrees by which frames slide along y and along x as z goes on, and rows along
            x as y goes on; n for (−n, n). Nothing leaves its frame.
        interpolation: 0 nearest, 1 linear, 2 to 5 splines.
        border_mode: what lies beyond: constant, nearest or reflect.
        value: the constant, in the image's own grey levels.
        mask_value: the constant of masks.
        always_apply: whatever p says.
        p: probability.
        spacing: of the voxels, µm or any other unit, ``(z, y, x)``.

    Example:
        >>> moved = RandomAffine((15, 5, 5), 0.1, (0.8, 1.25), spacing=(2.0, 0.8, 0.8), p=0.3)
    """

    keeps_shape: ClassVar[bool] = True
    angle_limit: Limits = (15, 5, 5)
    translation_limit: Limits = 0
    scaling_limit: Limits = (0.9, 1.1)
    shear_limit: Limits = 0
    interpolation: int = 1
    border_mode: str = "constant"
    value: float = 0
    mask_value: float = 0
    always_apply: bool = False
    p: float = 0.5
    spacing: tuple[float, ...] = field(default=(1.0, 1.0, 1.0), kw_only=True)

    def check(self) -> None:
        """See `Transform.check`."""
        for name, most in (("angle_limit", 360), ("translation_limit", 1), ("shear_limit", 60)):
            limits = _ranges(name, getattr(self, name), low=-most, high=most)
            self._set(**{name: limits * 3 if len(limits) == 1 else limits})
        factors = _ranges("scaling_limit", self.scaling_limit, low=0.01, high=100, number="ratio")
        spacing = self.spacing
        if not _is_three(spacing) or not all(_is_length(step) for step in spacing):
            raise OptionError(
                f"RandomAffine.spacing is {spacing!r}, allowed are three positive numbers (z, y, x)"
            )
        self._set(
            scaling_limit=factors if len(factors) == 3 else factors[0],
            spacing=tuple(float(step) for step in spacing),
        )
        interpolating(self)

    def does_nothing(self) -> str | None:
        """See `Transform.does_nothing`."""
        limits = (self.angle_limit, self.translation_limit, self.shear_limit)
        if np.any(limits) or np.any(np.array(self.scaling_limit) != 1):
            return None
        return "all limits are 0, and scaling_limit is 1"

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """Angles, shifts in shares of the extent, factors, shears in degrees; by axis."""
        low, high = np.log(self.scaling_limit).T
        factors = np.exp(rng.uniform(low, high))  # one, or three
        return {
            "angles_deg": _drawn(rng, self.angle_limit),
            "shift": _drawn(rng, self.translation_limit),
            "factors": np.broadcast_to(factors, 3).tolist(),
            "shears_deg": _drawn(rng, self.shear_limit),
        }

    def map(self, params: Params, shape: Shape) -> list[Map]:
        """One affine map about the centre."""
        about_z, about_y, about_x = (
            rotation(axis, angle) for axis, angle in enumerate(params["angles_deg"])
        )
        slide = np.zeros((3, 3))
        slide[[1, 2, 2], [0, 0, 1]] = np.tan(np.deg2rad(params["shears_deg"]))
        straightened = np.eye(3) - slide + slide @ slide  # the inverse of 1 + slide
        turned_back = (about_z @ about_y @ about_x).T
        matrix = straightened @ turned_back / np.reshape(params["factors"], (3, 1))
        spacing = np.array(self.spacing)
        matrix = matrix * (spacing / spacing[:, None])  # µm → voxels
        shift = np.array(params["shift"]) * shape
        return [about_centre(matrix, shape, interpolating(self), shift)]


def _is_three(value: Any) -> bool:
    return isinstance(value, (tuple, list, np.ndarray)) and len(value) == 3


def _is_length(value: Any) -> bool:
    is_number = isinstance(value, (int, float, np.integer, np.floating))
    return is_number and not isinstance(value, bool) and 0 < value < np.inf


def _ranges(name: str, value: Any, **options: Any) -> tuple[tuple[float, float], ...]:
    """One range for all axes, or three."""
    where = f"RandomAffine.{name}"
    if not _is_three(value):
        return (_checks.pair(where, value, **options),)
    return tuple(_checks.pair(f"{where}[{n}]", limit, **options) for n, limit in enumerate(value))


def _drawn(rng: np.random.Generator, limits: Any) -> list[float]:
    return [float(rng.uniform(low, high)) for low, high in limits]
