"""What blurs and sharpens share: separable filters of volumes, computed in float32.

Borders reflect: beyond the last voxel lies it again, then the one before it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from stallscan.augment import _checks
from stallscan.augment._checks import Range
from stallscan.augment._resample import CV_CHANNELS
from stallscan.augment._values import ends
from stallscan.errors import OptionError

Floats = NDArray[np.float32]
GREATEST_SIGMA = 100.0
_TRUNCATE = 4.0  # standard deviations that a kernel reaches
_LEAST_KEPT = 1e-4  # cosines of which a Gaussian leaves less are left out
_COLUMNS = 4096  # that one filter along z takes at once, for the cache
_ONE = np.ones(1, np.float32)


def gaussian(sigma: float) -> Floats:
    """Samples of a Gaussian, ``(2 · reach + 1,)``, their sum 1; for a σ in voxels."""
    reach = int(_TRUNCATE * sigma + 0.5)
    if reach == 0:
        return _ONE
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return np.asarray(kernel / kernel.sum(), np.float32)


def box(extent: int) -> Floats:
    """Equal weights."""
    return np.full(extent, 1 / extent, np.float32)


def smooth(volume: NDArray[Any], sigma: Sequence[float]) -> Floats:
    """Gaussian blur.

    A narrow Gaussian is a sum of shifted voxels, up to 4 σ. A wide one has a few cosines left along
    an axis, those above 1e-4, and is made of them: what is cheaper is done.

    Args:
        volume: ``(z, y, x)`` or ``(z, y, x, c)``.
        sigma: along z, y, x, in voxels.
    """
    narrow, wide = list[Floats](), list[Floats | None]()
    for extent, deviation in zip(volume.shape[:3], sigma, strict=True):
        kernel = gaussian(deviation) if extent > 1 else _ONE
        n_cosines = _n_cosines(extent, deviation)
        cheap = 2 * n_cosines < len(kernel) // 2  # there and back; symmetric taps go in pairs
        narrow.append(_ONE if cheap else kernel)
        wide.append(_cosines(extent, deviation, n_cosines) if cheap else None)
    found = correlate(volume, narrow)
    return found if all(basis is None for basis in wide) else _through_cosines(found, wide)


def correlate(volume: NDArray[Any], kernels: Sequence[Floats]) -> Floats:
    """Weighted sums along the axes.

    Args:
        volume: ``(z, y, x)`` or ``(z, y, x, c)`` of uint8, uint16 or float32.
        kernels: along z, y, x, odd in length and symmetric; a single 1 leaves an axis alone.

    Returns:
        A new array of the shape of `volume`.
    """
    # OpenCV is quick with bytes and with floats.
    source = np.ascontiguousarray(volume, np.float32 if volume.dtype == np.uint16 else None)
    along_z, along_y, along_x = kernels
    reflect = {"borderType": cv2.BORDER_REFLECT}

    def in_plane(plane: NDArray[Any], out: NDArray[Any]) -> None:
        cv2.sepFilter2D(plane, cv2.CV_32F, along_x, along_y, dst=out, **reflect)  # type: ignore[call-overload]

    if len(along_y) > 1 or len(along_x) > 1:
        found = np.empty(source.shape, np.float32)
        for frame, target in zip(source, found, strict=True):
            by_channels(in_plane, frame, target)
        source = found
    if len(along_z) > 1:
        rows = source.reshape(len(source), -1)
        found = np.empty(source.shape, np.float32)
        columns = found.reshape(rows.shape)
        for start in range(0, rows.shape[1], _COLUMNS):
            part = (slice(None), slice(start, start + _COLUMNS))
            cv2.sepFilter2D(rows[part], cv2.CV_32F, _ONE, along_z, dst=columns[part], **reflect)  # type: ignore[call-overload]
        source = found
    untouched = source is volume or source.dtype != np.float32
    return source.astype(np.float32) if untouched else source


def by_channels(
    operation: Callable[[NDArray[Any], NDArray[Any]], Any], plane: NDArray[Any], out: NDArray[Any]
) -> None:
    """Carry out what OpenCV does to ``(y, x)`` or ``(y, x, c)``, as many channels as it takes."""
    if plane.ndim == 2 or plane.shape[2] <= CV_CHANNELS:
        operation(plane, out)
        return
    for start in range(0, plane.shape[2], CV_CHANNELS):
        part = np.ascontiguousarray(plane[..., start : start + CV_CHANNELS])
        done = np.empty(part.shape, out.dtype)
        operation(part, done)
        out[..., start : start + CV_CHANNELS] = done


def rounded(values: Floats, like: NDArray[Any]) -> NDArray[Any]:
    """Blurred values in the dtype of the volume that they come from, and in its range."""
    if like.dtype == np.float32:
        return np.clip(values, like.min(), like.max())  # the last bit may leave it
    out = np.empty(like.shape, like.dtype)
    _round(values.reshape(-1), np.float32(_checks.CEILING[like.dtype]), out.reshape(-1))
    return out


@njit(cache=True, nogil=True)
def _round(values, white, out):  # type: ignore[no-untyped-def]
    half, zero = np.float32(0.5), np.float32(0)
    for i in range(len(values)):
        value = values[i] + half
        value = value if value > zero else zero
        out[i] = value if value < white else white


@njit(cache=True, nogil=True)
def combine(values, smoothed, own, other, offset, white, out):  # type: ignore[no-untyped-def]
    """``out = own · values + other · smoothed + offset``, saturated; all of them ``(n,)``."""
    zero = np.float32(0)
    for i in range(len(values)):
        value = own * np.float32(values[i]) + other * smoothed[i] + offset
        value = value if value > zero else zero
        out[i] = value if value < white else white


# --- Wide Gaussians ---------------------------------------------------------------------------


def _n_cosines(extent: int, sigma: float) -> int:
    """How many cosines a Gaussian leaves."""
    last = math.sqrt(-2 * math.log(_LEAST_KEPT)) * extent / (math.pi * max(sigma, 0.1))
    return min(extent, math.floor(last) + 1)


def _cosines(extent: int, sigma: float, n: int) -> Floats:
    """The slowest cosines that reflect at both borders: ``(extent, n)``.

    Each times the root of what a Gaussian leaves of it, so that the blur is basis @ basis.T.
    """
    waves = np.arange(n)
    basis = np.cos(np.pi / extent * np.outer(np.arange(extent) + 0.5, waves))
    basis *= np.sqrt(np.where(waves == 0, 1, 2) / extent)
    basis *= np.exp(-0.25 * (sigma * np.pi * waves / extent) ** 2)
    return basis.astype(np.float32)


def _through_cosines(values: Floats, bases: Sequence[Floats | None]) -> Floats:
    """Gaussian blur along the axes that have a basis."""
    shape = values.shape
    depth, height, width = shape[:3]
    along_z, along_y, along_x = bases
    if along_z is not None:
        values = _times(along_z.T, values.reshape(1, depth, -1))
    if along_y is not None:
        values = _times(along_y.T, values.reshape(-1, height, math.prod(shape[2:])))
    if along_x is not None:  # what is left is little; x goes to the front, where it is fast
        lines = values.reshape(-1, width, math.prod(shape[3:]))
        front = np.ascontiguousarray(lines.transpose(1, 0, 2))
        front = _times(along_x, _times(along_x.T, front.reshape(1, width, -1)))
        front = front.reshape(width, len(lines), -1)
        values = np.ascontiguousarray(front.transpose(1, 0, 2))
    if along_y is not None:
        values = _times(along_y, values.reshape(-1, along_y.shape[1], math.prod(shape[2:])))
    if along_z is not None:
        values = _times(along_z, values.reshape(1, along_z.shape[1], -1))
    return values.reshape(shape)


def _times(matrix: Floats, values: Floats) -> Floats:
    """A matrix ``(m, n)`` times each of ``(batch, n, columns)``."""
    out = np.zeros((len(values), len(matrix), values.shape[2]), np.float32)
    _add_products(np.ascontiguousarray(matrix), values, out)
    return out


@njit(cache=True, nogil=True)
def _add_products(matrix, values, out):  # type: ignore[no-untyped-def]
    for b in range(len(values)):
        for start in range(0, values.shape[2], 1024):  # a stretch of all rows fits the cache
            for i in range(len(matrix)):
                row = out[b, i, start : start + 1024]
                for j in range(values.shape[1]):
                    weight, other = matrix[i, j], values[b, j, start : start + 1024]
                    for k in range(len(row)):
                        row[k] += weight * other[k]


# --- Options ----------------------------------------------------------------------------------


def check_sigmas(transform: Any, least: float = 0) -> None:
    """Bring sigma_limit and sigma_z_limit into their one form, and look at per_axis.

    Args:
        transform: that has these options.
        least: of sigma_limit; where it is not 0 a number n stands for (n, n), not (0, n).

    Raises:
        OptionError: not one of those allowed.
    """
    name = type(transform).__name__
    for option, low in (("sigma_limit", least), ("sigma_z_limit", 0)):
        where, number = f"{name}.{option}", "exact" if low else "from_zero"
        limit = _checks.pair(where, getattr(transform, option), low, GREATEST_SIGMA, number=number)
        transform._set(**{option: limit})
    _checks.one_of(f"{name}.per_axis", transform.per_axis, (False, True))


def no_sigmas(transform: Any) -> str | None:
    """Why a blur changes nothing, or None."""
    sharp = ends(transform.sigma_limit) == ends(transform.sigma_z_limit) == (0, 0)
    return "sigma_limit and sigma_z_limit are (0, 0)" if sharp else None


def draw_sigmas(transform: Any, rng: np.random.Generator) -> list[float]:
    """Standard deviations along z, y, x."""
    along_z = float(rng.uniform(*ends(transform.sigma_z_limit)))
    along_y = float(rng.uniform(*ends(transform.sigma_limit)))
    along_x = float(rng.uniform(*ends(transform.sigma_limit))) if transform.per_axis else along_y
    return [along_z, along_y, along_x]


def odd_pair(where: str, value: Range, high: int) -> tuple[int, int]:
    """A range of odd whole numbers from 1; a number n stands for (n, n).

    Raises:
        OptionError: no such range.
    """
    low, last = _checks.pair(where, value, 1, high, number="exact")
    if low % 2 != 1 or last % 2 != 1:
        raise OptionError(f"{where} is {value!r}, allowed are odd whole numbers")
    return int(low), int(last)


def draw_odd(rng: np.random.Generator, limit: Range) -> int:
    """An odd number of a range, each as often."""
    low, high = (int(end) for end in ends(limit))
    return low + 2 * int(rng.integers((high - low) // 2 + 1))
