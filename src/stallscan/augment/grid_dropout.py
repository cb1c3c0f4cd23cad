"""Holes on a grid."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stallscan.augment import _checks
from stallscan.augment._dropout import Dropout, fill_plane
from stallscan.augment._transform import Params, Shape
from stallscan.errors import OptionError

_AXES = {"y": 0, "x": 1, "z": 2}
"""Axis of the array that an option's letter means, in the order of the array's axes."""


@dataclass(frozen=True)
class GridDropout(Dropout):
    """Cut boxes out on a regular grid, all channels alike: ``ratio ** 3`` of the voxels.

    The grid has one unit length for each axis; every unit begins with a hole of ``ratio`` of its
    length. Where that is no whole number the holes differ by one voxel, and the last ones make up
    for what the border cuts off, so that the share is right (from 20 voxels an axis and a ratio of
    0.2 on within 10 %, relative; one plane more or less is the finest step).

    **The letters are those of volumentations: y, x, z are the axes 0, 1, 2 of the array.** In a
    stack ``(z, y, x)``, ``holes_number_y`` counts along the frames.

    Attributes:
        ratio: length of a hole in that of its unit, above 0 and below 1.
        unit_size_min: shortest unit, the same for all axes; drawn up to `unit_size_max`.
        unit_size_max: longest one; both or none.
        holes_number_x: units along axis 1; None makes a unit a tenth of the extent, at least 2.
        holes_number_y: units along axis 0; None takes the unit of axis 1.
        holes_number_z: units along axis 2; None takes the unit of axis 0.
        shift_x: where the first unit of axis 1 begins; at most what the hole leaves of a unit.
        shift_y: the same of axis 0.
        shift_z: the same of axis 2.
        random_offset: draw the shifts.
        fill_value: what holes hold, in the image's own values.
        mask_fill_value: what holes of masks hold; None leaves masks as they are.
        always_apply: whatever p says.
        p: probability.

    Example:
        >>> holes = GridDropout(0.5, holes_number_x=4, random_offset=True, p=0.1)
    """

    ratio: float = 0.5
    unit_size_min: int | None = None
    unit_size_max: int | None = None
    holes_number_x: int | None = None
    holes_number_y: int | None = None
    holes_number_z: int | None = None
    shift_x: int | None = 0
    shift_y: int | None = 0
    shift_z: int | None = 0
    random_offset: bool = False
    fill_value: float = 0
    mask_fill_value: float | None = None
    always_apply: bool = False
    p: float = 0.5

    def check(self) -> None:
        """See `Transform.check`."""
        _checks.number("GridDropout.ratio", self.ratio, 0, 1)
        if self.ratio in (0, 1):
            raise OptionError(
                f"GridDropout.ratio is {self.ratio!r}, allowed is what lies between 0 and 1"
            )
        for name in ("unit_size_min", "unit_size_max"):
            self._whole(name, 2)
        for letter in _AXES:
            self._whole(f"holes_number_{letter}", 1)
            self._whole(f"shift_{letter}", 0)
        low, high = self.unit_size_min, self.unit_size_max
        if (low is None) != (high is None) or (low is not None and high is not None and low > high):
            raise OptionError(
                f"GridDropout.unit_size_min is {low}, unit_size_max {high}; give both, the smaller "
                "one first, or none"
            )
        _checks.one_of("GridDropout.random_offset", self.random_offset, (False, True))
        self.check_fills()

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """First and last voxel (exclusive) of the holes along each axis of the array."""
        units = self._units(rng, shape)
        counts = _counts(self.ratio, shape)
        holes = []
        for letter, unit, extent, count in zip(_AXES, units, shape, counts, strict=True):
            room = max(min(math.floor(unit * (1 - self.ratio)), extent - count), 0)
            if self.random_offset:
                shift = int(rng.integers(room + 1))
            else:
                shift = min(getattr(self, f"shift_{letter}") or 0, room)
            holes.append(_holes(extent, unit, shift, self.ratio, count))
        return {"holes": holes}

    def cut(self, target: NDArray[Any], params: Params, fill: NDArray[Any]) -> None:
        """See `Dropout.cut`."""
        holes = params["holes"]
        rows, columns = (
            _inside(along, n) for along, n in zip(holes[1:], target.shape[1:3], strict=True)
        )
        plane = np.outer(rows, columns)
        for start, stop in holes[0]:
            fill_plane(target[start:stop], plane, fill)

    def _whole(self, name: str, low: int) -> None:
        value = getattr(self, name)
        if value is None:
            return
        if _checks.number(f"GridDropout.{name}", value, low, 2**31) % 1:
            raise OptionError(f"GridDropout.{name} is {value!r}, allowed are whole numbers")
        self._set(**{name: int(value)})

    def _units(self, rng: np.random.Generator, shape: Shape) -> tuple[int, int, int]:
        """Unit length by axis of the array."""
        if self.unit_size_min is not None and self.unit_size_max is not None:
            if self.unit_size_max > min(shape):
                raise OptionError(
                    f"GridDropout.unit_size_max is {self.unit_size_max}, the image has the extent "
                    f"{shape}; allowed is its shortest one at most"
                )
            unit = int(rng.integers(self.unit_size_min, self.unit_size_max + 1))
            return unit, unit, unit
        units: dict[str, int] = {}
        for letter, before in (("x", None), ("y", "x"), ("z", "y")):  # as the defaults depend
            extent, number = shape[_AXES[letter]], getattr(self, f"holes_number_{letter}")
            if number is None:
                unit = extent // 10 if before is None else min(units[before], extent)
                units[letter] = max(unit, 2)
            elif number > max(extent // 2, 1):
                raise OptionError(
                    f"GridDropout.holes_number_{letter} is {number}, axis {_AXES[letter]} of the "
                    f"image has {extent} voxels; allowed are 1 to {max(extent // 2, 1)}"
                )
            else:
                units[letter] = extent // number
        return units["y"], units["x"], units["z"]


def _counts(ratio: float, shape: Shape) -> tuple[int, ...]:
    """How many planes of each axis the holes take, so that their product is nearest to its share.

    ``ratio · extent`` rounded up or down, which of them is decided for all axes together: rounded
    one by one, errors of 5 % would add up to 15 %.
    """
    exact = [ratio * extent for extent in shape]
    choices = [
        sorted({min(max(whole, 1), max(extent - 1, 1)) for whole in (math.floor(t), math.ceil(t))})
        for t, extent in zip(exact, shape, strict=True)
    ]
    return min(
        itertools.product(*choices),
        key=lambda counts: abs(sum(math.log(n / t) for n, t in zip(counts, exact, strict=True))),
    )


def _holes(extent: int, unit: int, shift: int, ratio: float, count: int) -> list[list[int]]:
    """Holes at the beginning of each unit, `count` planes together; the last ones make it right."""
    holes, taken = [], 0
    for number, start in enumerate(range(shift, extent, unit), 1):
        rest = max(extent - start - unit, 0)
        upto = min(max(round(ratio * unit * number), count - rest), count)
        if upto > taken:
            holes.append([start, start + upto - taken])
            taken = upto
    return holes


def _inside(holes: list[list[int]], extent: int) -> NDArray[np.bool_]:
    inside = np.zeros(extent, bool)
    for start, stop in holes:
        inside[start:stop] = True
    return inside
