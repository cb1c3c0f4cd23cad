"""The vascular network: segments between branch points, one connected whole."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.spatial import Delaunay

from stallscan.simulate.settings import Settings
from stallscan.simulate.vessels import WIDE_UM, Vessel, along

Float64 = NDArray[np.float64]

MARGIN_UM = np.array([45.0, 40.0, 40.0])
"""The network goes on beyond the stack."""
CHORD_UM = 42.0
"""Preferred distance of connected branch points; bends make segments of 50–60 µm of it."""
STEEPNESS = 2.0
"""What a steep segment costs: more vessels lie in the plane than stand upright."""
SPREAD = 0.45
"""Of the logarithm of lengths."""
_MODES = 4
_CORNERS = 49


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Network:
    """A graph of segments.

    Attributes:
        nodes_um: ``(n, 3)`` branch points and ends ``(z, y, x)``.
        edges: ``(m, 2)`` the nodes of each segment.
        radii_um: ``(m,)``.
        swing_um: ``(m, 4, 2)`` amplitudes of a segment's bends: sine modes, two directions.
        trim_um: ``(m, 2)`` what of its ends lies in a wide vessel.
        trunks: the wide vessels, each whole; the first ``n_trunk_edges`` edges are their pieces.
        n_trunk_edges: number of those.
    """

    nodes_um: Float64
    edges: NDArray[np.intp]
    radii_um: Float64
    swing_um: Float64
    trim_um: Float64
    trunks: tuple[Vessel, ...]
    n_trunk_edges: int

    def vessel(self, *path: int) -> Vessel:
        """A segment, or several that follow each other, as one tube."""
        lines = list(self.lines_um(np.array(path)))
        first, last = self.trim_um[path[0]], self.trim_um[path[-1]]
        if len(path) > 1:
            flips = self._flips(path)
            lines = [line[::-1] if flip else line for line, flip in zip(lines, flips, strict=True)]
            first, last = first[::-1] if flips[0] else first, last[::-1] if flips[-1] else last
        radius = float(self.radii_um[list(path)].mean())
        joined = np.concatenate([lines[0], *(line[1:] for line in lines[1:])])
        return along(joined, radius, (float(first[0]), float(last[1])))

    def _flips(self, path: tuple[int, ...]) -> list[bool]:
        """Which segments of a path run from its end to its beginning."""
        flips = []
        for index, following in itertools.pairwise(path):
            flips.append(bool(self.edges[index, 0] in self.edges[following]))
        flips.append(bool(self.edges[path[-1], 1] in self.edges[path[-2]]))
        return flips

    def path(self, index: int, length: int, rng: np.random.Generator) -> tuple[int, ...]:
        """Up to ``length`` capillaries that follow each other, from a segment on."""
        path = [index]
        node = int(self.edges[index, 1])
        visited = {int(self.edges[index, 0]), node}
        while len(path) < length:
            meets = [int(i) for i in np.flatnonzero((self.edges == node).any(axis=1))]
            nexts = [
                i for i in meets if i >= self.n_trunk_edges and self._far(i, node) not in visited
            ]
            if not nexts:
                break
            path.append(nexts[int(rng.integers(len(nexts)))])
            node = self._far(path[-1], node)
            visited.add(node)
        return tuple(path)

    def _far(self, index: int, node: int) -> int:
        """The other end of a segment."""
        begin, end = self.edges[index]
        return int(end if begin == node else begin)

    def vessels_in(self, low_um: Float64, high_um: Float64, reach_um: Float64) -> dict[int, Vessel]:
        """Capillaries whose tubes, wider by ``(3,)`` ``reach_um``, reach into a box, by index."""
        ends = self.nodes_um[self.edges]
        reach = reach_um + self.radii_um[:, None]
        loose = reach + np.linalg.norm(self.swing_um, axis=2).sum(axis=1)[:, None]
        near = (ends.min(axis=1) - loose < high_um) & (ends.max(axis=1) + loose > low_um)
        near[: self.n_trunk_edges] = False
        indices = np.flatnonzero(near.all(axis=1))
        lines = self.lines_um(indices)
        reach = reach[indices, None]
        inside = np.all((lines - reach < high_um) & (lines + reach > low_um), axis=2)
        meets = np.any(inside, axis=1)
        return {
            int(index): self._tube(int(index), line)
            for index, line in zip(indices[meets], lines[meets], strict=True)
        }

    def _tube(self, index: int, line_um: Float64) -> Vessel:
        trim = self.trim_um[index]
        return along(line_um, float(self.radii_um[index]), (float(trim[0]), float(trim[1])))

    def lines_um(self, indices: NDArray[np.intp]) -> Float64:
        """``(k, 49, 3)`` centrelines: the chord and its bends, which vanish at both ends."""
        begin, end = (self.nodes_um[self.edges[indices, side]] for side in (0, 1))
        chord = end - begin
        forward = chord / np.linalg.norm(chord, axis=1, keepdims=True)
        # Any vector that is not parallel to the chord serves for a frame across it.
        aside = np.eye(3)[np.abs(forward).argmin(axis=1)]
        first = _cross(forward, aside)
        first /= np.linalg.norm(first, axis=1, keepdims=True)
        second = _cross(forward, first)
        u = np.linspace(0, 1, _CORNERS)
        waves = np.sin(np.pi * np.arange(1, _MODES + 1)[:, None] * u)  # (modes, corners)
        bends = np.einsum("kma,mc->kac", self.swing_um[indices], waves)
        line: Float64 = (
            begin[:, None]
            + u[:, None] * chord[:, None]
            + bends[:, 0, :, None] * first[:, None]
            + bends[:, 1, :, None] * second[:, None]
        )
        return line


def sample_network(rng: np.random.Generator, extent_um: Float64, settings: Settings) -> Network:
    """Draw the network of a stack.

    Branch points lie at random; neighbours (edges of the Delaunay triangulation) are joined so that
    lengths are log-normal, at most three segments meet, and everything hangs together. Penetrating
    vessels run through the depth and are part of the graph.

    Args:
        rng: the randomness.
        extent_um: ``(3,)`` size of the stack; the network exceeds it by `MARGIN_UM`.
        settings: ranges.
    """
    low, high = -MARGIN_UM, extent_um + MARGIN_UM
    trunks = _trunks(rng, low, high, settings)
    trunk_nodes, trunk_edges, trunk_radii = _as_graph(trunks)
    # Three segments a branch point, each shared by two: 1.5 segments of about 60 µm a node.
    density = settings.length_density.sample(rng) / 84.0
    n = max(8, int(rng.poisson(density * np.prod(high - low))))
    capillary_nodes = rng.uniform(low, high, (n, 3))
    nodes = np.concatenate([trunk_nodes, capillary_nodes])
    pairs = _neighbours(nodes)
    pairs = pairs[(pairs >= len(trunk_nodes)).any(axis=1)]  # a trunk's own edges are there already
    chords = nodes[pairs[:, 1]] - nodes[pairs[:, 0]]
    lengths = np.linalg.norm(chords, axis=1)
    steep = np.abs(chords[:, 0]) / lengths
    in_trunk = _inside(nodes[pairs[:, 0]] + 0.5 * chords, trunk_nodes, trunk_edges, trunk_radii)
    cost = (np.log(lengths / CHORD_UM) / SPREAD) ** 2 / 2 + rng.exponential(1.0, len(pairs))
    cost += STEEPNESS * steep**2
    cost[in_trunk] += 50.0
    order = np.argsort(cost)
    chosen = _join(pairs[order], len(nodes), trunk_edges, int(1.5 * n), int((~in_trunk).sum()))
    edges = pairs[order][chosen]
    lengths = lengths[order][chosen]
    m = len(edges)
    diameter = np.clip(
        5.0 + 0.9 * rng.standard_normal(m), settings.diameter_um.low, settings.diameter_um.high
    )
    bend = np.exp(rng.uniform(np.log(settings.bend.low), np.log(settings.bend.high), m))
    horseshoe = rng.random(m) < settings.horseshoe_share.sample(rng)
    bend = np.where(horseshoe, rng.uniform(0.5, 1.0, m), bend)
    swing = rng.standard_normal((m, _MODES, 2))
    swing[:, 0] /= np.linalg.norm(swing[:, 0], axis=1, keepdims=True)
    swing *= (bend * np.minimum(lengths, 70.0))[:, None, None]
    swing[:, 1:] *= 0.45 / np.arange(2, _MODES + 1)[:, None] ** 1.3
    # A capillary ends at the wall of a wide vessel, not on its axis.
    wall = np.zeros(len(nodes))
    for edge, radius in zip(trunk_edges, trunk_radii, strict=True):
        wall[edge] = np.maximum(wall[edge], 0.8 * radius)
    trim = np.minimum(wall[edges], 0.45 * lengths[:, None])
    n_trunk = len(trunk_edges)
    return Network(
        nodes_um=nodes,
        edges=np.concatenate([trunk_edges, edges]),
        radii_um=np.concatenate([trunk_radii, diameter / 2]),
        swing_um=np.concatenate([np.zeros((n_trunk, _MODES, 2)), swing]),
        trim_um=np.concatenate([np.zeros((n_trunk, 2)), trim]),
        trunks=tuple(along(line, radius, (0.0, 0.0)) for line, radius in map(_smooth, trunks)),
        n_trunk_edges=n_trunk,
    )


def _cross(a: Float64, b: Float64) -> Float64:
    """``(k, 3)`` cross products; np.cross takes several times as long for few."""
    return a[:, [1, 2, 0]] * b[:, [2, 0, 1]] - a[:, [2, 0, 1]] * b[:, [1, 2, 0]]


_Trunk = tuple[Float64, float]  # nodes and radius


def _trunks(
    rng: np.random.Generator, low: Float64, high: Float64, settings: Settings
) -> list[_Trunk]:
    """Penetrating vessels, now and then a pial one."""
    trunks: list[_Trunk] = []
    for _ in range(round(settings.penetrating.sample(rng))):
        top = rng.uniform(low, high)
        slant = rng.normal(0, 0.35, 2)
        depth = np.linspace(low[0], high[0], max(2, round((high[0] - low[0]) / 45) + 1))
        line = np.column_stack([depth, top[1:] + np.outer(depth, slant)])
        line[:, 1:] += rng.normal(0, 3.0, (len(line), 2))
        trunks.append((line, settings.penetrating_um.sample(rng) / 2))
    if rng.random() < settings.pial_share.sample(rng):
        angle = rng.uniform(0, np.pi)
        centre = rng.uniform(low, high)[1:]
        # Long enough to leave the field on both sides, with a corner every 60 µm or so.
        length = 2.2 * float(np.linalg.norm(high[1:] - low[1:]))
        places = np.linspace(-0.5, 0.5, round(length / 60) + 1) * length
        line = np.column_stack(
            [
                rng.uniform(-10, 30) + rng.normal(0, 2.0, len(places)),
                centre[0] + places * np.sin(angle),
                centre[1] + places * np.cos(angle),
            ]
        )
        line[:, 1:] += rng.normal(0, 6.0, (len(places), 2))
        trunks.append((line, float(rng.uniform(12, 30))))
    return trunks


def _smooth(trunk: _Trunk) -> _Trunk:
    """A curve through the nodes."""
    line, radius = trunk
    if len(line) < 3:
        return trunk
    curve = CubicSpline(np.arange(len(line)), line)
    return curve(np.linspace(0, len(line) - 1, 6 * len(line))), radius


def _as_graph(trunks: list[_Trunk]) -> tuple[Float64, NDArray[np.intp], Float64]:
    """Nodes, edges and radii of the pieces of wide vessels."""
    if not trunks:
        return np.zeros((0, 3)), np.zeros((0, 2), np.intp), np.zeros(0)
    edges, radii = [], []
    first = 0
    for line, radius in trunks:
        index = np.arange(first, first + len(line))
        edges.append(np.column_stack([index[:-1], index[1:]]))
        radii.append(np.full(len(line) - 1, radius))
        first += len(line)
    nodes = np.concatenate([line for line, _ in trunks])
    return nodes, np.concatenate(edges), np.concatenate(radii)


def _neighbours(nodes: Float64) -> NDArray[np.intp]:
    """``(k, 2)`` pairs of nodes that the Delaunay triangulation joins, each once."""
    corners = Delaunay(nodes).simplices
    pairs = np.concatenate([corners[:, [i, j]] for i in range(4) for j in range(i + 1, 4)])
    pairs.sort(axis=1)
    code = np.unique(pairs[:, 0].astype(np.int64) * len(nodes) + pairs[:, 1])
    return np.column_stack([code // len(nodes), code % len(nodes)]).astype(np.intp)


def _inside(
    points: Float64, nodes: Float64, edges: NDArray[np.intp], radii: Float64
) -> NDArray[np.bool_]:
    """Which points lie in a wide vessel."""
    inside = np.zeros(len(points), bool)
    for (a, b), radius in zip(edges, radii, strict=True):
        axis = nodes[b] - nodes[a]
        share = np.clip((points - nodes[a]) @ axis / (axis @ axis), 0, 1)
        inside |= np.linalg.norm(points - nodes[a] - share[:, None] * axis, axis=1) < radius
    return inside


@njit(cache=True)
def _join(pairs, n_nodes, trunk_edges, n_wanted, n_free):  # type: ignore[no-untyped-def]
    """Choose edges, cheapest first: a spanning tree, then more up to three at a node.

    Args:
        pairs: ``(k, 2)`` candidates, cheapest first; the first ``n_free`` avoid wide vessels.
        n_nodes: number of nodes.
        trunk_edges: ``(t, 2)`` edges that are there already.
        n_wanted: edges in all.
        n_free: see ``pairs``.

    Returns:
        ``(k,)`` bool.
    """
    parent = np.arange(n_nodes)
    degree = np.zeros(n_nodes, np.int64)
    chosen = np.zeros(len(pairs), np.bool_)
    n_chosen = 0
    for t in range(len(trunk_edges)):
        a, b = trunk_edges[t, 0], trunk_edges[t, 1]
        while parent[a] != a:
            a = parent[a]
        while parent[b] != b:
            b = parent[b]
        parent[a] = b
        degree[trunk_edges[t, 0]] += 1
        degree[trunk_edges[t, 1]] += 1
    # Tree within the limit of three, then filling up, then whatever still joins two parts.
    for sweep in range(3):
        for k in range(len(pairs)):
            i, j = pairs[k, 0], pairs[k, 1]
            if chosen[k] or (sweep < 2 and (degree[i] >= 3 or degree[j] >= 3)):
                continue
            if sweep == 1 and (n_chosen >= n_wanted or k >= n_free):
                break
            a, b = i, j
            while parent[a] != a:
                parent[a] = parent[parent[a]]
                a = parent[a]
            while parent[b] != b:
                parent[b] = parent[parent[b]]
                b = parent[b]
            if sweep != 1 and a == b:
                continue
            parent[a] = b
            chosen[k] = True
            degree[i] += 1
            degree[j] += 1
            n_chosen += 1
    return chosen


def capillaries(network: Network) -> NDArray[np.intp]:
    """Indices of the segments in which cells go one by one."""
    narrow = network.radii_um <= WIDE_UM
    narrow[: network.n_trunk_edges] = False
    return np.flatnonzero(narrow)
