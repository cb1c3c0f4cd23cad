"""Are the frames sound? Evidence for dim, repeated and rescaled frames and for black edges."""

from __future__ import annotations

from enum import StrEnum

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from stallscan.roi._text import name_frames
from stallscan.types import BoolArray, FloatArray, UInt8Array

STEP = 4
"""Pixels between the samples of a frame on both axes; the narrowest black edge to be found."""

BLACK = 3
"""Grey level up to which what was 0 comes back from H.264."""

MAX_DIM = 0.65
"""A dim frame's mean, as a share of its neighbours' median. It is at least 0.75 in 60 sound
phantoms and 0.71 in two real clips; 29 of 30 pairs of frames dimmed to one half lie below it."""

_NEIGHBOURS = 5  # frames on either side; the longest dim run, longer is a change of gain

MIN_GAIN_STEP = 1.25
"""Factor between blocks of frames. The largest in 60 sound phantoms is 1.19; one of two real clips
has 1.18, the other a step to the eye, 2.8. Saturation turns a factor of 1.4 into 1.2–1.4."""

_STEADY = 4  # pixels that change by less than 1 / 4 of their grey level over all frames
_BLOCK = 5  # frames on either side that must lie at the new and the old level; 4 at the ends
_MIN_BLOCK = 4
_MIN_SAME = 0.5  # correlation across a step, as a share of the usual: a cut is no gain step

MAX_REPEAT = 0.3
"""Difference of a repeated frame from the one before, as a share of the usual difference. Sound
phantoms have at least 0.45 at crf 18 and 0.56 at crf 28, repeated frames at most 0.006 and 0.10."""

MAX_STILL = 0.005
"""Difference of consecutive frames, in standard deviations of their grey levels, below which they
repeat even if all frames do. Stills after H.264 have 0.0005, phantoms at crf 28 at least 0.029."""

_STRIP_LINES = 8  # samples: a strip is at most 32 px wide, what is wider is no edge but a mask
_BEYOND = 4  # samples behind them that must be ordinary again
_MIN_LINES = 3 * _STRIP_LINES  # of a frame, to tell its edge from its middle

MAX_EDGE_NOISE = 0.1
"""Share of samples above `BLACK` in a black edge, relative to the dark lines of the middle."""

_MIN_EXPECTED = 8  # samples above `BLACK` that an edge would have; with less it may be chance
_MIN_TOGETHER = 50  # the same in all frames; in 40 sound phantoms edges have 0.4 of it and more
_MIN_EDGE_FRAMES = 3
_MIN_EDGE_SHARE = 0.1  # of the frames


class FrameFlag(StrEnum):
    """What is suspect about the frames of a clip."""

    DIM = "dim"
    """Single frames or short runs are much darker than their neighbours, or black."""
    DUPLICATED = "duplicated"
    """Frames repeat the one before."""
    GAIN = "gain"
    """The grey levels jump by a factor and stay there."""
    BLACK_EDGE = "black_edge"
    """Registration left black strips at the edges of the frames."""


def check_frames(grey: UInt8Array) -> list[tuple[FrameFlag, str]]:
    """All that is suspect about the frames, each with its evidence in one sentence.

    A dim frame counts neither as repeated nor as a step of the gain.

    Args:
        grey: ``(z, y, x)`` luma of every `STEP`-th pixel of both axes.
    """
    lowest, highest = grey.min(axis=0), grey.max(axis=0)
    # The drawn line, as bright in a dim frame as in any, is left out.
    changing = (highest - lowest >= lowest // _STEADY).astype(np.uint8)
    stats = [cv2.meanStdDev(frame, mask=changing) for frame in grey]
    mean, spread = np.array(stats, np.float64).reshape(-1, 2).T
    active: BoolArray = grey > BLACK
    dim, around = _dim(mean, active)
    found = [
        _say_dim(dim, mean, around),
        _find_repeats(grey, spread, dim),
        _find_gain_steps(grey, mean, dim),
        _find_black_edges(active),
    ]
    return [finding for finding in found if finding]


def _dim(mean: FloatArray, active: BoolArray) -> tuple[BoolArray, FloatArray]:
    """Which frames are dim, and the level around each."""
    width = min(_NEIGHBOURS, len(mean) - 1)
    padded = np.pad(mean, width, mode="reflect")
    around = np.median(sliding_window_view(padded, 2 * width + 1), axis=1)
    # Half a grey level is what rounding can do.
    dim = mean + 0.5 < MAX_DIM * (around + 0.5)
    return dim | ~active.any(axis=(1, 2)), around


def _say_dim(dim: BoolArray, mean: FloatArray, around: FloatArray) -> tuple[FrameFlag, str] | None:
    if not dim.any():
        return None
    frames = np.flatnonzero(dim)
    darkest = frames[mean[frames].argmin()]
    return FrameFlag.DIM, (
        f"{name_frames(frames.tolist(), len(dim))} are dim: mean grey level {mean[darkest]:.1f}, "
        f"around them {around[darkest]:.1f}"
    )


def _find_repeats(
    grey: UInt8Array, spread: FloatArray, dim: BoolArray
) -> tuple[FrameFlag, str] | None:
    if len(grey) < 2:
        return None
    pairs = zip(grey[1:], grey[:-1], strict=True)
    change = np.array([cv2.norm(a, b, cv2.NORM_L1) for a, b in pairs]) / grey[0].size
    # Dim blocks of frames differ less; a flat frame has no spread to compare with.
    change /= np.maximum((spread[1:] + spread[:-1]) / 2, 1.0)
    usual = np.quantile(change, 0.9)  # even if every frame comes twice or three times
    repeats = change < max(MAX_REPEAT * usual, MAX_STILL)
    repeats &= ~(dim[1:] | dim[:-1])
    if not repeats.any():
        return None
    frames = (np.flatnonzero(repeats) + 1).tolist()
    return FrameFlag.DUPLICATED, (
        f"{name_frames(frames, len(grey))} repeat the frame before: difference at most "
        f"{change[repeats].max():.2f} standard deviations, usually {usual:.2f}"
    )


def _find_gain_steps(
    grey: UInt8Array, mean: FloatArray, dim: BoolArray
) -> tuple[FrameFlag, str] | None:
    frames = np.flatnonzero(~dim)
    level = np.log(mean[frames] + 0.5)
    steps = np.diff(level)
    candidates = [
        i for i in np.flatnonzero(np.abs(steps) > np.log(MIN_GAIN_STEP)) if _stays(level, int(i))
    ]
    if not candidates:
        return None
    alike = [_correlation(grey[a], grey[b]) for a, b in zip(frames[1:], frames[:-1], strict=True)]
    usual = np.median(alike)
    candidates = [i for i in candidates if alike[i] >= _MIN_SAME * usual]
    if not candidates:
        return None
    largest = max(candidates, key=lambda i: abs(steps[i]))
    return FrameFlag.GAIN, (
        f"the grey levels jump by a factor of {np.exp(steps[largest]):.2f} at "
        f"{name_frames(frames[np.add(candidates, 1)].tolist(), len(grey))}"
    )


def _stays(level: FloatArray, i: int) -> bool:
    """Whether the level after a step at ``i`` → ``i + 1`` lasts, and the one before had lasted."""
    before, after = level[max(i + 1 - _BLOCK, 0) : i + 1], level[i + 1 : i + 1 + _BLOCK]
    if min(len(before), len(after)) < _MIN_BLOCK:
        return False
    if level[i + 1] < level[i]:
        before, after = after, before
    # No single frame undoes it.
    lasts = after.min() > before.max()
    return bool(lasts and np.median(after) - np.median(before) > np.log(MIN_GAIN_STEP))


def _correlation(a: UInt8Array, b: UInt8Array) -> float:
    return float(cv2.matchTemplate(a, b, cv2.TM_CCOEFF_NORMED)[0, 0])


def _find_black_edges(active: BoolArray) -> tuple[FrameFlag, str] | None:
    n_frames = len(active)
    by_column = active.mean(axis=1, dtype=np.float32)  # (z, x)
    by_row = active.mean(axis=2, dtype=np.float32)  # (z, y)
    height, width = active.shape[1:]
    sides = {
        "left": (by_column, height),
        "right": (by_column[:, ::-1], height),
        "top": (by_row, width),
        "bottom": (by_row[:, ::-1], width),
    }
    found = []
    for side, (lines, length) in sides.items():
        frames = _black_frames(lines, length)
        if len(frames) >= max(min(_MIN_EDGE_FRAMES, n_frames), _MIN_EDGE_SHARE * n_frames):
            found.append(f"{side} edge in {name_frames(frames, n_frames)}")
        # Frames that are nearly black everywhere show it only together.
        elif _black_frames(lines.mean(axis=0, keepdims=True), length * n_frames, _MIN_TOGETHER):
            found.append(f"{side} edge in all {n_frames} frames together")
    if not found:
        return None
    return FrameFlag.BLACK_EDGE, f"black strip at the {', '.join(found)}"


def _black_frames(lines: FloatArray, length: int, min_expected: int = _MIN_EXPECTED) -> list[int]:
    """Frames whose first line is black though the background is not.

    Args:
        lines: ``(z, n)`` share of samples above `BLACK` in each line, from the edge inwards.
        length: samples in a line.
        min_expected: samples above `BLACK` that its first line would have.
    """
    if lines.shape[1] < _MIN_LINES:
        return []
    inner = np.sort(lines[:, _STRIP_LINES:-_STRIP_LINES], axis=1)
    usual = inner[:, inner.shape[1] // 10]  # lines that have little of bright vessels
    beyond = lines[:, _STRIP_LINES : _STRIP_LINES + _BEYOND].mean(axis=1)
    black = (
        (lines[:, 0] <= MAX_EDGE_NOISE * usual)
        & (beyond >= usual / 2)
        & (usual * length >= min_expected)
    )
    return np.flatnonzero(black).tolist()
