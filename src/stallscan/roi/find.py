"""The whole judgement on one clip: outline, what is inside it, frames."""

from __future__ import annotations

import dataclasses

from stallscan.roi.content import judge_content
from stallscan.roi.frames import STEP, check_frames
from stallscan.roi.outline import locate_outline
from stallscan.roi.region import Roi, as_stack
from stallscan.roi.verdict import Verdict
from stallscan.roi.volume import Volume
from stallscan.types import Color, UInt8Array
from stallscan.video.clip import Stack


def find_roi(clip: Stack | UInt8Array, *, color: Color | None = None) -> Roi:
    """Find the drawn outline of a clip, and say what is suspect about it.

    Args:
        clip: a Clip, another Stack, or a ``(z, y, x, 3)`` uint8 array.
        color: nominal colour of the line, None for orange.

    Raises:
        OutlineNotFoundError: no frame has such a line.
        VideoError: the array is not a clip.
    """
    stack = as_stack(clip)
    roi = locate_outline(stack, color)
    return examine(roi, stack, roi.crop(stack))


def examine(roi: Roi, stack: Stack, volume: Volume) -> Roi:
    """Add what content and frames say to a Roi that was judged by its geometry alone.

    Args:
        roi: as found in the stack, given, or the whole frame.
        stack: the clip.
        volume: ``roi.crop(stack)``.
    """
    about_frames = check_frames(stack.grey(STEP))
    about_content = [] if roi.verdict is Verdict.FULL else judge_content(volume)
    verdict = roi.verdict
    if verdict is Verdict.OK and about_content:
        verdict = about_content[0][0]
    evidence = [roi.message, *(said for _, said in (*about_content, *about_frames))]
    return dataclasses.replace(
        roi,
        verdict=verdict,
        flags=tuple(flag for flag, _ in about_frames),
        message="; ".join(said for said in evidence if said),
    )
