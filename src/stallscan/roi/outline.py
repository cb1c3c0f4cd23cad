"""The orange outline over all frames, in one pass → Roi."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from stallscan.errors import OptionError, OutlineNotFoundError, VideoError
from stallscan.roi._places import FrameMasks, find_place
from stallscan.roi._shape import enclose
from stallscan.roi.color import orange_mask
from stallscan.roi.verdict import Verdict, judge
from stallscan.roi.volume import Volume
from stallscan.types import BoolArray, Box, IntArray, UInt8Array
from stallscan.video.clip import Clip

MIN_PIXELS = 40
"""Orange pixels that a frame, and the line itself, need to count as an outline."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Roi:
    """The outlined region of one clip.

    Attributes:
        box: half-open box around the line; in z the whole clip.
        mask: ``(y, x)`` bool over the whole frame, the filled outline, line included.
        line: ``(y, x)`` bool over the whole frame, pixels of the drawn line.
        polygon: ``(n, 2)`` int vertices ``(y, x)``; the last is joined to the first.
        verdict: whether the outline can be trusted.
        message: evidence for the verdict in one sentence, empty when it is ok.
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

    def crop(self, clip: Clip | UInt8Array) -> Volume:
        """Cut the box out of the clip in which it was found.

        Args:
            clip: a Clip or its ``(z, y, x, 3)`` uint8 array.

        Returns:
            A Volume with a copy of the voxels, so that the clip can be let go.

        Raises:
            OptionError: the clip has another size than the one in which the outline was found.
        """
        clip = _as_clip(clip, self.source)
        found, expected = clip.array.shape[:3], (self.n_frames, *self.mask.shape)
        if found != expected:
            raise OptionError(
                f"{clip.source}: the clip is {found} voxels (z, y, x), its outline was found in "
                f"{expected}; crop the clip that was given to find_roi"
            )
        plane = self.box.slices[1:]
        return Volume(
            array=clip.array[self.box.slices].copy(),
            mask=self.mask[plane].copy(),
            line=self.line[plane].copy(),
            box=self.box,
            source=clip.source,
            voxel_size_um=clip.voxel_size_um,
            rescaling=clip.rescaling,
        )


class OutlineFinder:
    """Collects the outline from frames that come one by one; holds one bit a pixel and frame."""

    def __init__(self, *, source: str) -> None:
        self._source = source
        self._masks = FrameMasks()
        self._shape: tuple[int, ...] | None = None

    def add(self, frame: UInt8Array) -> None:
        """Look at one ``(y, x, 3)`` uint8 RGB frame.

        Raises:
            VideoError: the frame is no RGB frame, or not of the size of the frames before it.
        """
        expected = self._shape or (*frame.shape[:2], 3)
        if frame.shape != expected or frame.dtype != np.uint8:
            raise VideoError(
                f"{self._source}: frame {len(self._masks.counts)} has shape {frame.shape} of "
                f"{frame.dtype}, expected (y, x, 3) uint8 RGB of one size"
                f"{f', {self._shape}' if self._shape else ''}; convert the frames first"
            )
        self._shape = frame.shape
        self._masks.append(orange_mask(frame))

    def finish(self) -> Roi:
        """The outline of all frames added so far.

        Raises:
            OutlineNotFoundError: no frame has an orange line.
            VideoError: no frame was added.
        """
        counts = self._masks.counts
        if not counts:
            raise VideoError(f"{self._source}: 0 frames, need at least 1 to find an outline")
        shown = [i for i, count in enumerate(counts) if count >= MIN_PIXELS]
        if not shown:
            raise self._missing(f"best frame has {max(counts)} orange pixels, need {MIN_PIXELS}")
        place = find_place(self._masks, shown)
        if len(place.members) == 1 and len(shown) > 2:
            raise self._missing(f"{len(shown)} have orange pixels, but no two in the same place")
        shape = enclose(place.line)
        n_connected = shape.n_connected if shape else 0
        if shape is None or n_connected < MIN_PIXELS:
            raise self._missing(
                f"best frame has {max(counts)} orange pixels, but scattered: {n_connected} form a "
                f"line, need {MIN_PIXELS}"
            )
        box = _box(shape.mask, len(counts))
        verdict, message = judge(
            line=shape.line,
            box=box,
            closed=shape.closed,
            elsewhere=place.elsewhere,
            incomplete=place.incomplete,
        )
        return Roi(
            box=box,
            mask=shape.mask,
            line=shape.line,
            polygon=shape.polygon,
            verdict=verdict,
            message=message,
            n_frames=len(counts),
            source=self._source,
        )

    def _missing(self, evidence: str) -> OutlineNotFoundError:
        n_frames = len(self._masks.counts)
        return OutlineNotFoundError(
            f"{self._source}: no orange outline in any of {n_frames} frames ({evidence}); draw "
            "the outline in orange, such as RGB (240, 104, 17), around the vessel"
        )


def find_roi_in_frames(frames: Iterable[UInt8Array], *, source: str = "frames") -> Roi:
    """Find the outline in one pass over frames, which are not kept.

    Args:
        frames: ``(y, x, 3)`` uint8 RGB, such as `stallscan.video.iter_frames` yields.
        source: name for messages.

    Raises:
        OutlineNotFoundError: no frame has an orange line.
        VideoError: no frames, or frames of different sizes.
    """
    finder = OutlineFinder(source=source)
    for frame in frames:
        finder.add(frame)
    return finder.finish()


def find_roi(clip: Clip | UInt8Array) -> Roi:
    """Find the orange outline of a clip.

    Args:
        clip: a Clip or its ``(z, y, x, 3)`` uint8 array.

    Raises:
        OutlineNotFoundError: no frame has an orange line.
        VideoError: the array is not a clip.
    """
    clip = _as_clip(clip, "array")
    return find_roi_in_frames(clip.array, source=clip.source)


def _as_clip(clip: Clip | UInt8Array, source: str) -> Clip:
    return clip if isinstance(clip, Clip) else Clip(array=clip, source=source)


def _box(mask: BoolArray, n_frames: int) -> Box:
    ys, xs = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return Box(0, int(ys[0]), int(xs[0]), n_frames, int(ys[-1]) + 1, int(xs[-1]) + 1)
