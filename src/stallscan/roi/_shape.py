"""A drawn line → the polygon it encloses."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from stallscan.types import BoolArray, Box, IntArray, UInt8Array

_BRIDGES = (1, 3, 5, 7)  # sizes of closing, tried in turn: gaps of 0, 2, 4, 6 pixels
_MARGIN = max(_BRIDGES) // 2 + 2  # around a line, so that closing it never meets the frame's edge
_MIN_PART = 0.25  # parts of a broken line, as a share of its largest part
_MIN_INSIDE = 0.1  # enclosed pixels for each pixel of line; less is a blot, not an outline

_MIN_SECOND = 40  # pixels of a second line, as many as the first needs


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shape:
    """What a line encloses.

    Attributes:
        line: ``(y, x)`` bool, the line without specks elsewhere.
        mask: ``(y, x)`` bool, the polygon filled, line included.
        polygon: ``(n, 2)`` int vertices ``(y, x)``; the last is joined to the first.
        n_connected: pixels of the line in its largest connected part; few mean mere specks.
        closed: whether the line encloses an area; if not, the polygon is its convex hull.
        second: box (z one frame) of the largest other part that encloses an area outside of the
            polygon, None without one.
    """

    line: BoolArray
    mask: BoolArray
    polygon: IntArray
    n_connected: int
    closed: bool
    second: Box | None


def enclose(line: BoolArray) -> Shape | None:
    """The shape of a line ``(y, x)`` bool, None without a pixel; frame edges close it too."""
    ys, xs = np.flatnonzero(line.any(axis=1)), np.flatnonzero(line.any(axis=0))
    if not ys.size:
        return None
    y0, x0, y1, x1 = ys[0] - _MARGIN, xs[0] - _MARGIN, ys[-1] + _MARGIN + 1, xs[-1] + _MARGIN + 1
    if min(y0, x0) < 0 or y1 > line.shape[0] or x1 > line.shape[1]:
        return _enclose(line)
    # Far from the frame's edges a part of the frame gives the same, and is small.
    part = _enclose(line[y0:y1, x0:x1])

    def whole(plane: BoolArray) -> BoolArray:
        padded = np.zeros_like(line)
        padded[y0:y1, x0:x1] = plane
        return padded

    second = part.second
    if second is not None:
        y, x = int(y0), int(x0)
        second = Box(0, second.y0 + y, second.x0 + x, 1, second.y1 + y, second.x1 + x)
    return Shape(
        line=whole(part.line),
        mask=whole(part.mask),
        polygon=part.polygon + np.array([y0, x0]),
        n_connected=part.n_connected,
        closed=part.closed,
        second=second,
    )


def _enclose(line: BoolArray) -> Shape:
    # The least closing that will do, because closing fills what is narrow.
    for size in _BRIDGES:
        bridged = cv2.morphologyEx(
            line.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((size, size), np.uint8)
        )
        _, labels, stats, _ = cv2.connectedComponentsWithStats(bridged, connectivity=8)
        sizes = stats[:, cv2.CC_STAT_AREA].copy()
        sizes[0] = 0  # the background
        largest: UInt8Array = (labels == sizes.argmax()).astype(np.uint8)
        inside = _inside(largest)
        closed = inside.sum() >= _MIN_INSIDE * largest.sum()
        if closed:
            break
    if closed:
        contours, _ = cv2.findContours(
            (inside | largest.astype(bool)).astype(np.uint8),
            cv2.RETR_EXTERNAL,
            cv2.CHAIN_APPROX_SIMPLE,
        )
        points = max(contours, key=cv2.contourArea)
    else:
        parts = np.isin(labels, np.flatnonzero(sizes >= _MIN_PART * sizes.max()))
        points = cv2.convexHull(cv2.findNonZero(parts.astype(np.uint8)))
    filled = np.zeros(line.shape, np.uint8)
    cv2.fillPoly(filled, [points], 1)
    mask = filled.astype(bool)
    polygon = points[:, 0, ::-1].astype(np.int64)  # (n, 1, xy) → (n, yx)
    return Shape(
        line=line & mask,
        mask=mask,
        polygon=polygon,
        n_connected=int(line[largest.astype(bool)].sum()),
        closed=bool(closed),
        second=_second(np.asarray(labels), np.asarray(stats), mask) if closed else None,
    )


def _second(labels: IntArray, stats: IntArray, mask: BoolArray) -> Box | None:
    """Another part of the line that is an outline of its own; what lies in the first is none."""
    sizes = stats[:, cv2.CC_STAT_AREA].copy()
    sizes[0] = 0
    sizes[np.unique(labels[mask])] = 0
    for part in np.argsort(sizes)[::-1]:
        if sizes[part] < _MIN_SECOND:
            return None
        barrier: UInt8Array = (labels == part).astype(np.uint8)
        if _inside(barrier).sum() >= _MIN_INSIDE * barrier.sum():
            x, y, width, height = (int(value) for value in stats[part, :4])
            return Box(0, y, x, 1, y + height, x + width)
    return None


def _inside(barrier: UInt8Array) -> BoolArray:
    """Background that the barrier, or the barrier and the frame's edges, cut off."""
    n, labels = cv2.connectedComponents(1 - barrier, connectivity=4)
    labels[barrier.astype(bool)] = 0
    edge = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    on_edge = np.bincount(edge, minlength=n)
    on_edge[0] = 0  # the barrier itself
    enclosed = np.flatnonzero(on_edge == 0)
    inside: BoolArray = np.isin(labels, enclosed[enclosed > 0])
    if inside.sum() < _MIN_INSIDE * barrier.sum():
        # A line that runs off the frame: the outside has the longest stretch of the frame's edge.
        inside |= (labels > 0) & (labels != on_edge.argmax())
    return inside
