"""Many frames, each with its orange pixels → the one place where the line is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from stallscan.types import BoolArray, UInt8Array

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


@dataclass(slots=True, eq=False)
class _Group:
    example: UInt8Array
    widened: UInt8Array
    n_pixels: int
    members: list[int] = field(default_factory=list)

    def agrees(self, mask: UInt8Array, n_pixels: int) -> bool:
        # Either way round: a frame with half the line, or with noise beside it, is still here.
        return (
            cv2.countNonZero(mask & self.widened) >= _AGREEMENT * n_pixels
            or cv2.countNonZero(self.example & _widen(mask)) >= _AGREEMENT * self.n_pixels
        )


def find_place(masks: UInt8Array, counts: Sequence[int], shown: Sequence[int]) -> Place:
    """Group the frames by where their line lies and vote within the largest group.

    Args:
        masks: ``(z, y, x)`` uint8, 1 where a frame has the line's colour, else 0.
        counts: how many such pixels each frame has.
        shown: indices of the frames that show a line at all; at least one.
    """
    # Typical frames first: a frame full of noise must not become what others are compared with.
    median = np.median([counts[i] for i in shown])
    groups: list[_Group] = []
    for i in sorted(shown, key=lambda i: abs(counts[i] - median)):
        mask = masks[i]
        group = next((group for group in groups if group.agrees(mask, counts[i])), None)
        if group is None and len(groups) < _MAX_PLACES:
            group = _Group(mask, _widen(mask), counts[i])
            groups.append(group)
        if group is not None:
            group.members.append(i)
    members, *others = sorted(
        (group.members for group in groups), key=lambda m: (len(m), -min(m)), reverse=True
    )
    line = _vote(masks, members)
    return Place(
        line=line,
        members=sorted(members),
        elsewhere=sorted(set(shown) - set(members)),
        other_line=_vote(masks, others[0]) if others else None,
        incomplete=_incomplete(masks, line, sorted({*range(len(counts))} - {*shown} | {*members})),
    )


def _vote(masks: UInt8Array, members: list[int]) -> BoolArray:
    line: BoolArray = 2 * masks[members].sum(axis=0, dtype=np.uint32) > len(members)
    return line


def _incomplete(masks: UInt8Array, line: BoolArray, candidates: list[int]) -> list[int]:
    drawn = line.astype(np.uint8)
    need = _MIN_COVERAGE * cv2.countNonZero(drawn)
    return [i for i in candidates if cv2.countNonZero(drawn & _widen(masks[i])) < need]


def _widen(mask: UInt8Array) -> UInt8Array:
    return np.asarray(cv2.dilate(mask, _NEIGHBOURS), dtype=np.uint8)
