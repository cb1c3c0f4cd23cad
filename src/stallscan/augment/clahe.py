"""Contrast of each part of the volume by itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from stallscan.augment import _checks
from stallscan.augment._checks import Range
from stallscan.augment._curves import count, eight_bits
from stallscan.augment._transform import Params, Pixel, Shape
from stallscan.augment._values import ends, in_greys
from stallscan.errors import OptionError

_MOST_TILES = 4096


@dataclass(frozen=True)
class CLAHE(Pixel):
    """Spread the grey levels of each tile of the volume, up to a limit of contrast.

    Contrast-limited adaptive histogram equalisation (Pizer et al. 1987; Zuiderveld 1994), here in
    three dimensions. The volume is divided into tiles, and the grey levels of each are spread so
    that all are alike frequent; a level that is more frequent than `clip_limit` allows counts only
    so much, and what is cut off is shared among all. Between the centres of tiles their curves are
    mixed trilinearly, so that no edge is seen. Levels are 8-bit ones whatever the dtype; float32
    images lie in [0, 1]. All channels make one histogram: grey stays grey.

    Attributes:
        clip_limit: how many times as frequent as on average a level counts at most; contrast grows
            by this and one at most. A pair, or n for (n, n); 1 to 256.
        tile_grid: number of tiles along z, y and x, cut down to the extent. With one along z, as it
            is by default, every frame has the same curves, and flicker and flow stay.
        always_apply: whatever p says.
        p: probability.

    Example:
        >>> local_contrast = CLAHE(clip_limit=(1.5, 3), tile_grid=(1, 6, 6), p=0.2)
    """

    clip_limit: Range = (1.0, 4.0)
    tile_grid: tuple[int, int, int] = (1, 8, 8)
    always_apply: bool = False
    p: float = 0.5

    def check(self) -> None:
        """See `Transform.check`."""
        limit = _checks.pair("CLAHE.clip_limit", self.clip_limit, 1, 256, number="exact")
        grid = _checks.size_of("CLAHE.tile_grid", self.tile_grid)
        if math.prod(grid) > _MOST_TILES:
            raise OptionError(
                f"CLAHE.tile_grid is {self.tile_grid!r}, {math.prod(grid):,} tiles, each of which "
                f"has a histogram; allowed are {_MOST_TILES:,} together"
            )
        self._set(clip_limit=limit, tile_grid=grid)

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """The limit of contrast."""
        return {"clip_limit": float(rng.uniform(*ends(self.clip_limit)))}

    def apply(self, volume: NDArray[Any], params: Params) -> NDArray[Any]:
        """See `Transform.apply`."""
        grey, half, white = in_greys("CLAHE", volume)
        values = np.ascontiguousarray(volume).reshape(*volume.shape[:3], -1)
        axes = [(min(n, m), m) for n, m in zip(self.tile_grid, values.shape[:3], strict=True)]
        levels = eight_bits("CLAHE", volume).reshape(*values.shape[:2], -1)
        found = np.zeros((*(tiles for tiles, _ in axes), 4, 256), np.int64)
        z_edges, y_edges, x_edges = (_edges(tiles, extent) for tiles, extent in axes)
        _count_tiles(levels, z_edges, y_edges, x_edges * values.shape[3], found)
        tables = _spread(found.sum(axis=3), params["clip_limit"]) * grey
        tables = np.ascontiguousarray(tables.swapaxes(0, 1), np.float32)  # y, z, x, 256
        z, y, x = (_between(tiles, extent) for tiles, extent in axes)
        out = np.empty_like(values)
        if volume.dtype == np.uint8:
            _mix_bytes(values, tables, z, y, x, out)
        else:
            _mix(values, tables, z, y, x, 1 / grey, half, white, out)
        return out.reshape(volume.shape)


def _spread(found: NDArray[np.int64], clip_limit: float) -> NDArray[np.float64]:
    """What each grey level becomes, by tile: ``(…, 256)`` counts → grey levels."""
    total = found.sum(axis=-1, keepdims=True)
    kept = np.minimum(found, clip_limit * total / 256)
    kept += (total - kept.sum(axis=-1, keepdims=True)) / 256
    spread: NDArray[np.float64] = kept.cumsum(axis=-1) * (255 / total)
    return spread


def _edges(tiles: int, extent: int) -> NDArray[np.int64]:
    """Where each tile begins, and where the last one ends."""
    return -(-np.arange(tiles + 1) * extent // tiles)


def _between(
    tiles: int, extent: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """By voxel, the tiles whose centres it lies between, and the share of the latter."""
    place = np.clip((np.arange(extent) + 0.5) * tiles / extent - 0.5, 0, tiles - 1)
    before = place.astype(np.int64)
    return before, np.minimum(before + 1, tiles - 1), (place - before).astype(np.float32)


@njit(cache=True, nogil=True)
def _count_tiles(levels, z_edges, y_edges, x_edges, found):  # type: ignore[no-untyped-def]
    """How often each grey level occurs in each tile.

    Args:
        levels: ``(z, y, n)`` uint8, all values of a line one after another.
        z_edges, y_edges, x_edges: where tiles begin, and where the last one ends.
        found: ``(tiles z, y, x, 4, 256)`` int64, zeros; see `_curves.count`.
    """
    for k in range(len(z_edges) - 1):
        for i in range(len(y_edges) - 1):
            for j in range(len(x_edges) - 1):
                for z in range(z_edges[k], z_edges[k + 1]):
                    for y in range(y_edges[i], y_edges[i + 1]):
                        count(levels[z, y, x_edges[j] : x_edges[j + 1]], found[k, i, j])


@njit(cache=True, nogil=True)
def _row_of(tables, first, second, share, out):  # type: ignore[no-untyped-def]
    """``out = (1 − share) · tables[first] + share · tables[second]``, ``(…, 256)`` each."""
    before, after, target = tables[first].reshape(-1), tables[second].reshape(-1), out.reshape(-1)
    for i in range(len(target)):
        target[i] = before[i] + share * (after[i] - before[i])


@njit(cache=True, nogil=True)
def _mix_bytes(values, tables, z_place, y_place, x_place, out):  # type: ignore[no-untyped-def]
    """Every byte by the tables around it.

    Args:
        values: ``(z, y, x, c)`` uint8.
        tables: ``(tiles y, tiles z, tiles x, 256)`` float32.
        z_place, y_place, x_place: by voxel along an axis, the tile before it, the tile after it and
            the share of the latter; see `_between`.
        out: as `values`.
    """
    half = np.float32(0.5)
    (z0, z1, zw), (y0, y1, yw), (x0, x1, xw) = z_place, y_place, x_place
    column = np.empty(tables.shape[1:], np.float32)  # tables of this y
    row = np.empty(tables.shape[2:], np.float32)  # of this z and y
    for y in range(values.shape[1]):
        _row_of(tables, y0[y], y1[y], yw[y], column)
        for z in range(values.shape[0]):
            if z == 0 or len(column) > 1:
                _row_of(column, z0[z], z1[z], zw[z], row)
            for x in range(values.shape[2]):
                before, after, share = row[x0[x]], row[x1[x]], xw[x]
                for c in range(values.shape[3]):
                    value = values[z, y, x, c]
                    left = before[value]
                    out[z, y, x, c] = left + share * (after[value] - left) + half


@njit(cache=True, nogil=True)
def _mix(  # type: ignore[no-untyped-def]
    values, tables, z_place, y_place, x_place, greys, half, white, out
):
    """`_mix_bytes` for uint16 and float32, between grey levels in proportion.

    Args beyond those: `greys`, grey levels in one of the image's values; `half`, 0.5 to round whole
    numbers, else 0; `white`, where values saturate; all float32.
    """
    (z0, z1, zw), (y0, y1, yw), (x0, x1, xw) = z_place, y_place, x_place
    column = np.empty(tables.shape[1:], np.float32)
    row = np.empty(tables.shape[2:], np.float32)
    for y in range(values.shape[1]):
        _row_of(tables, y0[y], y1[y], yw[y], column)
        for z in range(values.shape[0]):
            if z == 0 or len(column) > 1:
                _row_of(column, z0[z], z1[z], zw[z], row)
            for x in range(values.shape[2]):
                before, after, share = row[x0[x]], row[x1[x]], xw[x]
                for c in range(values.shape[3]):
                    place = np.float32(values[z, y, x, c]) * greys
                    level = min(np.int32(place), np.int32(254))
                    rest = place - np.float32(level)
                    left = before[level] + rest * (before[level + 1] - before[level])
                    right = after[level] + rest * (after[level + 1] - after[level])
                    out[z, y, x, c] = min(left + share * (right - left) + half, white)
