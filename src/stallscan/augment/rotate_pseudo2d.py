"""Rotation in the plane of two axes."""

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
from stallscan.errors import OptionError


@dataclass(frozen=True)
class RotatePseudo2D(Spatial):
    """Turn in the plane of two axes, about the centre; the extent stays.

    The default is volumentations': **axes 0 and 1 are z and y here**, so it mixes frames, that is
    times. ``axes=(1, 2)`` turns within the frames.

    Attributes:
        axes: of the plane, in any order.
        limit: degrees from its lower axis towards its higher one, a pair, or n for (−n, n).
        interpolation: 0 nearest, 1 linear, 2 to 5 splines.
        border_mode: what lies beyond: constant, nearest or reflect.
        value: the constant, in the image's own grey levels.
        mask_value: the constant of masks.
        always_apply: whatever p says.
        p: probability.

    Example:
        >>> turned = RotatePseudo2D((1, 2), (-20, 20), p=0.3)
    """

    keeps_shape: ClassVar[bool] = True
    axes: tuple[int, ...] = (0, 1)
    limit: Range = (-90, 90)
    interpolation: int = 1
    border_mode: str = "constant"
    value: float = 0
    mask_value: float = 0
    always_apply: bool = False
    p: float = 0.5

    def check(self) -> None:
        """See `Transform.check`."""
        axes = _checks.axes_of("RotatePseudo2D.axes", self.axes, at_least=2)
        if len(axes) != 2:
            raise OptionError(
                f"RotatePseudo2D.axes is {self.axes!r}, allowed are two axes: a plane"
            )
        limit = _checks.pair("RotatePseudo2D.limit", self.limit, -360, 360)
        self._set(axes=tuple(sorted(axes)), limit=limit)
        interpolating(self)

    def does_nothing(self) -> str | None:
        """See `Transform.does_nothing`."""
        return None if any(self.limit) else "limit is 0 degrees"  # type: ignore[arg-type]

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """The angle in degrees."""
        return {"angle_deg": float(rng.uniform(*self.limit))}  # type: ignore[misc]

    def map(self, params: Params, shape: Shape) -> list[Map]:
        """One affine map about the centre; whole quarter turns are exact."""
        (about,) = {0, 1, 2} - set(self.axes)
        # Right-handed about y is from x towards z; the result is asked, so the other way round.
        angle = params["angle_deg"] if about == 1 else -params["angle_deg"]
        return [about_centre(rotation(about, angle), shape, interpolating(self))]
