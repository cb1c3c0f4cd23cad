"""Where noise comes from: a generator and the loops that add what it draws to a volume.

What is drawn depends on the seed and the place alone; bits are integer arithmetic, and sums are
taken in a fixed order: with the same tables the same seed gives the same bytes on any machine.
"""

from __future__ import annotations

import functools

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import ndtri

N_QUANTILES = 65536
_CHUNK = 1024
# splitmix64 (Steele, Lea and Flood, 2014): a counter, and a mixer of its bits.
_STEP = np.uint64(0x9E3779B97F4A7C15)
_MIX_A, _MIX_B = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_27, _30, _31 = np.uint64(27), np.uint64(30), np.uint64(31)
_16, _32, _48, _54 = np.uint64(16), np.uint64(32), np.uint64(48), np.uint64(54)
_LOW_10, _LOW_16 = np.uint64(1023), np.uint64(0xFFFF)


@functools.cache
def normal_quantiles() -> NDArray[np.float64]:
    """``(65536,)`` values of a normal distribution, equally probable: mean 0, variance 1."""
    quantiles = ndtri((np.arange(N_QUANTILES) + 0.5) / N_QUANTILES)
    quantiles /= quantiles.std()
    # Another SciPy may differ in the last bits.
    rounded: NDArray[np.float64] = np.rint(quantiles * 2**24) / 2**24
    rounded.setflags(write=False)
    return rounded


@njit(cache=True, nogil=True)
def scramble(bits):  # type: ignore[no-untyped-def]
    """The mixer of splitmix64: uint64 → uint64, every bit depends on every bit."""
    bits = (bits ^ (bits >> _30)) * _MIX_A
    bits = (bits ^ (bits >> _27)) * _MIX_B
    return bits ^ (bits >> _31)


@njit(cache=True, nogil=True)
def draw(table, state, out):  # type: ignore[no-untyped-def]
    """Fill `out`, a multiple of 4 long, with values of a table of 65,536; returns the new state."""
    for i in range(0, len(out), 4):
        state += _STEP
        bits = scramble(state)
        out[i] = table[bits & _LOW_16]
        out[i + 1] = table[(bits >> _16) & _LOW_16]
        out[i + 2] = table[(bits >> _32) & _LOW_16]
        out[i + 3] = table[bits >> _48]
    return state


@njit(cache=True, nogil=True)
def add(values, noise, half, white, out):  # type: ignore[no-untyped-def]
    """``out = values + noise``, saturated; a loop of its own so that it becomes vector code."""
    zero = np.float32(0)
    for i in range(len(values)):
        value = np.float32(values[i]) + noise[i] + half
        value = value if value > zero else zero
        out[i] = value if value < white else white


@njit(cache=True, nogil=True)
def add_independent(values, table, seed, half, white, out):  # type: ignore[no-untyped-def]
    """Add one draw to each value.

    Args:
        values: ``(n,)`` uint8, uint16 or float32.
        table: ``(65536,)`` float32, what is drawn from.
        seed: uint64.
        half: 0.5 to round whole numbers, else 0; float32.
        white: where values saturate; float32.
        out: ``(n,)`` of the dtype of `values`.
    """
    state = scramble(seed)
    noise = np.empty(_CHUNK, np.float32)
    for i in range(0, len(values), _CHUNK):
        state = draw(table, state, noise)
        add(values[i : i + _CHUNK], noise, half, white, out[i : i + _CHUNK])


@njit(cache=True, nogil=True)
def add_rows(values, table, seed, along, across, half, white, out):  # type: ignore[no-untyped-def]
    """Add a field filtered along the rows and from row to row, the same in all channels.

    Args:
        values: ``(z, y, x, c)`` uint8, uint16 or float32.
        table: ``(65536,)`` float32, what is drawn from.
        seed: uint64.
        along: ``(t,)`` float32 filter along x.
        across: ``(2,)`` float32 filter along y: this row, the row before.
        half: 0.5 to round whole numbers, else 0; float32.
        white: where values saturate; float32.
        out: as `values`.
    """
    depth, height, width, channels = values.shape
    state = scramble(seed)
    white_noise = np.empty((width + len(along) + 2) // 4 * 4, np.float32)
    row, before = np.empty(width, np.float32), np.empty(width, np.float32)
    noise = np.empty(width * channels, np.float32)
    for z in range(depth):
        for y in range(-1, height):
            row, before = before, row
            state = draw(table, state, white_noise)
            row[:] = 0
            for tap in range(len(along)):
                weight = along[tap]
                for x in range(width):
                    row[x] += weight * white_noise[x + tap]
            if y < 0:
                continue
            for x in range(width):
                value = across[0] * row[x] + across[1] * before[x]
                for c in range(channels):
                    noise[x * channels + c] = value
            add(values[z, y].reshape(-1), noise, half, white, out[z, y].reshape(-1))


@njit(cache=True, nogil=True)
def detect(values, photons, read, seed, greys, half, white, out):  # type: ignore[no-untyped-def]
    """Replace mean grey levels by detected ones, with the same draws in all channels.

    Args:
        values: ``(n, c)`` uint8, uint16 or float32.
        photons: ``(257, 1024)`` float32: for each grey level its equally probable answers, in the
            image's values.
        read: ``(65536,)`` float32 read noise, in the image's values.
        seed: uint64.
        greys: 8-bit grey levels in one of the image's values; float32.
        half: 0.5 to round whole numbers, else 0; float32.
        white: where values saturate; float32.
        out: as `values`.
    """
    state = scramble(seed)
    zero = np.float32(0)
    for i in range(len(values)):
        state += _STEP
        bits = scramble(state)
        column = np.uint32(bits & _LOW_10)
        offset = read[(bits >> _16) & _LOW_16] + half
        # Between two levels the nearer one is the more probable.
        dither = np.float32(np.int32(bits >> _54)) * np.float32(1 / 1024)
        for c in range(values.shape[1]):
            level = np.uint32(np.int32(np.float32(values[i, c]) * greys + dither))
            value = photons[level, column] + offset
            value = value if value > zero else zero
            out[i, c] = value if value < white else white
