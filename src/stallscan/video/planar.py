"""PlanarClip: a decoded video still in the decoder's planes, RGB made only where it is needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import av
import cv2
import numpy as np

from stallscan.types import Box, UInt8Array

PLANAR_FORMATS = ("yuv420p", "yuvj420p")
"""Pixel formats that can stay in planes: 8 bits, chroma at half the resolution in both axes."""

_MIN_CHROMA = 14
"""Levels of U or V off 128. In the matrices BT.601, BT.709 and BT.2020, limited or full range, two
RGB channels that differ by 60 need at least 14.3 in one of them."""

_MAX_ROWS = 1 << 14  # of one conversion
_ALIGNMENT = 32  # pixels that a vectorised conversion takes at once; its tail is rounded otherwise


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlanarClip:
    """A `Stack` that keeps the decoder's frames: half the memory of RGB and no conversion.

    Attributes:
        frames: decoded frames of one size with even sides, in one of ``PLANAR_FORMATS``.
        source: where it came from.
        damage: as in `Clip`.
    """

    frames: Sequence[av.VideoFrame]
    source: str
    damage: str = ""
    voxel_size_um: None = None
    rescaling: None = None
    _converted: dict[Box, UInt8Array] = field(default_factory=dict, init=False, repr=False)
    """The box that was last asked for; the next is often a part of it."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(z, y, x)``."""
        return len(self.frames), self.frames[0].height, self.frames[0].width

    def colored(self) -> Box | None:
        """Where any frame has colour, in steps of two pixels: at the resolution of the chroma."""
        depth, height, width = self.shape
        shape = height // 2, width // 2
        highest, lowest = np.zeros(shape, np.uint8), np.full(shape, 255, np.uint8)
        for frame in self.frames:
            for index in (1, 2):
                plane = _plane(frame, index)
                cv2.max(highest, plane, dst=highest)
                cv2.min(lowest, plane, dst=lowest)
        found = (highest > 128 + _MIN_CHROMA) | (lowest < 128 - _MIN_CHROMA)
        ys, xs = np.flatnonzero(found.any(axis=1)), np.flatnonzero(found.any(axis=0))
        if not ys.size:
            return None
        return Box(
            0, 2 * int(ys[0]), 2 * int(xs[0]), depth, 2 * int(ys[-1]) + 2, 2 * int(xs[-1]) + 2
        )

    def rgb(self, box: Box) -> UInt8Array:
        """The RGB voxels of a box, ``(z, y, x, 3)`` uint8: the bytes of a whole conversion."""
        for whole, made in self._converted.items():
            first, end = np.subtract(box[:3], whole[:3]), np.subtract(box[3:], whole[:3])
            if (first >= 0).all() and (end <= made.shape[:3]).all():
                return made[Box(*map(int, (*first, *end))).slices]
        self._converted.clear()
        made = self._converted[box] = self._convert(box)
        return made

    def _convert(self, box: Box) -> UInt8Array:
        _, height, width = self.shape
        # Chroma goes by pairs of rows and columns.
        y0, y1 = box.y0 // 2 * 2, min(box.y1 + box.y1 % 2, height)
        x0 = box.x0 // _ALIGNMENT * _ALIGNMENT
        x1 = min(-(-box.x1 // _ALIGNMENT) * _ALIGNMENT, width)
        rgb = np.empty((*box.size, 3), np.uint8)
        step = max(_MAX_ROWS // (y1 - y0), 1)
        for first in range(box.z0, box.z1, step):
            frames = self.frames[first : min(first + step, box.z1)]
            wide = _convert(frames, y0, y1, x0, x1)
            part = slice(first - box.z0, first - box.z0 + len(frames))
            rgb[part] = wide[:, box.y0 - y0 : box.y1 - y0, box.x0 - x0 : box.x1 - x0]
        return rgb

    def grey(self, step: int) -> UInt8Array:
        """Luma of every ``step``-th pixel of both axes, ``(z, y, x)`` uint8, 0–255."""
        _, height, width = self.shape
        sampled = np.empty((len(self.frames), -(-height // step), -(-width // step)), np.uint8)
        for frame, target in zip(self.frames, sampled, strict=True):
            target[:] = _plane(frame, 0)[::step, ::step]
        first = self.frames[0]
        if first.format.name == "yuvj420p" or first.color_range == 2:  # full range
            return sampled
        tall = cv2.LUT(sampled.reshape(-1, sampled.shape[2]), _FULL_RANGE)
        return np.asarray(tall, dtype=np.uint8).reshape(sampled.shape)


_FULL_RANGE = np.clip(np.rint((np.arange(256) - 16) * (255 / 219)), 0, 255).astype(np.uint8)


def _plane(frame: av.VideoFrame, index: int) -> UInt8Array:
    """A view of one plane: 0 luma, 1 and 2 chroma."""
    plane = frame.planes[index]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    view: UInt8Array = rows[: plane.height, : plane.width]
    return view


def _convert(frames: Sequence[av.VideoFrame], y0: int, y1: int, x0: int, x1: int) -> UInt8Array:
    """Many crops at once, one below the other, as one tall picture: ``(z, y, x, 3)``."""
    n, height, width = len(frames), y1 - y0, x1 - x0
    planes = np.empty((n * height * 3 // 2, width), np.uint8)
    luma = planes[: n * height].reshape(n, height, width)
    chroma = planes[n * height :].reshape(2, n, height // 2, width // 2)
    for i, frame in enumerate(frames):
        luma[i] = _plane(frame, 0)[y0:y1, x0:x1]
        for j in (0, 1):
            chroma[j, i] = _plane(frame, j + 1)[y0 // 2 : y1 // 2, x0 // 2 : x1 // 2]
    tall = av.VideoFrame.from_ndarray(planes, format=frames[0].format.name)
    tall.colorspace, tall.color_range = frames[0].colorspace, frames[0].color_range
    rgb = np.asarray(tall.to_ndarray(format="rgb24", threads=1), dtype=np.uint8)
    return rgb.reshape(n, height, width, 3)
