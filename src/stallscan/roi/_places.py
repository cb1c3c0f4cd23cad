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
        incomplete: indices of the frames that lack at least half of the line.
    """

    line: BoolArray
    members: list[int]
    elsewhere: list[int]
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


class FrameMasks:
    """One bool mask a frame, kept at one bit a pixel."""

    def __init__(self) -> None:
        self.counts: list[int] = []
        self._packed: list[UInt8Array] = []
        self._shape = (0, 0)

    def append(self, mask: BoolArray) -> None:
        """Keep one ``(y, x)`` mask."""
        self._shape = mask.shape
        self._packed.append(np.packbits(mask))
        self.counts.append(int(np.count_nonzero(mask)))

    def __getitem__(self, index: int) -> UInt8Array:
        height, width = self._shape
        return np.unpackbits(self._packed[index], count=height * width).reshape(height, width)


def find_place(masks: FrameMasks, shown: Sequence[int]) -> Place:
    """Group the frames by where their line lies and vote within the largest group.

    Args:
        masks: the orange pixels of every frame.
        shown: indices of the frames that show a line at all; at least one.
    """
    counts = masks.counts
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
    members = max((group.members for group in groups), key=lambda m: (len(m), -min(m)))
    votes = np.zeros_like(masks[members[0]], dtype=np.uint32)
    for i in members:
        votes += masks[i]
    line = 2 * votes > len(members)
    return Place(
        line=line,
        members=sorted(members),
        elsewhere=sorted(set(shown) - set(members)),
        incomplete=_incomplete(masks, line, sorted({*range(len(counts))} - {*shown} | {*members})),
    )


def _incomplete(masks: FrameMasks, line: BoolArray, candidates: list[int]) -> list[int]:
    drawn = line.astype(np.uint8)
    need = _MIN_COVERAGE * cv2.countNonZero(drawn)
    return [i for i in candidates if cv2.countNonZero(drawn & _widen(masks[i])) < need]


def _widen(mask: UInt8Array) -> UInt8Array:
    return np.asarray(cv2.dilate(mask, _NEIGHBOURS), dtype=np.uint8)
