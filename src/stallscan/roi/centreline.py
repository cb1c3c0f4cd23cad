"""The middle of an outline: the line along which the outlined vessel runs."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from stallscan.errors import OptionError
from stallscan.types import BoolArray

_SMOOTH_PX = 3.0
_BEND_PX = 2.0  # over which the direction of a line is taken
_STEPS = ((0, 1), (1, 0), (1, 1), (1, -1))


def centreline(mask: BoolArray, ease: NDArray[Any] | None = None) -> NDArray[np.float64]:
    """The way through the middle of a filled outline, from tip to tip.

    An outline is the vessel's centreline, projected and buffered (FACTS §2), so that its middle is
    where the vessel is to be looked for. Of all ways between the two points of the area that are
    farthest apart within it, this is the one that keeps away from the edge: a pixel costs the
    inverse square of its distance to it. Which tip comes first means nothing.

    Args:
        mask: ``(y, x)``; of several areas the largest counts.
        ease: ``(y, x)`` above 0, what takes the place of the distance to the edge: a way through
            the outline that keeps to where it is large.

    Returns:
        ``(n, 2)`` float64: y and x, px, every pixel along the way; n is at least 2.

    Raises:
        OptionError: nothing is inside the outline.
    """
    area = np.pad(_largest(mask), 1)
    inner = cv2.distanceTransform(area, cv2.DIST_L2, 5)
    ys, xs = np.nonzero(area)
    lengths, costs = _graphs(area, inner[ys, xs] if ease is None else np.pad(ease, 1)[ys, xs])
    tip = _farthest(lengths, int(np.argmax(inner[ys, xs])))
    other = _farthest(lengths, tip)
    _, before = dijkstra(costs, directed=False, indices=tip, return_predecessors=True)
    way = [other]
    while way[-1] != tip:
        way.append(int(before[way[-1]]))
    corners = np.stack([ys[way], xs[way]], axis=1) - 1.0
    return _every_pixel(corners)


def directions(line: NDArray[np.float64], places: NDArray[np.float64]) -> NDArray[np.float64]:
    """``(n, 2)`` unit steps y and x of a line, smoothed, at places along it (px from its start)."""
    steps = gaussian_filter1d(np.gradient(line, axis=0), _BEND_PX, axis=0, mode="nearest")
    found = np.stack([np.interp(places, np.arange(len(line)), axis) for axis in steps.T], axis=1)
    found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)
    return found


def beside(
    points: NDArray[np.float64], steps: NDArray[np.float64], across: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """``(n, across)`` float32 y and x, ``across`` px to the side of points of a line."""
    y = points[:, :1] + across * steps[:, 1:]
    x = points[:, 1:] - across * steps[:, :1]
    return y.astype(np.float32), x.astype(np.float32)


def _largest(mask: BoolArray) -> NDArray[np.uint8]:
    n, areas, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    if n < 2:
        raise OptionError(f"the outline's mask {mask.shape} is empty; give a filled outline")
    largest = 1 + int(np.argmax(statistics[1:, cv2.CC_STAT_AREA]))
    area: NDArray[np.uint8] = (areas == largest).astype(np.uint8)
    return area


def _graphs(area: NDArray[np.uint8], ease: NDArray[Any]) -> tuple[csr_array, csr_array]:
    """Neighbouring pixels of the area, by their distance and by what a step costs."""
    ys, xs = np.nonzero(area)
    n = len(ys)
    number = np.full(area.shape, -1)
    number[ys, xs] = np.arange(n)
    begins, ends, lengths = [], [], []
    for dy, dx in _STEPS:
        neighbour = number[ys + dy, xs + dx]
        begin = np.flatnonzero(neighbour >= 0)
        begins.append(begin)
        ends.append(neighbour[begin])
        lengths.append(np.full(len(begin), np.hypot(dy, dx)))
    edges = (np.concatenate(begins), np.concatenate(ends))
    length = np.concatenate(lengths)
    cost = length / (0.5 * (ease[edges[0]] + ease[edges[1]])) ** 2
    return csr_array((length, edges), (n, n)), csr_array((cost, edges), (n, n))


def _farthest(lengths: csr_array, begin: int) -> int:
    distances = dijkstra(lengths, directed=False, indices=begin)
    return int(np.argmax(np.where(np.isfinite(distances), distances, -1.0)))


def _every_pixel(corners: NDArray[Any]) -> NDArray[np.float64]:
    """A smooth line through the corners, with a point at each pixel of its length."""
    if len(corners) == 1:  # an area of one pixel
        corners = corners + np.array([[0.0, -0.5], [0.0, 0.5]])
    # Odd reflection keeps the ends in their places.
    reach = min(len(corners) - 1, int(4 * _SMOOTH_PX))
    around = np.pad(corners, ((reach, reach), (0, 0)), mode="reflect", reflect_type="odd")
    smooth = gaussian_filter1d(around, _SMOOTH_PX, axis=0)[reach : reach + len(corners)]
    smooth[[0, -1]] = corners[[0, -1]]
    arc = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(smooth, axis=0).T))])
    places = np.linspace(0, arc[-1], max(round(arc[-1]), 1) + 1)
    return np.stack([np.interp(places, arc, axis) for axis in smooth.T], axis=1)
