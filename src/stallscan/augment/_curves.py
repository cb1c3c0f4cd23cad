"""Grey levels that become others, by a curve: the value of a voxel alone decides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from stallscan.augment import _checks
from stallscan.augment._values import in_greys, look_up, scaled

_LEVELS = np.arange(256)


def mapped(
    where: str, volume: NDArray[Any], curve: Callable[[NDArray[Any]], NDArray[Any]]
) -> NDArray[Any]:
    """Every value by a function of its share of white; whole numbers by a table of it.

    Args:
        where: what a message names.
        volume: uint8, uint16 or float32.
        curve: shares within [0, 1] → shares within [0, 1], float32 or float64.
    """
    if volume.dtype == np.float32:
        _checks.in_unit_range(where, volume)
        return np.ascontiguousarray(curve(volume), np.float32)
    white = int(_checks.CEILING[volume.dtype])
    return look_up(
        volume, np.rint(curve(np.arange(white + 1) / white) * white).astype(volume.dtype)
    )


def shifted(where: str, volume: NDArray[Any], shift: NDArray[np.float64]) -> NDArray[Any]:
    """Every value plus what its grey level asks for, in between in proportion; saturated.

    Args:
        where: what a message names.
        volume: uint8, uint16 or float32.
        shift: ``(256,)`` by 8-bit grey level, in grey levels.
    """
    grey, _, white = in_greys(where, volume)
    if volume.dtype == np.float32:
        flat = np.ascontiguousarray(volume).reshape(-1)
        out = np.empty_like(flat)
        _shift(flat, (shift / 255).astype(np.float32), out)
        return out.reshape(volume.shape)
    values = np.arange(int(white) + 1)
    table = values + np.interp(values / grey, _LEVELS, shift) * grey
    return look_up(volume, np.clip(np.rint(table), 0, white).astype(volume.dtype))


def eight_bits(where: str, volume: NDArray[Any]) -> NDArray[np.uint8]:
    """The nearest 8-bit grey level of every value, contiguous; the volume itself if it has them."""
    grey, _, _ = in_greys(where, volume)
    if volume.dtype == np.uint8:
        return np.ascontiguousarray(volume)
    return scaled(volume, np.full(len(volume), 1 / grey, np.float32), np.uint8)


def counts(where: str, volume: NDArray[Any]) -> NDArray[np.int64]:
    """``(256,)``: how many values of all channels are nearest to each 8-bit grey level."""
    found = np.zeros((4, 256), np.int64)
    count(eight_bits(where, volume).reshape(-1), found)
    total: NDArray[np.int64] = found.sum(axis=0)
    return total


@njit(cache=True, nogil=True)
def count(flat, found):  # type: ignore[no-untyped-def]
    """Add how often each byte occurs to ``(4, 256)`` counts, whose sum over the first axis it is.

    Four in turn, for one that was just written is slow to add to.
    """
    for i in range(len(flat)):
        found[i & 3, flat[i]] += 1


@njit(cache=True, nogil=True)
def _shift(flat, shift, out):  # type: ignore[no-untyped-def]
    levels, zero, one = np.float32(255), np.float32(0), np.float32(1)
    for i in range(len(flat)):
        place = flat[i] * levels
        level = min(np.int32(place), np.int32(254))
        before = shift[level]
        value = flat[i] + (before + (place - np.float32(level)) * (shift[level + 1] - before))
        out[i] = min(max(value, zero), one)
