"""The drawn outline over all frames → Roi, judged by its geometry."""

from __future__ import annotations

import numpy as np

from stallscan.errors import OutlineNotFoundError
from stallscan.roi._places import find_place
from stallscan.roi._shape import enclose
from stallscan.roi.color import line_mask
from stallscan.roi.region import Roi, box_around
from stallscan.roi.verdict import join_findings, judge_outline
from stallscan.types import BoolArray, Box, Color
from stallscan.video.clip import Stack

MIN_PIXELS = 40
"""Pixels of the line's colour that a frame, and the line itself, need to count as an outline."""


def locate_outline(stack: Stack, color: Color | None = None) -> Roi:
    """Find the drawn outline; only the coloured part of the stack is turned into RGB.

    Args:
        stack: the clip.
        color: nominal colour of the line, None for orange.

    Returns:
        The Roi with a verdict on the outline's geometry; what is inside is not looked at.

    Raises:
        OutlineNotFoundError: no frame has such a line.
    """
    n_frames = stack.shape[0]
    colored = stack.colored()
    if colored is None:
        raise _missing(stack, color, f"best frame has 0 {_name(color)} pixels, need {MIN_PIXELS}")
    rgb = stack.rgb(colored)
    # All frames at once, one below the other.
    tall = np.ascontiguousarray(rgb).reshape(-1, *rgb.shape[2:])
    masks = line_mask(tall, color).reshape(rgb.shape[:3]).view(np.uint8)
    counts = np.count_nonzero(masks, axis=(1, 2))
    best = int(counts.max())
    shown = np.flatnonzero(counts >= MIN_PIXELS).tolist()
    if not shown:
        evidence = f"best frame has {best} {_name(color)} pixels, need {MIN_PIXELS}"
        raise _missing(stack, color, evidence)
    place = find_place(masks, shown)
    if len(place.members) == 1 and len(shown) > 2:
        evidence = f"{len(shown)} have {_name(color)} pixels, but no two in the same place"
        raise _missing(stack, color, evidence)
    shape = enclose(_in_frame(place.line, colored, stack))
    n_connected = shape.n_connected if shape else 0
    if shape is None or n_connected < MIN_PIXELS:
        evidence = (
            f"best frame has {best} {_name(color)} pixels, but scattered: {n_connected} form a "
            f"line, need {MIN_PIXELS}"
        )
        raise _missing(stack, color, evidence)
    box = box_around(shape.mask, n_frames)
    other = place.other_line
    findings = judge_outline(
        line=shape.line,
        box=box,
        closed=shape.closed,
        second=shape.second,
        elsewhere=place.elsewhere,
        other=None if other is None else box_around(_in_frame(other, colored, stack), n_frames),
        incomplete=place.incomplete,
    )
    verdict, message = join_findings(findings)
    return Roi(
        box=box,
        mask=shape.mask,
        line=shape.line,
        polygon=shape.polygon,
        verdict=verdict,
        message=message,
        n_frames=n_frames,
        source=stack.source,
    )


def _in_frame(part: BoolArray, place: Box, stack: Stack) -> BoolArray:
    whole = np.zeros(stack.shape[1:], bool)
    whole[place.slices[1:]] = part
    return whole


def _name(color: Color | None) -> str:
    return "orange" if color is None else f"RGB ({', '.join(map(str, color))})"


def _missing(stack: Stack, color: Color | None, evidence: str) -> OutlineNotFoundError:
    drawn = "orange, such as RGB (240, 104, 17)" if color is None else "that colour"
    return OutlineNotFoundError(
        f"{stack.source}: no {_name(color)} outline in any of {stack.shape[0]} frames ({evidence})"
        f"; draw it in {drawn}, name its colour by --outline-color, give regions by --rois, or "
        "pass --roi full to use whole frames"
    )
