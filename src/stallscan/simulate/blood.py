"""What fills a vessel: bright plasma with a train of dark cells that moves or stands still."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from stallscan.simulate.settings import Settings
from stallscan.types import BoolArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

TABLE_STEP_UM = 0.25
"""Spacing of the samples in a cell table, µm."""
TABLE_LENGTH = 8192
"""Samples in the table of a flowing train: 2 mm of blood, then it repeats."""
CELL_UM = 6.5
"""Length of a red cell in a capillary."""


class Kind(StrEnum):
    """What the blood of a segment does."""

    FLOW = "flow"
    FAST = "fast"
    CREEP = "creep"
    REVERSAL = "reversal"
    PLASMA = "plasma"
    DRIFT = "drift"
    LEUKOCYTE = "leukocyte"
    RBC = "rbc"
    CLUMP = "clump"


STALL_KINDS = (Kind.LEUKOCYTE, Kind.RBC, Kind.CLUMP)
STALL_SHARES = (0.6, 0.25, 0.15)
"""Leukocyte plugs are the most frequent stalls in Alzheimer's mice."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Cells:
    """Cells along a vessel.

    Attributes:
        darkness: ``(m,)`` in [0, 1] along the vessel, every `TABLE_STEP_UM`; it repeats.
        places_um: ``(k, 2)`` centre and length of each cell, µm along the table.
    """

    darkness: Float32
    places_um: Float64

    @property
    def period_um(self) -> float:
        """Length of the table."""
        return len(self.darkness) * TABLE_STEP_UM

    @functools.cached_property
    def total(self) -> Float64:
        """``(m + 1,)`` running sum of the darkness, from 0."""
        return np.concatenate([[0.0], np.cumsum(self.darkness, dtype=np.float64)])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Blood:
    """A train of cells and its motion.

    Attributes:
        kind: what the blood does; a plug's kind also where it stands for part of the time only.
        cells: the train.
        speed_um_s: signed mean speed while it moves; 0 for a stall.
        pulses: ``(k, 3)`` relative amplitude, frequency in Hz and phase of the modulations.
        stall_s: ``(onset, release)`` between which the train stands; NaN = never.
        reversal_s: when the direction turns; NaN = never.
        phase_um: where in the train the vessel begins.
    """

    kind: Kind
    cells: Cells
    speed_um_s: float
    pulses: Float64
    stall_s: tuple[float, float] = (np.nan, np.nan)
    reversal_s: float = np.nan
    phase_um: float = 0.0

    def displacement_um(self, time_s: Float64) -> Float64:
        """Where the train is at each time, µm: its phase and the integral of its speed."""
        onset, release = self.stall_s
        if np.isfinite(onset):
            # Time stands still for the blood between onset and release.
            time_s = np.minimum(time_s, onset) + np.maximum(time_s - release, 0.0)
        if np.isfinite(self.reversal_s):
            # And runs backwards after the turn.
            time_s = self.reversal_s - np.abs(time_s - self.reversal_s)
        distance = np.array(time_s, np.float64)
        for amplitude, frequency_hz, phase in self.pulses:
            omega = 2 * np.pi * frequency_hz
            distance += amplitude / omega * (np.cos(phase) - np.cos(omega * time_s + phase))
        return self.phase_um + self.speed_um_s * distance


def sample_flow(
    rng: np.random.Generator, settings: Settings, kind: Kind = Kind.FLOW, slice_s: float = 1.0
) -> Blood:
    """Blood that moves, in either direction, with pulses at 0.1 Hz and at the heart's 6–10 Hz.

    Speeds are log-normal around 1 mm/s (FACTS: 0.15–8.6). `Kind.FAST` runs at 4 mm/s and more,
    `Kind.CREEP` at a few µm/s (and, with its pulses, 1 µm a slice), `Kind.PLASMA` has long
    stretches without cells, `Kind.DRIFT` moves by less than 1 µm in a slice of ``slice_s``.
    (`Kind.REVERSAL` gets its turn from `turning`.)
    """
    allowed = settings.speed_um_s
    if kind is Kind.FAST:
        speed = rng.uniform(max(min(4000.0, allowed.high), allowed.low), allowed.high)
    elif kind is Kind.CREEP:
        speed = max(settings.creep_um_s.sample(rng), 1.6 / slice_s)
    elif kind is Kind.DRIFT:
        speed = rng.uniform(0.15, 0.8) / slice_s
    else:
        speed = np.clip(1000 * np.exp(0.75 * rng.standard_normal()), allowed.low, allowed.high)
    length_um = TABLE_LENGTH * TABLE_STEP_UM
    cells = train(rng, length_um, _per_mm(rng, settings), settings, kind is Kind.PLASMA)
    return Blood(
        kind=kind,
        cells=cells,
        speed_um_s=float(speed * rng.choice((-1, 1))),
        pulses=_pulses(rng) if kind is not Kind.DRIFT else np.zeros((0, 3)),
        phase_um=float(rng.uniform(0, TABLE_LENGTH * TABLE_STEP_UM)),
    )


def turning(blood: Blood, turn_s: float) -> Blood:
    """The same blood, its direction reversed at a moment."""
    return replace(blood, kind=Kind.REVERSAL, reversal_s=turn_s)


def sample_stall(rng: np.random.Generator, length_um: float, settings: Settings) -> Blood:
    """Blood that stands in a segment of the given length.

    A leukocyte plug fills the lumen, red cells queue upstream and plasma, nearly alone, stands
    downstream; a red-cell stall is an irregular queue; a platelet clump is a ragged dark patch.
    """
    kind = STALL_KINDS[int(rng.choice(len(STALL_KINDS), p=STALL_SHARES))]
    upstream_first = bool(rng.random() < 0.5)
    return Blood(
        kind=kind,
        cells=_jam(rng, kind, length_um, upstream_first, settings),
        speed_um_s=0.0,
        pulses=np.zeros((0, 3)),
    )


def sample_partial(
    rng: np.random.Generator,
    length_um: float,
    stall_s: tuple[float, float],
    settings: Settings,
) -> Blood:
    """Flowing blood that jams at ``onset`` and is free again at ``release``.

    The jam rides in the train so that it lies in the segment while the blood stands.
    """
    kind = STALL_KINDS[int(rng.choice(len(STALL_KINDS), p=STALL_SHARES))]
    flow = replace(sample_flow(rng, settings), kind=kind, stall_s=stall_s)
    jam = _jam(rng, kind, length_um, flow.speed_um_s > 0, settings)
    n = min(len(jam.darkness), TABLE_LENGTH)
    # Place s of the vessel shows the table at s - displacement.
    begin = -float(flow.displacement_um(np.array([stall_s[0]]))[0])
    first = int(np.floor(begin / TABLE_STEP_UM))
    period = flow.cells.period_um
    places = flow.cells.places_um
    half = places[:, 1] / 2
    offset = np.mod(places[:, 0] - begin + half, period) - half
    free = _only(flow.cells, (offset - half > n * TABLE_STEP_UM) & (offset + half < period))
    darkness = free.darkness.copy()
    darkness[np.arange(first, first + n) % TABLE_LENGTH] = jam.darkness[:n]
    moved = np.column_stack([np.mod(jam.places_um[:, 0] + begin, period), jam.places_um[:, 1]])
    return replace(
        flow, cells=Cells(darkness=darkness, places_um=np.concatenate([free.places_um, moved]))
    )


def _only(cells: Cells, kept: BoolArray) -> Cells:
    """Some of the cells; the places of the others are plasma."""
    darkness = cells.darkness.copy()
    for centre, length in cells.places_um[~kept]:
        first = max(int(np.floor((centre - length / 2 - 0.5) / TABLE_STEP_UM)), 0)
        last = int(np.ceil((centre + length / 2 + 0.5) / TABLE_STEP_UM))
        darkness[first:last] = 0.0
    return Cells(darkness=darkness, places_um=cells.places_um[kept])


def _pulses(rng: np.random.Generator) -> Float64:
    return np.array(
        [
            (rng.uniform(0.05, 0.3), rng.uniform(0.07, 0.13), rng.uniform(0, 2 * np.pi)),
            (rng.uniform(0.05, 0.3), rng.uniform(6.0, 10.0), rng.uniform(0, 2 * np.pi)),
        ]
    )


def _per_mm(rng: np.random.Generator, settings: Settings) -> float:
    """Cells a millimetre: log-normal around 70."""
    allowed = settings.cells_per_mm
    return float(np.clip(70 * np.exp(0.3 * rng.standard_normal()), allowed.low, allowed.high))


def _jam(
    rng: np.random.Generator, kind: Kind, length_um: float, upstream_first: bool, settings: Settings
) -> Cells:
    """The cells of a standing segment; upstream is where its arc begins, or where it ends."""
    length_um += 4.0
    s_um = _samples(length_um)
    place = rng.uniform(0.25, 0.75) * length_um
    if kind is Kind.RBC:
        return train(rng, length_um, _per_mm(rng, settings), settings)
    queue = train(rng, length_um, rng.uniform(60, 120), settings)
    few = train(rng, length_um, rng.uniform(2, 25), settings)
    if kind is Kind.LEUKOCYTE:
        half = rng.uniform(3.5, 5.0)  # 7–10 µm
        plug = _bump(np.abs(s_um - place), half) * rng.uniform(0.75, 1.0)
    else:
        half = rng.uniform(3, 9)
        corners = np.arange(0.0, length_um + 2.0, 2.0)
        ragged = np.interp(s_um, corners, rng.uniform(0.2, 1.0, len(corners)))
        plug = _bump(np.abs(s_um - place), half) * ragged
    # Cells keep clear of the plug: the queue on one side of it, few cells on the other.
    queue = _only(queue, _beyond(queue, place, half, before=upstream_first))
    few = _only(few, _beyond(few, place, half, before=not upstream_first))
    upstream = (s_um < place) == upstream_first
    rest = np.where(upstream, queue.darkness, few.darkness)
    return Cells(
        darkness=np.maximum(plug, rest).astype(np.float32),
        places_um=np.concatenate([[[place, 2 * half]], queue.places_um, few.places_um]),
    )


def _beyond(cells: Cells, place_um: float, half_um: float, *, before: bool) -> BoolArray:
    """Which cells lie whole on one side of a plug."""
    distance = (cells.places_um[:, 0] - place_um) * (-1 if before else 1)
    clear: BoolArray = distance > half_um + cells.places_um[:, 1] / 2
    return clear


def train(
    rng: np.random.Generator,
    length_um: float,
    per_mm: float,
    settings: Settings,
    stretches: bool = False,
) -> Cells:
    """Red cells about 6.5 µm long that never overlap.

    Args:
        rng: the randomness.
        length_um: of the table.
        per_mm: cells a millimetre; beyond about 130 they touch.
        settings: their darkness.
        stretches: every other stretch of 50–300 µm is plasma alone.
    """
    # As many as fit on average, and more than enough to reach the end whatever the gaps are.
    n_cells = int(1.5 * length_um * per_mm / 1000) + 12
    lengths = np.clip(CELL_UM + 0.9 * rng.standard_normal(n_cells), 4.0, 9.0)
    gaps = rng.exponential(max(1000 / per_mm - CELL_UM - 0.3, 0.6), n_cells) + 0.3
    centres = np.cumsum(lengths + gaps) - lengths / 2 - rng.random() * (lengths[0] + gaps[0])
    depth = settings.cell_darkness.sample(rng) * np.clip(
        1.0 - 0.1 * np.abs(rng.standard_normal(n_cells)), 0.5, 1.0
    )
    if stretches:
        depth[np.searchsorted(np.cumsum(rng.uniform(50, 300, 60)), centres) % 2 == 1] = 0.0
    s_um = _samples(length_um)
    # Nearest cell of every sample: catchments meet in the middle of the gaps.
    half = lengths / 2
    index = np.searchsorted((centres[:-1] + half[:-1] + centres[1:] - half[1:]) / 2, s_um)
    darkness = _bump(np.abs(s_um - centres[index]), lengths[index] / 2) * depth[index]
    inside = (centres >= 0) & (centres < length_um) & (depth > 0)
    return Cells(
        darkness=darkness.astype(np.float32),
        places_um=np.column_stack([centres[inside], lengths[inside]]),
    )


def _samples(length_um: float) -> Float64:
    """Middles of the samples of a table."""
    return np.arange(0.0, length_um, TABLE_STEP_UM) + TABLE_STEP_UM / 2


def _bump(distance_um: Float64, half_um: Float64 | float) -> Float64:
    """1 inside ``half_um``, 0 outside, with an edge about 1 µm wide: the cell's shape."""
    return np.clip((half_um - distance_um) + 0.5, 0.0, 1.0)
