"""Roi: the region of interest of one clip, however it was found."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from stallscan.errors import InputError, OptionError
from stallscan.roi._text import name_place
from stallscan.roi.frames import FrameFlag
from stallscan.roi.verdict import Verdict
from stallscan.roi.volume import Volume
from stallscan.types import BoolArray, Box, IntArray, UInt8Array
from stallscan.video.clip import Clip, Stack


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Roi:
    """The outlined region of one clip.

    Attributes:
        box: half-open box around the outline; in z the whole clip.
        mask: ``(y, x)`` bool over the whole frame, the filled outline, line included.
        line: ``(y, x)`` bool over the whole frame, pixels of the drawn line.
        polygon: ``(n, 2)`` int vertices ``(y, x)``; the last is joined to the first.
        verdict: whether the outline can be trusted; where several doubts apply, the first.
        flags: what is suspect about the frames.
        message: evidence for all doubts in a sentence or more, empty when there are none.
        n_frames: frames that were looked at.
        source: where the clip came from.
    """

    box: Box
    mask: BoolArray
    line: BoolArray
    polygon: IntArray
    verdict: Verdict
    message: str
    n_frames: int
    source: str
    flags: tuple[FrameFlag, ...] = ()

    def crop(self, clip: Stack | UInt8Array) -> Volume:
        """Cut the box out of the clip in which it was found.

        Args:
            clip: a Clip, another Stack, or a ``(z, y, x, 3)`` uint8 array.

        Returns:
            A Volume with a copy of the voxels, so that the clip can be let go.

        Raises:
            OptionError: the clip has another size than the one in which the outline was found.
        """
        stack = as_stack(clip, self.source)
        expected = (self.n_frames, *self.mask.shape)
        if stack.shape != expected:
            raise OptionError(
                f"{stack.source}: the clip is {stack.shape} voxels (z, y, x), its outline was "
                f"found in {expected}; crop the clip that was given to find_roi"
            )
        plane = self.box.slices[1:]
        return Volume(
            array=stack.rgb(self.box).copy(),
            mask=self.mask[plane].copy(),
            line=self.line[plane].copy(),
            box=self.box,
            source=stack.source,
            voxel_size_um=stack.voxel_size_um,
            rescaling=stack.rescaling,
        )


def as_stack(clip: Stack | UInt8Array, source: str = "array") -> Stack:
    """A bare ``(z, y, x, 3)`` uint8 array as a Clip; anything else as it is."""
    return Clip(array=clip, source=source) if isinstance(clip, np.ndarray) else clip


def whole_frame(stack: Stack) -> Roi:
    """Everything, without an outline."""
    _, height, width = stack.shape
    corners = [(0, 0), (0, width - 1), (height - 1, width - 1), (height - 1, 0)]
    return _without_line(stack, np.array(corners), Verdict.FULL)


def given_region(stack: Stack, polygon: IntArray) -> Roi:
    """A region that somebody names instead of drawing it.

    Args:
        stack: the clip.
        polygon: ``(n, 2)`` int vertices ``(y, x)``, n ≥ 3.

    Raises:
        InputError: it leaves the frame.
    """
    _, height, width = stack.shape
    (y0, x0), (y1, x1) = polygon.min(axis=0), polygon.max(axis=0)
    if min(y0, x0) < 0 or y1 >= height or x1 >= width:
        place = name_place(Box(0, int(y0), int(x0), 1, int(y1) + 1, int(x1) + 1))
        raise InputError(
            f"{stack.source}: the given region ({place}) leaves the frame of {width}×{height} "
            "pixels; correct its row of the table of regions"
        )
    return _without_line(stack, polygon, Verdict.GIVEN)


def _without_line(stack: Stack, polygon: IntArray, verdict: Verdict) -> Roi:
    depth, height, width = stack.shape
    filled = np.zeros((height, width), np.uint8)
    cv2.fillPoly(filled, [np.ascontiguousarray(polygon[:, ::-1], dtype=np.int32)], 1)
    mask = filled.astype(bool)
    return Roi(
        box=box_around(mask, depth),
        mask=mask,
        line=np.zeros_like(mask),
        polygon=polygon,
        verdict=verdict,
        message="",
        n_frames=depth,
        source=stack.source,
    )


def box_around(mask: BoolArray, n_frames: int) -> Box:
    """The least box around a mask ``(y, x)`` with at least one pixel; in z all frames."""
    ys, xs = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return Box(0, int(ys[0]), int(xs[0]), n_frames, int(ys[-1]) + 1, int(xs[-1]) + 1)
