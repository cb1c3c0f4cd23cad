"""What fills a vessel: bright plasma with a train of dark cells that moves or stands still."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]

TABLE_STEP_UM = 0.25
"""Spacing of the samples in a cell table, µm."""
TABLE_LENGTH = 16384
"""Samples in the table of a flowing train: 4.1 mm of blood, then it repeats."""


class Kind(StrEnum):
    """What the blood of a segment does."""

    FLOW = "flow"
    CREEP = "creep"
    LEUKOCYTE = "leukocyte"
    RBC = "rbc"
    CLUMP = "clump"


STALL_KINDS = (Kind.LEUKOCYTE, Kind.RBC, Kind.CLUMP)
STALL_SHARES = (0.6, 0.25, 0.15)
"""Leukocyte plugs are the most frequent stalls in Alzheimer's mice."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Blood:
    """A train of cells and its motion.

    Attributes:
        kind: what the blood does.
        cells: ``(m,)`` darkness in [0, 1] along the vessel, every `TABLE_STEP_UM`; it repeats.
        speed_um_s: signed mean speed; for stalls the residual drift.
        pulses: ``(k, 3)`` relative amplitude, frequency in Hz and phase of the modulations.
        stall_s: ``(onset, release)`` between which a partly stalled train stands; NaN = never.
        phase_um: where in the train the vessel begins.
    """

    kind: Kind
    cells: Float32
    speed_um_s: float
    pulses: NDArray[np.float64]
    stall_s: tuple[float, float] = (np.nan, np.nan)
    phase_um: float = 0.0

    def displacement_um(self, time_s: NDArray[np.float64]) -> Float32:
        """Where the train is at each time, µm: its phase and the integral of its speed."""
        onset, release = self.stall_s
        if np.isfinite(onset):
            # Time stands still for the blood between onset and release.
            time_s = np.minimum(time_s, onset) + np.maximum(time_s - release, 0.0)
        distance = time_s.copy()
        for amplitude, frequency_hz, phase in self.pulses:
            omega = 2 * np.pi * frequency_hz
            distance += amplitude / omega * (np.cos(phase) - np.cos(omega * time_s + phase))
        # float64 up to here: 300 s at 8 mm/s are 2.4 m, and single micrometres matter.
        period_um = len(self.cells) * TABLE_STEP_UM
        return np.mod(self.phase_um + self.speed_um_s * distance, period_um).astype(np.float32)


def flowing_blood(rng: np.random.Generator, speed_um_s: float, kind: Kind = Kind.FLOW) -> Blood:
    """A train of red cells at 30–100 cells a millimetre with pulses at 0.1 Hz and heartbeat."""
    per_mm = np.clip(70 * np.exp(0.35 * rng.standard_normal()), 25, 110)
    pulses = np.array(
        [
            (rng.uniform(0.05, 0.3), 0.1, rng.uniform(0, 2 * np.pi)),
            (rng.uniform(0.05, 0.3), rng.uniform(6.0, 10.0), rng.uniform(0, 2 * np.pi)),
        ]
    )
    return Blood(
        kind=kind,
        cells=_train(rng, TABLE_LENGTH * TABLE_STEP_UM, per_mm),
        speed_um_s=speed_um_s,
        pulses=pulses,
    )


def sample_flow(rng: np.random.Generator) -> Blood:
    """Flowing blood of either direction; red cells run at a log-normal speed, 0.12–8 mm/s."""
    speed = np.clip(900 * np.exp(0.75 * rng.standard_normal()), 120, 8000)
    return flowing_blood(rng, float(speed * rng.choice((-1, 1))))


def sample_creep(rng: np.random.Generator) -> Blood:
    """Slow but moving blood, 4–60 µm/s: the hard negative."""
    speed = np.exp(rng.uniform(np.log(4), np.log(60))) * rng.choice((-1, 1))
    return flowing_blood(rng, float(speed), Kind.CREEP)


def sample_stall(rng: np.random.Generator, length_um: float) -> Blood:
    """Blood that stands in a segment of the given length.

    A leukocyte plug fills the lumen, red cells queue upstream and plasma alone stands downstream; a
    red-cell stall is an irregular queue; a platelet clump is a ragged dark patch.
    """
    kind = STALL_KINDS[int(rng.choice(len(STALL_KINDS), p=STALL_SHARES))]
    n = int(np.ceil(length_um / TABLE_STEP_UM)) + 8
    s_um = np.arange(n) * TABLE_STEP_UM
    place = rng.uniform(0.2, 0.8) * length_um
    if kind is Kind.LEUKOCYTE:
        half = rng.uniform(3.5, 5.5)
        plug = _bump(np.abs(s_um - place), half)
        queue = _train(rng, n * TABLE_STEP_UM, rng.uniform(70, 125))[:n]
        upstream = s_um < place - half if rng.random() < 0.5 else s_um > place + half
        few = _train(rng, n * TABLE_STEP_UM, rng.uniform(1, 12))[:n]
        cells = np.maximum(plug * rng.uniform(0.8, 1.0), np.where(upstream, queue, few))
    elif kind is Kind.RBC:
        cells = _train(rng, n * TABLE_STEP_UM, rng.uniform(30, 125))[:n]
    else:
        ragged = np.interp(s_um, np.arange(0, length_um + 4, 2.0), _uniform(rng, length_um + 4))
        patch = _bump(np.abs(s_um - place), rng.uniform(4, 10)) * ragged
        few = _train(rng, n * TABLE_STEP_UM, rng.uniform(5, 60))[:n]
        cells = np.maximum(patch, few)
    drift = rng.uniform(-0.15, 0.15)
    return Blood(
        kind=kind, cells=cells.astype(np.float32), speed_um_s=drift, pulses=np.zeros((0, 3))
    )


def partly_stalled(rng: np.random.Generator, visible_s: tuple[float, float], share: float) -> Blood:
    """Flowing blood that stands during ``share`` of the time in which the segment is visible."""
    begin, end = visible_s
    blood = flowing_blood(rng, float(rng.uniform(150, 1500) * rng.choice((-1, 1))), Kind.RBC)
    stand = share * (end - begin)
    onset = begin - 1e4 if rng.random() < 0.5 else end - stand
    release = begin + stand if onset < begin else end + 1e4
    return Blood(
        kind=blood.kind,
        cells=blood.cells,
        speed_um_s=blood.speed_um_s,
        pulses=blood.pulses,
        stall_s=(float(onset), float(release)),
    )


def _train(rng: np.random.Generator, length_um: float, per_mm: float) -> Float32:
    """Darkness along a train of red cells about 6.5 µm long that never overlap."""
    n_cells = int(length_um * per_mm / 1000) + 2
    lengths = np.clip(6.5 + 0.9 * rng.standard_normal(n_cells), 4.0, 9.0)
    gaps = rng.exponential(max(1000 / per_mm - 6.5, 0.6), n_cells) + 0.4
    centres = np.cumsum(lengths + gaps) - lengths[0] * rng.random()
    depth = np.clip(0.88 + 0.08 * rng.standard_normal(n_cells), 0.5, 1.0)
    s_um = np.arange(0.0, length_um, TABLE_STEP_UM)
    # Nearest cell of every sample: the one whose catchment (midpoint to midpoint) holds it.
    index = np.searchsorted((centres[1:] + centres[:-1]) / 2, s_um)
    darkness = _bump(np.abs(s_um - centres[index]), lengths[index] / 2) * depth[index]
    return darkness.astype(np.float32)


def _bump(distance_um: NDArray[np.float64], half_um: NDArray[np.float64] | float) -> Float32:
    """1 inside ``half_um``, 0 outside, with an edge about 1.2 µm wide (cell shape and focus)."""
    return np.clip((half_um - distance_um) / 1.2 + 0.5, 0.0, 1.0).astype(np.float32)


def _uniform(rng: np.random.Generator, length_um: float) -> NDArray[np.float64]:
    return rng.uniform(0.3, 1.0, len(np.arange(0, length_um, 2.0)))
