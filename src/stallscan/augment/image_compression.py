"""Artefacts of lossy files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from stallscan.augment import _checks
from stallscan.augment._transform import Params, Pixel, Shape
from stallscan.augment._values import in_greys, scaled
from stallscan.errors import OptionError

_FORMATS = ((".jpg", cv2.IMWRITE_JPEG_QUALITY), (".webp", cv2.IMWRITE_WEBP_QUALITY))
_GREATEST_EXTENT = (65_500, 16_383)


@dataclass(frozen=True)
class ImageCompression(Pixel):
    """Write every frame as JPEG or WebP, and read it again.

    **8 bits whatever the dtype**: uint16 and float32, which lies in [0, 1], come back in 255 steps.
    Three channels are red, green and blue, and share their detail as these formats have it; three
    equal ones, and other numbers of channels, are taken one by one, as grey.

    Attributes:
        quality_lower: worst quality, from 0 (JPEG) or 1 (WebP).
        quality_upper: best quality, to 100. volumentations has 99 to 100, which one cannot see.
        compression_type: 0 JPEG, 1 WebP.
        always_apply: whatever p says.
        p: probability.

    Example:
        >>> compressed = ImageCompression(30, 80, p=0.1)
    """

    quality_lower: float = 50
    quality_upper: float = 90
    compression_type: int = 0
    always_apply: bool = False
    p: float = 0.5

    def check(self) -> None:
        """See `Transform.check`."""
        _checks.one_of("ImageCompression.compression_type", self.compression_type, (0, 1))
        for name in ("quality_lower", "quality_upper"):
            value = getattr(self, name)
            where = f"ImageCompression.{name}"
            if _checks.number(where, value, int(self.compression_type), 100) % 1:
                raise OptionError(f"{where} is {value!r}, allowed are whole numbers")
            self._set(**{name: int(value)})
        if self.quality_lower > self.quality_upper:
            raise OptionError(
                f"ImageCompression.quality_lower is {self.quality_lower}, quality_upper "
                f"{self.quality_upper}; allowed is a quality_lower up to quality_upper"
            )

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """The quality."""
        return {"quality": int(rng.integers(int(self.quality_lower), int(self.quality_upper) + 1))}

    def apply(self, volume: NDArray[Any], params: Params) -> NDArray[Any]:
        """See `Transform.apply`."""
        _, _, white = in_greys("ImageCompression", volume)
        longest = _GREATEST_EXTENT[self.compression_type]
        if max(volume.shape[1:3]) > longest:
            raise OptionError(
                f"ImageCompression: frames of {volume.shape[1:3]}, allowed are {longest} at most"
            )
        values = np.ascontiguousarray(volume).reshape(*volume.shape[:3], -1)
        if volume.dtype == np.uint8:
            return self._compressed(values, params["quality"]).reshape(volume.shape)
        steps = np.full(len(volume), 255 / white, np.float32)
        found = self._compressed(scaled(values, steps, np.uint8), params["quality"])
        return scaled(found, np.float32(1) / steps, volume.dtype).reshape(volume.shape)

    def _compressed(self, frames: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
        """``(z, y, x, c)``."""
        depth, height, width, channels = frames.shape
        if channels == 3 and not _all_equal(frames.reshape(-1, 3)):
            lines = np.empty((depth * height, width, 3), np.uint8)
            cv2.cvtColor(frames.reshape(lines.shape), cv2.COLOR_RGB2BGR, dst=lines)
            self._rewrite(lines.reshape(frames.shape), quality, cv2.IMREAD_COLOR)
            cv2.cvtColor(lines, cv2.COLOR_BGR2RGB, dst=lines)
            return lines.reshape(frames.shape)
        different = 1 if channels == 3 else channels
        out = np.empty_like(frames)
        for channel in range(different):
            plane = frames[..., channel].copy()
            self._rewrite(plane, quality, cv2.IMREAD_GRAYSCALE)
            out[..., channel::different] = plane[..., None]
        return out

    def _rewrite(self, frames: NDArray[np.uint8], quality: int, flag: int) -> None:
        """Grey ``(z, y, x)``, or blue, green and red ``(z, y, x, 3)``, in place."""
        suffix, option = _FORMATS[self.compression_type]
        for frame in frames:
            _, file = cv2.imencode(suffix, frame, (option, quality))
            frame[:] = cv2.imdecode(file, flag)


@njit(cache=True, nogil=True)
def _all_equal(values):  # type: ignore[no-untyped-def]
    """Whether all voxels of ``(n, 3)`` are grey."""
    for i in range(len(values)):
        if values[i, 0] != values[i, 1] or values[i, 0] != values[i, 2]:
            return False
    return True
