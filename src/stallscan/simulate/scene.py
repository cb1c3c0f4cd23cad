"""A scene: everything that is decided before a single voxel is rendered."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stallscan.simulate.blood import (
    Blood,
    partly_stalled,
    sample_creep,
    sample_flow,
    sample_stall,
)
from stallscan.simulate.microscope import Microscope, sample_microscope
from stallscan.simulate.outline import Outline, sample_outline
from stallscan.simulate.vessels import (
    Vessel,
    grow_centrelines,
    sample_directions,
    sample_lengths_um,
    sample_radii_um,
)
from stallscan.types import Label

LENGTH_DENSITY = 9e-4
"""Micrometres of capillary in a cubic micrometre of cortex (0.9 m in a mm³)."""
FLATNESS = 0.55
"""How much less vessels run along z than in the plane."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tube:
    """A vessel with its blood and the grey level of its plasma."""

    vessel: Vessel
    blood: Blood
    brightness: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    """One clip before rendering; ``tubes[0]`` is the target.

    Attributes:
        label: the target's true state.
        shape: ``(z, y, x)`` of the clip.
        tubes: the target, its branches, then the other vessels of the field.
        outline: the orange line.
        microscope: how it is imaged.
        specks: ``(n, 5)`` bright spots: z, y, x in voxels, radius in px, grey level.
    """

    label: Label
    shape: tuple[int, int, int]
    tubes: tuple[Tube, ...]
    outline: Outline
    microscope: Microscope
    specks: NDArray[np.float32]


def sample_scene(rng: np.random.Generator, label: Label) -> Scene:
    """Draw a scene whose target is in the given state.

    Nothing but the target's blood depends on the label: size, depth, place, brightness and session
    come from the same distributions for both classes.
    """
    # Frames: median 56, 5th and 95th percentile 34 and 94, as in the competition's table.
    n_frames = int(np.clip(np.round(56 * np.exp(0.31 * rng.standard_normal())), 16, 160))
    shape = (n_frames, 384, 418 if rng.random() < 0.01 else 512)
    microscope = sample_microscope(rng, n_frames)
    pitch = np.array(microscope.pitch_um)
    target, outline = _sample_target(rng, shape, pitch)
    seen_s = visible_s(target, microscope, n_frames)
    if label is Label.STALLED:
        partial = rng.random() < 0.12
        blood = (
            partly_stalled(rng, seen_s, float(rng.uniform(0.6, 0.95)))
            if partial
            else sample_stall(rng, target.length_um)
        )
    else:
        blood = sample_creep(rng) if rng.random() < 0.08 else sample_flow(rng)
    plasma = rng.uniform(140, 360)  # saturation is common
    tubes = [Tube(vessel=target, blood=blood, brightness=float(plasma * rng.uniform(0.7, 1.1)))]
    others = [*_branches(rng, target), *_field(rng, shape, pitch)]
    # A pool of trains serves all other vessels; each has its own speed, direction and phase.
    capillary_pool = [sample_flow(rng) for _ in range(6)]
    wide_pool = [_many_abreast(blood) for blood in capillary_pool[:2]]
    tubes += [
        Tube(
            vessel=vessel,
            blood=_own_flow(rng, wide_pool if vessel.radius_um > 4 else capillary_pool),
            brightness=float(plasma * rng.uniform(0.5, 1.2)),
        )
        for vessel in others
    ]
    n_specks = rng.poisson(shape[0] * shape[1] * shape[2] * 2e-5 * rng.random())
    specks = np.column_stack(
        [
            *(rng.uniform(0, extent, n_specks) for extent in shape),
            rng.uniform(0.8, 2.2, n_specks),
            rng.uniform(60, 255, n_specks),
        ]
    ).astype(np.float32)
    return Scene(
        label=label,
        shape=shape,
        tubes=tuple(tubes),
        outline=outline,
        microscope=microscope,
        specks=specks,
    )


def _sample_target(
    rng: np.random.Generator, shape: tuple[int, int, int], pitch_um: NDArray[np.float64]
) -> tuple[Vessel, Outline]:
    """The segment in question, inside the stack, and its outline, inside the frame."""
    extent_um = np.array(shape) * pitch_um
    while True:
        length = sample_lengths_um(rng, 1)
        # A third is tortuous: horseshoes and C-shapes occur.
        bend = rng.uniform(0.05, 0.11, 1) if rng.random() < 0.33 else rng.uniform(0.01, 0.05, 1)
        (vessel,) = grow_centrelines(
            rng,
            np.zeros((1, 3)),
            sample_directions(rng, 1, FLATNESS),
            length,
            sample_radii_um(rng, 1),
            bend,
            FLATNESS,
        )
        low, high = vessel.points_um.min(axis=0), vessel.points_um.max(axis=0)
        room = extent_um - (high - low)
        if (room <= 0).any():
            continue
        points = (vessel.points_um - low + rng.uniform(0, 1, 3) * room).astype(np.float32)
        line_px = (points / pitch_um).astype(np.float32)
        outline = sample_outline(rng, line_px[:, 1:], shape[1:])
        if outline is not None:
            placed = Vessel(points_um=points, arc_um=vessel.arc_um, radius_um=vessel.radius_um)
            return placed, outline


def _branches(rng: np.random.Generator, target: Vessel) -> list[Vessel]:
    """The segments that go on at both ends of the target: one or two at each."""
    starts, directions = [], []
    ends = (
        (target.points_um[0], target.points_um[5]),
        (target.points_um[-1], target.points_um[-6]),
    )
    for end, inner in ends:
        outward = (end - inner) / max(float(np.linalg.norm(end - inner)), 1e-6)
        for _ in range(int(rng.integers(1, 3))):
            turn = outward + 0.8 * rng.standard_normal(3) * (FLATNESS, 1, 1)
            starts.append(end + 1.5 * outward)
            directions.append(turn / np.linalg.norm(turn))
    n = len(starts)
    return grow_centrelines(
        rng,
        np.array(starts, np.float64),
        np.array(directions),
        sample_lengths_um(rng, n),
        sample_radii_um(rng, n),
        rng.uniform(0.01, 0.06, n),
        FLATNESS,
    )


def _field(
    rng: np.random.Generator, shape: tuple[int, int, int], pitch_um: NDArray[np.float64]
) -> list[Vessel]:
    """The other vessels: capillaries at the density of tissue, and a few wide ones."""
    extent = np.array(shape) * pitch_um
    density = LENGTH_DENSITY * rng.uniform(0.3, 1.3)
    n = max(1, int(rng.poisson(density * extent.prod() / 60)))
    capillaries = grow_centrelines(
        rng,
        rng.uniform(-0.05, 1.05, (n, 3)) * extent,
        sample_directions(rng, n, FLATNESS),
        sample_lengths_um(rng, n),
        sample_radii_um(rng, n),
        rng.uniform(0.01, 0.08, n),
        FLATNESS,
    )
    n = int(rng.poisson(3.0))
    if n == 0:
        return capillaries
    wide = grow_centrelines(
        rng,
        rng.uniform(0, 1, (n, 3)) * extent,
        sample_directions(rng, n, 1.0),
        rng.uniform(100, 500, n),
        np.exp(rng.uniform(np.log(5), np.log(16), n)),
        rng.uniform(0.003, 0.02, n),
        1.0,
    )
    return capillaries + wide


def _many_abreast(blood: Blood) -> Blood:
    """Blood of a wide vessel: of many cells abreast only a faint, fast streaking remains."""
    cells = (0.25 + 0.125 * (blood.cells + np.roll(blood.cells, 37))).astype(np.float32)
    return replace(blood, cells=cells, speed_um_s=3 * blood.speed_um_s)


def _own_flow(rng: np.random.Generator, pool: list[Blood]) -> Blood:
    """A vessel's own speed and phase on one of the shared trains."""
    base = pool[int(rng.integers(len(pool)))]
    return replace(
        base,
        speed_um_s=base.speed_um_s * float(rng.choice((-1, 1)) * rng.uniform(0.4, 1.8)),
        phase_um=float(rng.uniform(0, 4000)),
    )


def visible_s(vessel: Vessel, microscope: Microscope, n_frames: int) -> tuple[float, float]:
    """First and last moment at which some part of the vessel is in focus, s."""
    z_um = microscope.pitch_um[0]
    margin = vessel.radius_um + microscope.axial_um
    first = max((float(vessel.points_um[:, 0].min()) - margin) / z_um, 0.0)
    last = min((float(vessel.points_um[:, 0].max()) + margin) / z_um, float(n_frames))
    return first * microscope.frame_s, last * microscope.frame_s
