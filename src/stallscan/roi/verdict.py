"""The verdict on an outline: may its box be trusted?"""

from __future__ import annotations

from enum import StrEnum

from stallscan.types import BoolArray, Box

MIN_SIDE = 12
"""Pixels. A capillary of 5 px with the usual margin of 8 px around its centreline makes a box of 22
at full size (512×384) and 14 in the 320×240 previews."""

BORDER = 1
"""Pixels between line and frame edge that still count as touching."""


class Verdict(StrEnum):
    """What is wrong with an outline; the first that applies, in this order, is given."""

    MISSING = "missing"
    """No outline in any frame: there is no Roi (`OutlineNotFoundError`)."""
    MOVING = "moving"
    """It lies elsewhere in some frames; the Roi is that of the most frequent place."""
    PARTIAL = "partial"
    """Most of it is absent from some frames."""
    BORDER = "border"
    """It touches the border of the frame: the vessel may go on outside."""
    SMALL = "small"
    """The box is smaller than any drawn around a capillary."""
    TWO = "two"
    """There is another closed outline; the Roi is that of the largest."""
    OFF_VESSEL = "off_vessel"
    """Little inside it looks like a vessel."""
    MASKED = "masked"
    """Much of what is inside is blackened."""
    OPEN = "open"
    """The line encloses nothing; the mask is its convex hull."""
    OK = "ok"
    """None of these."""


def judge(
    *, line: BoolArray, box: Box, closed: bool, elsewhere: list[int], incomplete: list[int]
) -> tuple[Verdict, str]:
    """Verdict and its evidence in one sentence (empty when ok).

    Args:
        line: ``(y, x)`` bool, the drawn line in the whole frame.
        box: its box.
        closed: whether the line encloses an area.
        elsewhere: indices of the frames whose outline is in another place.
        incomplete: indices of the frames that lack at least half of the line.
    """
    n_frames, height, width = box.size
    if elsewhere:
        return Verdict.MOVING, (
            f"the outline is in another place in {len(elsewhere)} of {n_frames} frames, first in "
            f"frame {elsewhere[0]} (counted from 0)"
        )
    if incomplete:
        return Verdict.PARTIAL, (
            f"the outline is missing or less than half there in {len(incomplete)} of {n_frames} "
            f"frames, first in frame {incomplete[0]} (counted from 0)"
        )
    edges = _touched_edges(line)
    if edges:
        return Verdict.BORDER, f"the outline touches the {' and '.join(edges)} edge of the frame"
    if min(height, width) < MIN_SIDE:
        return Verdict.SMALL, (
            f"the outline's box is {width}×{height} pixels, expected at least {MIN_SIDE}×{MIN_SIDE}"
        )
    if not closed:
        return Verdict.OPEN, f"the line of {int(line.sum())} pixels is not closed"
    return Verdict.OK, ""


def _touched_edges(line: BoolArray) -> list[str]:
    strips = {
        "top": line[: BORDER + 1],
        "bottom": line[-BORDER - 1 :],
        "left": line[:, : BORDER + 1],
        "right": line[:, -BORDER - 1 :],
    }
    return [name for name, strip in strips.items() if strip.any()]
