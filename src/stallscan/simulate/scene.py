"""A scene: everything that is decided before a single voxel is rendered."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stallscan.errors import OptionError
from stallscan.simulate import defects as flaws
from stallscan.simulate.blood import (
    Blood,
    Kind,
    sample_flow,
    sample_partial,
    sample_stall,
    turning,
)
from stallscan.simulate.defects import Defects, mask_target, sample_defects
from stallscan.simulate.microscope import Microscope, sample_microscope
from stallscan.simulate.network import Network, capillaries, sample_network
from stallscan.simulate.outline import Outline, sample_outline
from stallscan.simulate.recording import Recording, sample_recording
from stallscan.simulate.settings import PRESETS, Settings
from stallscan.simulate.state import State
from stallscan.simulate.tables import sample_n_frames
from stallscan.simulate.truth import Truth, View, cells_in, decide, motion_um, view_of
from stallscan.simulate.vessels import Vessel
from stallscan.types import Label

HEIGHT, WIDTHS = 384, (512, 418)
"""Of the competition's frames; about 1 % are narrow."""
_N_TRAINS = 5
_MOST_TRIES = 60


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tube:
    """A vessel with its blood and the grey level of its plasma."""

    vessel: Vessel
    blood: Blood
    brightness: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Surroundings:
    """All vessels but the target; made into tubes only where somebody looks.

    Attributes:
        network: the graph.
        target: indices of the target's segments, which are left out.
        trains: blood that the vessels share, each with its own speed and phase.
        train: ``(m,)`` which of them a segment has.
        pace: ``(m,)`` its speed, relative to the train's.
        phase_um: ``(m,)`` where in the train it begins.
        brightness: ``(m,)`` grey level of its plasma.
        wide: the wide vessels.
    """

    network: Network
    target: tuple[int, ...]
    trains: tuple[Blood, ...]
    train: NDArray[np.intp]
    pace: NDArray[np.float64]
    phase_um: NDArray[np.float64]
    brightness: NDArray[np.float64]
    wide: tuple[Tube, ...]

    def tubes(
        self, low_um: NDArray[np.float64], high_um: NDArray[np.float64], axial_um: float
    ) -> list[Tube]:
        """Those that reach into a box; ``axial_um`` is how far out of focus they are seen."""
        tubes = list(self.wide)
        reach = np.array([axial_um, 2.0, 2.0])
        for index, vessel in self.network.vessels_in(low_um, high_um, reach).items():
            if index in self.target:
                continue
            blood = self.trains[self.train[index]]
            own = replace(
                blood,
                speed_um_s=blood.speed_um_s * float(self.pace[index]),
                phase_um=float(self.phase_um[index]),
            )
            tubes.append(Tube(vessel=vessel, blood=own, brightness=float(self.brightness[index])))
        return tubes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    """One clip before rendering.

    Attributes:
        shape: ``(z, y, x)`` of the video, before it is made smaller for a GIF.
        target: the vessel in question.
        surroundings: the others; None for none.
        outline: the orange line.
        microscope: how it is imaged.
        defects: what goes wrong.
        recording: how it is stored.
        spots: ``(n, 6)`` specks and halos: z, y, x and depth in slices, radius, grey level; px of
            the scanned stack.
    """

    shape: tuple[int, int, int]
    target: Tube
    surroundings: Surroundings | None
    outline: Outline
    microscope: Microscope
    defects: Defects
    recording: Recording
    spots: NDArray[np.float32]

    def view(self) -> View:
        """What can be seen of the target."""
        tube = self.target
        return view_of(tube.vessel, tube.brightness, self.microscope, self.defects, self.shape)

    def truth(self) -> Truth:
        """What is true of the target."""
        vessel, blood, microscope = self.target.vessel, self.target.blood, self.microscope
        view = self.view()
        motion = motion_um(blood, microscope, self.shape[0])
        state, still = decide(view, motion)
        box = self.recording.box_of(self.outline, self.shape)
        end_s = self.shape[0] * microscope.slice_s
        onset, release = blood.stall_s
        if blood.speed_um_s == 0:
            onset, release = -np.inf, np.inf
        scale = self.recording.scale
        pitch = np.array(microscope.out_pitch_um, np.float32) / (1.0, scale, scale)
        return Truth(
            state=state,
            kind=str(blood.kind),
            onset_s=-np.inf if onset <= 0 else float(onset),
            release_s=np.inf if release >= end_s else float(release),
            speed_um_s=float(blood.speed_um_s),
            still_share=still,
            visible_share=view.share,
            n_focus=int(view.focus.sum()),
            n_frames=self.shape[0],
            diameter_um=2 * vessel.radius_um,
            length_um=vessel.length_um,
            pixel_um=float(pitch[1]),
            z_step_um=float(pitch[0]),
            slice_s=microscope.slice_s,
            roi_y0=box.y0,
            roi_x0=box.x0,
            roi_y1=box.y1,
            roi_x1=box.x1,
            crf=self.recording.crf,
            artefacts=(*self.defects.words, *self.recording.words),
            centreline_px=(vessel.points_um / pitch).astype(np.float32),
            cells_um=cells_in(blood, vessel.length_um),
            motion_um=motion,
            focus=view.focus,
        )


def sample_scene(
    rng: np.random.Generator, state: State | Label, settings: Settings = PRESETS["clogloss"]
) -> Scene:
    """Draw a scene whose target is in the given state, by the rule of `truth`.

    Nothing but the target's blood depends on flowing or stalled: size, depth, place, brightness,
    session and defects come from the same distributions, and targets that nobody could decide are
    drawn anew for both.

    Args:
        rng: the randomness.
        state: what the target is to be.
        settings: ranges.
    """
    state = State.of(state)
    n_frames = sample_n_frames(rng)
    shape = (n_frames, HEIGHT, WIDTHS[int(rng.random() < 0.01)])
    hidden = state is State.UNDECIDABLE and rng.random() < 0.5
    recording = sample_recording(rng, settings)
    for _ in range(_MOST_TRIES):
        # A session too dim or too loud for any vessel is drawn anew as well.
        plasma = settings.plasma_grey.sample(rng)
        microscope = sample_microscope(rng, shape, plasma, settings)
        extent_um = np.array(shape) * microscope.out_pitch_um
        network = sample_network(rng, extent_um, settings)
        found = _find_target(rng, network, microscope, shape, plasma, settings, hidden)
        if found is not None:
            break
    else:
        raise OptionError(
            f"in {_MOST_TRIES} sessions no vessel could be seen well enough; give them more "
            "light (plasma_photons), less noise (read_noise), or vessels (length_density)"
        )
    path, vessel, brightness, outline, flawed, view = found
    blood = _sample_blood(rng, state, vessel, view, microscope, settings)
    surroundings = _sample_surroundings(rng, network, path, plasma, settings)
    return Scene(
        shape=shape,
        target=Tube(vessel=vessel, blood=blood, brightness=brightness),
        surroundings=surroundings,
        outline=outline,
        microscope=microscope,
        defects=flawed,
        recording=recording,
        spots=_sample_spots(rng, shape, microscope, plasma, settings),
    )


_Found = tuple[tuple[int, ...], Vessel, float, Outline, Defects, View]


def _find_target(
    rng: np.random.Generator,
    network: Network,
    microscope: Microscope,
    shape: tuple[int, int, int],
    plasma: float,
    settings: Settings,
    hidden: bool,
) -> _Found | None:
    """A segment whose outline fits into the frame, seen well enough; or not, where ``hidden``."""
    pitch = np.array(microscope.out_pitch_um)
    candidates = capillaries(network)
    ends = network.nodes_um[network.edges[candidates]] / pitch
    fits = (ends[..., 1:] > 0).all(axis=(1, 2)) & (ends[..., 1:] < shape[1:]).all(axis=(1, 2))
    fits &= (ends[..., 0].max(axis=1) > 0) & (ends[..., 0].min(axis=1) < shape[0])
    candidates, ends = candidates[fits], ends[fits]
    # Long segments are outlined more often: labs drop what is short.
    weight = np.linalg.norm((ends[:, 1] - ends[:, 0])[:, 1:], axis=1) ** 2 + 100.0
    order = np.argsort(rng.exponential(1.0, len(candidates)) / weight)
    cover = hidden and rng.random() < 0.4
    for index in candidates[order[:40]]:
        path = network.path(int(index), _sample_length(rng), rng)
        vessel = network.vessel(*path)
        line_px = (vessel.points_um / pitch)[:, 1:].astype(np.float32)
        offset_px = settings.outline_offset_px.sample(rng)
        outline = sample_outline(rng, line_px, shape[1:], offset_px)
        if outline is None:
            continue
        flawed = sample_defects(rng, shape, outline, settings)
        brightness = plasma * float(rng.uniform(0.7, 1.1))
        if cover:
            mask = mask_target(rng, shape[0], outline, 1.0)
            words = (*flawed.words, "mask_on_target")
            flawed = replace(flawed, masks=(*flawed.masks, mask), words=words)
        elif hidden and rng.random() < 0.5:
            brightness *= float(rng.uniform(0.02, 0.1))
        view = view_of(vessel, brightness, microscope, flawed, shape)
        if view.enough != hidden:
            return path, vessel, brightness, outline, flawed, view
    return None


def _sample_length(rng: np.random.Generator) -> int:
    """Segments of a target: mostly one, for labs drop small branches, and longer ones remain."""
    return int(rng.choice((1, 2, 3, 4), p=(0.8, 0.13, 0.05, 0.02)))


def _sample_blood(
    rng: np.random.Generator,
    state: State,
    vessel: Vessel,
    view: View,
    microscope: Microscope,
    settings: Settings,
) -> Blood:
    """The target's blood; where nothing is to be seen, any."""
    length = vessel.length_um
    times_s = np.flatnonzero(view.focus).astype(np.float64) * microscope.slice_s
    if state is State.UNDECIDABLE:
        if view.enough:
            return sample_flow(rng, settings, Kind.DRIFT, microscope.slice_s)
        stands = rng.random() < 0.5
        return sample_stall(rng, length, settings) if stands else sample_flow(rng, settings)
    partial = rng.random() < settings.partial_share.sample(rng)
    if state is State.STALLED:
        if not partial:
            return sample_stall(rng, length, settings)
        window = _window(rng, times_s, microscope.slice_s, (0.6, 0.95))
        return sample_partial(rng, length, window, settings)
    if partial and len(times_s) >= 5:
        window = _window(rng, times_s, microscope.slice_s, (0.1, 0.4))
        return sample_partial(rng, length, window, settings)
    shares = {
        Kind.CREEP: settings.creep_share.sample(rng),
        Kind.REVERSAL: settings.reversal_share.sample(rng),
        Kind.PLASMA: settings.plasma_share.sample(rng),
        Kind.FAST: settings.fast_share.sample(rng),
    }
    draw = rng.random()
    for kind, share in shares.items():
        draw -= share
        if draw < 0:
            if kind is Kind.REVERSAL:
                turn_s = float(rng.uniform(times_s[0], times_s[-1] + microscope.slice_s))
                return turning(sample_flow(rng, settings), turn_s)
            return sample_flow(rng, settings, kind, microscope.slice_s)
    return sample_flow(rng, settings)


def _window(
    rng: np.random.Generator,
    times_s: NDArray[np.float64],
    slice_s: float,
    shares: tuple[float, float],
) -> tuple[float, float]:
    """When the blood stands: so large a share of the slices in focus, at their begin or end."""
    n = len(times_s)
    low, high = shares
    standing = int(np.clip(round(n * rng.uniform(*shares)), np.ceil(n * low), max(n * high, 1)))
    if rng.random() < 0.5:
        return -1.0, float(times_s[standing - 1] + slice_s)
    return float(times_s[n - standing]), float(times_s[-1] + 1e4)


def _sample_surroundings(
    rng: np.random.Generator,
    network: Network,
    target: tuple[int, ...],
    plasma: float,
    settings: Settings,
) -> Surroundings:
    """The other vessels share a pool of trains; each has its own speed, direction and phase."""
    m = len(network.edges)
    trains = tuple(sample_flow(rng, settings) for _ in range(_N_TRAINS))
    still = tuple(sample_stall(rng, 500.0, settings) for _ in range(2))
    train = rng.integers(0, _N_TRAINS, m)
    # Now and then a neighbour stands.
    train[rng.random(m) < 0.01] = _N_TRAINS + int(rng.integers(2))
    return Surroundings(
        network=network,
        target=target,
        trains=trains + still,
        train=train,
        pace=rng.choice((-1.0, 1.0), m) * rng.uniform(0.4, 1.8, m),
        phase_um=rng.uniform(0, 2000, m),
        brightness=plasma * rng.uniform(0.3, 1.15, m),
        wide=tuple(
            Tube(
                vessel=vessel,
                blood=replace(
                    trains[int(rng.integers(_N_TRAINS))],
                    speed_um_s=float(rng.uniform(2000, 12_000) * rng.choice((-1, 1))),
                ),
                brightness=plasma * float(rng.uniform(0.5, 1.15)),
            )
            for vessel in network.trunks
        ),
    )


def _sample_spots(
    rng: np.random.Generator,
    shape: tuple[int, int, int],
    microscope: Microscope,
    plasma: float,
    settings: Settings,
) -> NDArray[np.float32]:
    """Bright specks of 2–5 px that last a slice or two, and soft halos of 30 px."""
    n_lines = microscope.motion_px.shape[1]
    extent = (shape[0], n_lines, n_lines * shape[2] / shape[1])
    n_specks = rng.poisson(settings.specks.sample(rng) * shape[0])
    n_halos = rng.poisson(settings.halos.sample(rng))
    n = n_specks + n_halos
    is_halo = np.arange(n) >= n_specks
    return np.column_stack(
        [
            *(rng.uniform(0, side, n) for side in extent),
            np.where(is_halo, rng.uniform(3, 9, n), rng.uniform(0.3, 0.9, n)),
            np.where(is_halo, rng.uniform(8, 16, n), rng.uniform(0.6, 1.6, n)),
            plasma * np.where(is_halo, rng.uniform(0.05, 0.3, n), rng.uniform(0.2, 1.0, n)),
        ]
    ).astype(np.float32)


def flawless(scene: Scene) -> Scene:
    """The same scene without defects of frames, outline and picture."""
    return replace(scene, defects=flaws.none(scene.shape[0]))
