"""How strongly and how smoothly an elastic deformation bends, from volumes of coordinates.

A volume whose values are its own coordinates tells after the deformation where every voxel came
from; that needs no knowledge of how the deformation is made.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float64]


def statistics(
    bend: Callable[[NDArray], NDArray], shape: tuple[int, int, int], draws: int, reach: float
) -> dict[str, dict[str, list[float | None]]]:
    """Standard deviation and correlation length by axis, in voxels, over many draws.

    Beyond the border there is nothing to sample: displacements that point there are cut short. The
    region "interior" keeps away from it by the largest displacement there can be.

    Args:
        bend: an elastic deformation of ``(z, y, x, 3)`` float32 in [0, 1], nearest border.
        shape: ``(z, y, x)``.
        draws: how many to take.
        reach: largest displacement, in extents of the axis.
    """
    inner = tuple(slice(math.ceil(reach * n) + 1, n - math.ceil(reach * n) - 1) for n in shape)
    regions = {"whole": (slice(None),) * 3, "interior": inner}
    sums = {region: Sums() for region in regions}
    for _ in range(draws):
        field = displacement(bend, shape)
        for region, where in regions.items():
            sums[region].add(field[(slice(None), *where)])
    return {region: {"std": sum_.std(), "length": sum_.length()} for region, sum_ in sums.items()}


def displacement(bend: Callable[[NDArray], NDArray], shape: tuple[int, int, int]) -> Field:
    """``(3, z, y, x)`` in voxels, about the mean of the draw: a shift bends nothing."""
    last = np.array(shape) - 1
    coordinates = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1) / last
    bent = np.asarray(bend(coordinates.astype(np.float32)), np.float64)
    field = np.moveaxis((bent - coordinates) * last, -1, 0)
    return field - field.mean(axis=(1, 2, 3), keepdims=True)


class Sums:
    """Products of all pairs of positions along each axis, summed over draws."""

    def __init__(self) -> None:
        self.products: dict[tuple[int, int], Field] = {}
        self.n_voxels = 0

    def add(self, field: Field) -> None:
        """Take in one draw, ``(3, z, y, x)``."""
        self.n_voxels += field[0].size
        for component, part in enumerate(field):
            for axis in range(3):
                lines = np.moveaxis(part, axis, 0).reshape(part.shape[axis], -1)
                now = lines @ lines.T
                self.products[component, axis] = self.products.get((component, axis), 0) + now

    def std(self) -> list[float]:
        """Of the displacement along each axis."""
        return [math.sqrt(np.trace(self.products[axis, axis]) / self.n_voxels) for axis in range(3)]

    def length(self) -> list[float | None]:
        """Lag along each axis where the autocorrelation falls to 1/e; None where it does not."""
        return [
            falls_to(1 / math.e, np.mean([self._correlation(part, axis) for part in range(3)], 0))
            for axis in range(3)
        ]

    def _correlation(self, component: int, axis: int) -> Field:
        products = self.products[component, axis]
        power = np.diag(products)
        values = []
        for lag in range(len(products)):
            scale = math.sqrt(power[: len(power) - lag].sum() * power[lag:].sum())
            values.append(np.trace(products, lag) / scale)
        return np.array(values)


def falls_to(level: float, values: Field) -> float | None:
    """Where values of lags 0, 1, 2, … first fall to the level, linear between lags."""
    below = np.flatnonzero(values <= level)
    if not len(below):
        return None
    lag = int(below[0])
    before, after = values[lag - 1], values[lag]
    return float(lag - 1 + (before - level) / (before - after))
