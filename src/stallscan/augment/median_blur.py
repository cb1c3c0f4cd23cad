"""Medians of neighbours."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from stallscan.augment import _checks
from stallscan.augment._checks import Range
from stallscan.augment._filters import by_channels, draw_odd, odd_pair
from stallscan.augment._transform import Params, Pixel, Shape
from stallscan.augment._values import ends

_CV_ANY_DTYPE = 5  # greatest square that OpenCV sorts in every dtype and number of channels


@dataclass(frozen=True)
class MedianBlur(Pixel):
    """Replace every voxel by the median of a square around it, within the frames.

    Beyond the border lies the nearest voxel. Squares over 5 of uint16 and float32 are done by
    SciPy, a hundred times slower.

    Attributes:
        blur_limit: side of the square in voxels, odd, a pair or n for (n, n).
        always_apply: whatever p says.
        p: probability.
        frames: 3 takes the median of each voxel over its frame and the two beside it first, which
            removes what flashes up in single frames, red cells too; 1 mixes no frames.

    Example:
        >>> smoothed = MedianBlur((3, 5), p=0.2)
    """

    blur_limit: Range = (3, 5)
    always_apply: bool = False
    p: float = 0.5
    frames: int = field(default=1, kw_only=True)

    def check(self) -> None:
        """See `Transform.check`."""
        self._set(blur_limit=odd_pair("MedianBlur.blur_limit", self.blur_limit, 255))
        _checks.one_of("MedianBlur.frames", self.frames, (1, 3))

    def does_nothing(self) -> str | None:
        """See `Transform.does_nothing`."""
        single = ends(self.blur_limit) == (1, 1) and self.frames == 1
        return "blur_limit is (1, 1) and frames is 1" if single else None

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """The side of the square, and the number of frames."""
        return {"side": draw_odd(rng, self.blur_limit), "frames": int(self.frames)}

    def apply(self, volume: NDArray[Any], params: Params) -> NDArray[Any]:
        """See `Transform.apply`."""
        source, side = np.ascontiguousarray(volume), params["side"]
        if params["frames"] == 3:
            rows = source.reshape(len(source), -1)
            found = np.empty_like(rows)
            _median_of_three(rows, found)
            source = found.reshape(volume.shape)
        out = np.empty_like(source)
        if side == 1:
            out[:] = source
        elif side <= _CV_ANY_DTYPE or volume.dtype == np.uint8:
            for frame, target in zip(source, out, strict=True):
                _median(frame, side, target)
        else:
            extents = (1, side, side, 1)[: volume.ndim]
            median_filter(source, extents, output=out, mode="nearest")
        return out


def _median(frame: NDArray[Any], side: int, out: NDArray[Any]) -> None:
    """Medians of ``(y, x)`` or ``(y, x, c)``; large squares take 1, 3 or 4 channels."""
    if side <= _CV_ANY_DTYPE or frame.ndim == 2 or frame.shape[2] in (1, 3, 4):
        by_channels(lambda plane, found: cv2.medianBlur(plane, side, dst=found), frame, out)
        return
    for channel in range(frame.shape[2]):
        out[..., channel] = cv2.medianBlur(np.ascontiguousarray(frame[..., channel]), side)


@njit(cache=True, nogil=True)
def _median_of_three(frames, out):  # type: ignore[no-untyped-def]
    """Of each ``(z, voxels)`` with the frames beside it; the outermost ones have themselves."""
    last = len(frames) - 1
    for z in range(last + 1):
        before, after = frames[max(z - 1, 0)], frames[min(z + 1, last)]
        here, row = frames[z], out[z]
        for i in range(len(row)):
            low, high = min(before[i], after[i]), max(before[i], after[i])
            row[i] = min(max(here[i], low), high)
