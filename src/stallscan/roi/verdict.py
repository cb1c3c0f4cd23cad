"""The verdict on an outline: may its box be trusted?"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from stallscan.roi._text import name_frames, name_place
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
    TWO = "two"
    """There is another closed outline; the Roi is that of the largest."""
    BORDER = "border"
    """It touches the border of the frame: the vessel may go on outside."""
    SMALL = "small"
    """The box is smaller than any drawn around a capillary."""
    OPEN = "open"
    """The line encloses nothing; the mask is its convex hull."""
    MASKED = "masked"
    """Much of what is inside is blackened."""
    OFF_VESSEL = "off_vessel"
    """Little inside it looks like a vessel."""
    OK = "ok"
    """None of these."""
    GIVEN = "given"
    """Not drawn but named by the user."""
    FULL = "full"
    """No outline was looked for: the whole frame, as the user asked."""


def judge_outline(
    *,
    line: BoolArray,
    box: Box,
    closed: bool,
    second: Box | None,
    elsewhere: Sequence[int],
    other: Box | None,
    incomplete: Sequence[int],
) -> list[tuple[Verdict, str]]:
    """All doubts about an outline's geometry, the gravest first, each with its evidence.

    Args:
        line: ``(y, x)`` bool, the drawn line in the whole frame.
        box: its box.
        closed: whether the line encloses an area.
        second: box of another closed line that is there all the time.
        elsewhere: indices of the frames whose outline is in another place.
        other: the most frequent of these places.
        incomplete: indices of the frames that lack at least half of the line.
    """
    n_frames, height, width = box.size
    findings: list[tuple[Verdict, str]] = []

    def find(verdict: Verdict, evidence: str) -> None:
        findings.append((verdict, evidence))

    if elsewhere:
        there = "" if other is None else f" ({name_place(other)}, not {name_place(box)})"
        find(
            Verdict.MOVING,
            f"the outline is in another place{there} in {name_frames(elsewhere, n_frames)}",
        )
    if incomplete:
        find(
            Verdict.PARTIAL,
            "the outline is missing or less than half there in "
            f"{name_frames(incomplete, n_frames)}",
        )
    if second is not None:
        find(
            Verdict.TWO,
            f"there are two outlines; the larger one ({name_place(box)}) is used, the other lies "
            f"at {name_place(second)}",
        )
    edges = _touched_edges(line)
    if edges:
        find(Verdict.BORDER, f"the outline touches the {' and '.join(edges)} edge of the frame")
    if min(height, width) < MIN_SIDE:
        find(
            Verdict.SMALL,
            f"the outline's box is {width}×{height} pixels, expected at least "
            f"{MIN_SIDE}×{MIN_SIDE}",
        )
    if not closed:
        find(Verdict.OPEN, f"the line of {int(line.sum())} pixels is not closed")
    return findings


def join_findings(findings: Sequence[tuple[Verdict, str]]) -> tuple[Verdict, str]:
    """The first verdict, and all evidence as one message; ok without findings."""
    verdict = findings[0][0] if findings else Verdict.OK
    return verdict, "; ".join(evidence for _, evidence in findings)


def _touched_edges(line: BoolArray) -> list[str]:
    strips = {
        "top": line[: BORDER + 1],
        "bottom": line[-BORDER - 1 :],
        "left": line[:, : BORDER + 1],
        "right": line[:, -BORDER - 1 :],
    }
    return [name for name, strip in strips.items() if strip.any()]
