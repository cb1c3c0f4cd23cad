"""Frames and places in words, for evidence."""

from __future__ import annotations

from collections.abc import Sequence

from stallscan.types import Box

_MAX_RUNS = 4


def name_frames(frames: Sequence[int], n_frames: int) -> str:
    """``"5 of 60 frames (3, 7–10, counted from 0)"``; long lists are cut short.

    Args:
        frames: sorted indices, at least one.
        n_frames: how many there are.
    """
    runs: list[list[int]] = []
    for i in frames:
        if runs and i == runs[-1][-1] + 1:
            runs[-1][1:] = [i]
        else:
            runs.append([i])
    words = ["–".join(map(str, run)) for run in runs[:_MAX_RUNS]]
    more = ", …" if len(runs) > _MAX_RUNS else ""
    return f"{len(frames)} of {n_frames} frames ({', '.join(words)}{more}; counted from 0)"


def name_place(box: Box) -> str:
    """``"x 120–165, y 100–134"``, the last pixel included."""
    return f"x {box.x0}–{box.x1 - 1}, y {box.y0}–{box.y1 - 1}"
