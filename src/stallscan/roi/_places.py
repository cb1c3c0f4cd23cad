"""Many frames, each with its orange pixels → the one place where the line is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from stallscan.types import BoolArray, IntArray, UInt8Array

_AGREEMENT = 0.7  # share of one frame's line within a pixel of another's, to be the same place
_MIN_COVERAGE = 0.5  # share of the line that a frame must show to count as complete
_MAX_PLACES = 16  # more is noise, not outlines
_NEIGHBOURS = np.ones((3, 3), np.uint8)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Place:
    """The most frequent place of the line.

    Attributes:
        line: ``(y, x)`` bool, orange in the majority of the frames that show the line here.
        members: indices of the frames that show the line here.
        elsewhere: indices of the frames whose line is in another place.
        other_line: ``(y, x)`` bool, the line of the most frequent other place, None without one.
        incomplete: indices of the frames that lack at least half of the line.
    """

    line: BoolArray
    members: list[int]
    elsewhere: list[int]
    other_line: BoolArray | None
    incomplete: list[int]


def find_place(masks: UInt8Array, shown: Sequence[int]) -> Place:
    """Group the frames by where their line lies and vote within the largest group.

    Args:
        masks: ``(z, y, x)`` uint8, 1 where a frame has the line's colour, else 0.
        shown: indices of the frames that show a line at all; at least one.
    """
    counts = np.count_nonzero(masks, axis=(1, 2))
    # Typical frames first: a frame full of noise must not become what others are compared with.
    left = np.array(shown)[
        np.argsort(np.abs(counts[shown] - np.median(counts[shown])), kind="stable")
    ]
    groups: list[IntArray] = []
    while left.size and len(groups) < _MAX_PLACES:
        agrees = _agreeing(masks, counts, left[0], left)
        groups.append(left[agrees])
        left = left[~agrees]
    members, *others = sorted(groups, key=lambda group: (len(group), -group.min()), reverse=True)
    line = _vote(masks, members)
    absent = np.setdiff1d(np.arange(len(masks)), shown)
    return Place(
        line=line,
        members=sorted(members.tolist()),
        elsewhere=np.setdiff1d(shown, members).tolist(),
        other_line=_vote(masks, others[0]) if others else None,
        incomplete=_incomplete(masks, line, np.union1d(absent, members)),
    )


def _agreeing(masks: UInt8Array, counts: IntArray, example: int, others: IntArray) -> BoolArray:
    """Which of the others have their line where the example has it."""
    widened = _widen(masks[example])
    common = np.count_nonzero(masks[others] & widened, axis=(1, 2))
    agrees: BoolArray = common >= _AGREEMENT * counts[others]
    # Either way round: a frame with half the line, or with noise beside it, is still here.
    for k in np.flatnonzero(~agrees):
        common = np.count_nonzero(masks[example] & _widen(masks[others[k]]))
        agrees[k] = common >= _AGREEMENT * counts[example]
    return agrees


def _vote(masks: UInt8Array, members: IntArray) -> BoolArray:
    line: BoolArray = 2 * masks[members].sum(axis=0, dtype=np.uint32) > len(members)
    return line


def _incomplete(masks: UInt8Array, line: BoolArray, candidates: IntArray) -> list[int]:
    drawn = line.astype(np.uint8)
    need = _MIN_COVERAGE * np.count_nonzero(drawn)
    lacking = np.count_nonzero(masks[candidates] & drawn, axis=(1, 2)) < need
    # Next to its place the line counts too.
    return [
        int(i) for i in candidates[lacking] if np.count_nonzero(drawn & _widen(masks[i])) < need
    ]


def _widen(mask: UInt8Array) -> UInt8Array:
    return np.asarray(cv2.dilate(mask, _NEIGHBOURS), dtype=np.uint8)
