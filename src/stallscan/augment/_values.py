"""What a value of an image means, and the plain loops over values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from stallscan.augment import _checks
from stallscan.augment._checks import Range

_PAIRS_PAY = 300_000  # bytes from which two are looked up at once


def ends(limit: Range) -> tuple[float, float]:
    """Of a range that a transform's `check` has made a pair."""
    low, high = limit  # type: ignore[misc]
    return low, high


def in_greys(where: str, volume: NDArray[Any]) -> tuple[np.float32, np.float32, np.float32]:
    """What an 8-bit grey level is in an image.

    Args:
        where: what the message names.
        volume: the image.

    Returns:
        The image's values in one of 256 grey levels; 0.5 where values are whole numbers, to round
        them, else 0; and white.

    Raises:
        OptionError: a float32 image is not in [0, 1].
    """
    if volume.dtype == np.float32:
        _checks.in_unit_range(where, volume)
    white = _checks.CEILING[volume.dtype]
    half = 0.0 if volume.dtype == np.float32 else 0.5
    return np.float32(white / 255), np.float32(half), np.float32(white)


def scaled(
    volume: NDArray[Any], factors: NDArray[np.float32], dtype: Any, offset: float = 0.0
) -> NDArray[Any]:
    """Every frame times a factor, in another dtype: rounded where it is whole, saturated.

    Args:
        volume: ``(z, …)`` uint8, uint16 or float32.
        factors: ``(z,)``.
        dtype: one of those too.
        offset: added to all of them, in values of `dtype`.
    """
    frames = np.ascontiguousarray(volume).reshape(len(volume), -1)
    out = np.empty(frames.shape, dtype)
    added = np.float32(offset + (0.0 if out.dtype == np.float32 else 0.5))
    _scale(frames, factors, added, np.float32(_checks.CEILING[out.dtype]), out)
    return out.reshape(volume.shape)


@njit(cache=True, nogil=True)
def _scale(frames, factors, added, white, out):  # type: ignore[no-untyped-def]
    zero = np.float32(0)
    for z in range(len(frames)):
        factor, frame, target = factors[z], frames[z], out[z]
        for i in range(len(frame)):
            value = np.float32(frame[i]) * factor + added
            value = value if value > zero else zero  # NaN too
            target[i] = value if value < white else white


def look_up(image: NDArray[Any], table: NDArray[Any]) -> NDArray[Any]:
    """Every value by a table.

    Args:
        image: ``(z, …)`` uint8 or uint16.
        table: of the image's dtype, ``(256,)`` or ``(65536,)``; of uint8 also one for each frame,
            ``(z, 256)``.
    """
    image = np.ascontiguousarray(image)
    out = np.empty_like(image)
    flat, target = image.reshape(-1), out.reshape(-1)
    if table.ndim == 2:
        for frame, values, row in zip(image, table, out, strict=True):
            look_up_each(frame.reshape(-1), values, row.reshape(-1))
    elif image.dtype == np.uint8 and image.size >= _PAIRS_PAY and image.size % 2 == 0:
        pairs = np.empty(65536, np.uint16)
        pair_up(table, pairs)
        look_up_each(flat.view(np.uint16), pairs, target.view(np.uint16))
    else:
        look_up_each(flat, table, target)
    return out


@njit(cache=True, nogil=True)
def pair_up(table, pairs):  # type: ignore[no-untyped-def]
    """A table of two bytes at once: ``(256,)`` uint8 → ``(65536,)`` uint16."""
    for high in range(256):
        upper = np.uint16(table[high]) << np.uint16(8)
        for low in range(256):
            pairs[256 * high + low] = upper | np.uint16(table[low])


@njit(cache=True, nogil=True)
def look_up_each(flat, table, out):  # type: ignore[no-untyped-def]
    """``out = table[flat]``."""
    for i in range(len(flat)):
        out[i] = table[flat[i]]


@njit(cache=True, nogil=True)
def sums(flat):  # type: ignore[no-untyped-def]
    """Sum and sum of squares of ``(n,)`` whole numbers, exact."""
    total, squares = np.uint64(0), np.uint64(0)
    for i in range(len(flat)):
        value = np.uint64(flat[i])
        total += value
        squares += value * value
    return total, squares


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz"})
def moment(flat, centre, power):  # type: ignore[no-untyped-def]
    """Sum of ``(n,)`` float32 less a centre (power 1), or of its squares (power 2), in float64."""
    total = 0.0
    if power == 1:
        for i in range(len(flat)):
            total += np.float64(flat[i]) - centre
    else:
        for i in range(len(flat)):
            value = np.float64(flat[i]) - centre
            total += value * value
    return total


@njit(cache=True, nogil=True)
def standardise(flat, centre, factor, out):  # type: ignore[no-untyped-def]
    """``out = (flat − centre) · factor``, computed in float64."""
    for i in range(len(flat)):
        out[i] = (np.float64(flat[i]) - centre) * factor
