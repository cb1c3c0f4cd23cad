"""Clip: a stack of frames in memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stallscan.errors import VideoError
from stallscan.types import UInt8Array


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Clip:
    """A stack as the labs hand it over: RGB frames with the outline drawn in.

    Attributes:
        array: ``(z, y, x, 3)`` uint8, RGB, 0–255. z is depth and time.
        source: where it came from: a path, or ``"phantom"``.
        voxel_size_um: ``(z, y, x)`` in µm, None where the file does not say.
        rescaling: None for 8-bit input, else the ``(low, high)`` grey levels that became 0 and 255.

    Raises:
        VideoError: the array is not ``(z, y, x, 3)`` uint8 with at least one frame.
    """

    array: UInt8Array
    source: str
    voxel_size_um: tuple[float, float, float] | None = None
    rescaling: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        array = self.array
        if array.ndim != 4 or array.shape[3] != 3 or array.dtype != np.uint8 or array.size == 0:
            raise VideoError(
                f"{self.source}: a clip must be a (z, y, x, 3) uint8 array with at least one "
                f"frame, got shape {array.shape} of {array.dtype}; convert it to RGB uint8 first"
            )

    @property
    def n_frames(self) -> int:
        """Number of frames (slices)."""
        return int(self.array.shape[0])
