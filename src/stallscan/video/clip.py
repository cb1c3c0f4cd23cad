"""Clip: a stack of frames in memory; Stack: what the later rooms ask of any decoded stack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from stallscan.errors import VideoError
from stallscan.types import Box, UInt8Array


class Stack(Protocol):
    """A decoded stack whose pixels are asked for in parts.

    A `Clip` holds them as RGB; a `PlanarClip` makes RGB only where it is asked for. Both answer
    with the same bytes, but for `grey`, which may differ by a level.
    """

    @property
    def source(self) -> str:
        """Where it came from: a path, or ``"phantom"``."""

    @property
    def voxel_size_um(self) -> tuple[float, float, float] | None:
        """``(z, y, x)`` in µm, None where the file does not say."""

    @property
    def rescaling(self) -> tuple[float, float] | None:
        """None for 8-bit input, else the grey levels that became 0 and 255."""

    @property
    def damage(self) -> str:
        """Why the stack is shorter than its file should be; empty when it is whole."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(z, y, x)``."""

    def colored(self) -> Box | None:
        """A box, in z the whole stack, outside of which no frame has a coloured pixel."""

    def rgb(self, box: Box) -> UInt8Array:
        """The RGB voxels of a box, ``(z, y, x, 3)`` uint8; may be a view."""

    def grey(self, step: int) -> UInt8Array:
        """Luma of every ``step``-th pixel of both axes of all frames, ``(z, y, x)`` uint8."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Clip:
    """A stack as the labs hand it over: RGB frames with the outline drawn in.

    Attributes:
        array: ``(z, y, x, 3)`` uint8, RGB, 0–255. z is depth and time.
        source: where it came from: a path, or ``"phantom"``.
        voxel_size_um: ``(z, y, x)`` in µm, None where the file does not say.
        rescaling: None for 8-bit input, else the ``(low, high)`` grey levels that became 0 and 255.
        damage: why it is shorter than its file should be (``"45 of 97 frames decoded, then: …"``,
            only with ``partial=True``); empty when it is whole.

    Raises:
        VideoError: the array is not ``(z, y, x, 3)`` uint8 with at least one frame.
    """

    array: UInt8Array
    source: str
    voxel_size_um: tuple[float, float, float] | None = None
    rescaling: tuple[float, float] | None = None
    damage: str = ""

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

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(z, y, x)``."""
        depth, height, width, _ = self.array.shape
        return depth, height, width

    def colored(self) -> Box | None:
        """The whole stack: what is RGB already is not searched twice."""
        return Box(0, 0, 0, *self.shape)

    def rgb(self, box: Box) -> UInt8Array:
        """A view of the box, ``(z, y, x, 3)`` uint8."""
        return self.array[box.slices]

    def grey(self, step: int) -> UInt8Array:
        """Luma of every ``step``-th pixel of both axes, ``(z, y, x)`` uint8."""
        sampled = self.array[:, ::step, ::step].astype(np.uint16)
        luma = sampled @ _LUMA_256 + 128  # (z, y, x); at most 65,408
        return (luma >> 8).astype(np.uint8)


_LUMA_256 = np.array([77, 150, 29], np.uint16)
"""BT.601's luma weights of R, G and B in 256ths."""
