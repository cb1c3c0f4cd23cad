"""Cells of a grid made wider or narrower."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from stallscan.augment import _checks
from stallscan.augment._checks import Range
from stallscan.augment._maps import BORDERS, Map, Stretch
from stallscan.augment._spatial import ORDERS
from stallscan.augment._transform import Params, Shape, Spatial
from stallscan.errors import OptionError

_NARROWEST = -0.99


@dataclass(frozen=True)
class GridDistortion(Spatial):
    """Make the cells of a grid wider and narrower, straight between its lines.

    Each axis is cut into cells whose widths are drawn 1 + u apart and brought to fill the extent,
    and these become cells of one width. So nothing from beyond the border is needed, and all
    that the volume shows stays.

    Attributes:
        num_steps: cells along each axis.
        distort_limit: range of u, above −1, or n for (−n, n).
        interpolation: 0 nearest, 1 linear, 2 to 5 splines.
        border_mode: taken for compatibility, as OpenCV's code too; there is no beyond.
        value: taken for compatibility.
        mask_value: taken for compatibility.
        always_apply: whatever p says.
        p: probability.
        axes: those that are cut; z, which is axis 0, changes the speed of what flows.

    Example:
        >>> distorted = GridDistortion(5, 0.3, p=0.3)
    """

    keeps_shape: ClassVar[bool] = True
    num_steps: int = 5
    distort_limit: Range = 0.3
    interpolation: int = 1
    border_mode: str | int = "constant"
    value: float | None = 0
    mask_value: float | None = 0
    always_apply: bool = False
    p: float = 0.5
    axes: tuple[int, ...] = field(default=(1, 2), kw_only=True)

    def check(self) -> None:
        """See `Transform.check`."""
        where = "GridDistortion"
        if _checks.number(f"{where}.num_steps", self.num_steps, 1, 10_000) % 1:
            raise OptionError(f"{where}.num_steps is {self.num_steps!r}, allowed are whole numbers")
        limit = _checks.pair(f"{where}.distort_limit", self.distort_limit, _NARROWEST, 100)
        _checks.one_of(f"{where}.interpolation", self.interpolation, ORDERS)
        _checks.one_of(f"{where}.border_mode", self.border_mode, (*BORDERS, 0, 1, 2, 3, 4))
        for name in ("value", "mask_value"):
            constant = 0 if getattr(self, name) is None else getattr(self, name)
            _checks.number(f"{where}.{name}", constant, -(2**63), 2**64 - 1)
            self._set(**{name: constant})
        axes = _checks.axes_of(f"{where}.axes", self.axes)
        self._set(num_steps=int(self.num_steps), distort_limit=limit, axes=axes)

    def does_nothing(self) -> str | None:
        """See `Transform.does_nothing`."""
        if self.num_steps == 1:
            return "num_steps is 1: one cell, which fills the extent"
        return None if any(self.distort_limit) else "distort_limit is 0"  # type: ignore[arg-type]

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """By axis, the widths of the cells in proportion; none where it stays."""
        low, high = self.distort_limit  # type: ignore[misc]
        widths: list[list[float]] = [[], [], []]
        for axis in sorted(self.axes):
            widths[axis] = (1 + rng.uniform(low, high, self.num_steps)).tolist()
        return {"widths": widths}

    def map(self, params: Params, shape: Shape) -> list[Map]:
        """One map of each axis by itself."""
        edges = [_edges(widths, n) for widths, n in zip(params["widths"], shape, strict=True)]
        return [Stretch(shape, (edges[0], edges[1], edges[2]), self.interpolation)]


def _edges(widths: list[float], extent: int) -> NDArray[np.float64] | None:
    """Of cells of these widths that fill an extent; None where all are as wide."""
    if len(set(widths)) < 2:
        return None
    places: NDArray[np.float64] = np.cumsum([0.0, *widths])
    places *= extent / places[-1]
    return places - 0.5
