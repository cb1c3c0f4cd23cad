"""Phantom clips with the defects of real videos, and with nuisances that are none."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from stallscan.simulate.outline import Outline, draw
from stallscan.simulate.phantom import render_grey, whole
from stallscan.simulate.scene import Scene, flawless, sample_scene
from stallscan.types import BoolArray, Label, UInt8Array

_CLEAR_PX = 3  # between an outline off the vessel and any vessel's wall


@dataclass(frozen=True, slots=True, kw_only=True)
class Phantom:
    """A rendered scene; ``grey``: ``(z, y, x)`` uint8, the line not yet drawn."""

    scene: Scene
    grey: UInt8Array

    def drawn(self, grey: UInt8Array | None = None, outline: Outline | None = None) -> UInt8Array:
        """``(z, y, x, 3)``, its own grey and outline unless others are given."""
        outline = self.scene.outline if outline is None else outline
        grey = self.grey if grey is None else grey
        return draw(grey, outline.coverage(self.grey.shape[1:]), outline.color)

    @property
    def filled(self) -> np.ndarray:
        return self.scene.outline.filled(self.grey.shape[1:])


def sound_scene(
    rng: np.random.Generator, label: Label, *, visible_background: bool = False
) -> Scene:
    """A scene without the defects that it has by chance.

    With ``visible_background`` about a sixth of the background is 0, as in a real frame at full
    size (17 %), and not up to nine tenths of it.
    """
    scene = flawless(sample_scene(rng, label))
    if not visible_background:
        return scene
    microscope = scene.microscope
    variance = 4 / 3 * microscope.photon_grey * microscope.background + microscope.read_noise**2
    black = microscope.background - np.sqrt(variance)
    return replace(scene, microscope=replace(microscope, black=black))


def without_vessels(scene: Scene) -> Scene:
    """The same outline, session, specks and halos on empty tissue."""
    return replace(scene, surroundings=None, target=replace(scene.target, brightness=0.0))


def render(
    seed: int | tuple[int, ...],
    label: Label,
    *,
    visible_background: bool = False,
    n_frames: int | None = None,
) -> Phantom:
    """`phantom_clip` without its defects, all its frames or the first, its parts kept apart."""
    rng = np.random.default_rng(seed)
    scene = sound_scene(rng, label, visible_background=visible_background)
    box = whole(scene)
    if n_frames is not None:
        box = box._replace(z1=min(n_frames, box.z1))
    return Phantom(scene=scene, grey=render_grey(scene, box, rng))


@functools.cache
def short_phantom() -> Phantom:
    """36 frames with visible background, for many tests."""
    return render((7010, 12), Label.STALLED, visible_background=True, n_frames=36)


# The outline's defects.


def no_outline(phantom: Phantom, rng: np.random.Generator) -> UInt8Array:
    return np.repeat(phantom.grey[..., None], 3, axis=3)


def outline_missing_in(phantom: Phantom, frames: Sequence[int]) -> UInt8Array:
    array = phantom.drawn()
    array[frames] = phantom.grey[frames][..., None]
    return array


def outline_jumps(phantom: Phantom, frames: Sequence[int], rng: np.random.Generator) -> UInt8Array:
    array = phantom.drawn()
    array[frames] = phantom.drawn(outline=_moved_apart(phantom, rng))[frames]
    return array


def two_outlines(phantom: Phantom, rng: np.random.Generator) -> UInt8Array:
    other = _moved_apart(phantom, rng)
    array = phantom.drawn()
    covered = other.coverage(phantom.grey.shape[1:]) > 0
    array[:, covered] = phantom.drawn(outline=other)[:, covered]
    return array


def off_vessel(phantom: Phantom, rng: np.random.Generator) -> UInt8Array:
    """The outline moved to tissue without a vessel in any slice; needs a scene with such a place.

    Raises:
        LookupError: the scene is full of vessels.
    """
    shape = phantom.grey.shape
    vessels = np.zeros(shape[1:], np.uint8)
    scene = phantom.scene
    assert scene.surroundings is not None
    pitch = np.array(scene.microscope.out_pitch_um)
    axial_um, extent_um = scene.microscope.axial_um, shape * pitch
    others = scene.surroundings.tubes(np.zeros(3), extent_um, axial_um)
    for vessel in (tube.vessel for tube in (scene.target, *others)):
        reach_um = vessel.radius_um + axial_um
        z_um = vessel.points_um[:, 0]
        seen = (z_um > -reach_um) & (z_um < extent_um[0] + reach_um)
        radius_px = int(np.ceil(vessel.radius_um / pitch[1])) + _CLEAR_PX
        for y, x in np.round(vessel.points_um[seen, 1:] / pitch[1:]).astype(int):
            cv2.circle(vessels, (int(x), int(y)), radius_px, 1, -1)
    return phantom.drawn(outline=_elsewhere(phantom, vessels.astype(bool), rng))


def _moved_apart(phantom: Phantom, rng: np.random.Generator) -> Outline:
    taken = cv2.dilate(phantom.filled.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    return _elsewhere(phantom, taken, rng)


def _elsewhere(
    phantom: Phantom, blocked: BoolArray, rng: np.random.Generator, n_tries: int = 3000
) -> Outline:
    """The outline at a random place of the frame where nothing is blocked.

    Raises:
        LookupError: no place was found.
    """
    outline, shape = phantom.scene.outline, phantom.grey.shape[1:]
    low = outline.contour_px.min(axis=0)
    room = np.array(shape[::-1]) - 8 - (outline.contour_px.max(axis=0) - low)
    for share in rng.uniform(0, 1, (n_tries, 2)):
        corner = 4 + share * np.maximum(room, 0)
        contour = (outline.contour_px - low + corner).astype(np.float32)
        moved = replace(outline, contour_px=contour)
        if not blocked[moved.filled(shape)].any():
            return moved
    raise LookupError("no free place for this outline in this scene")


# Black masks and edges: 0 before the line is drawn.


def hand_mask_over_target(
    phantom: Phantom, rng: np.random.Generator, share: float = 0.5
) -> UInt8Array:
    """A polygon over ``share`` of what is inside the outline, in all frames or a range."""
    ys, xs = np.nonzero(phantom.filled)
    angle = rng.uniform(0, 2 * np.pi)
    along = xs * np.cos(angle) + ys * np.sin(angle)
    cut = np.quantile(along, share)
    # A half plane, cut to the outline's surroundings, with a hand's wobble.
    near = cv2.dilate(phantom.filled.astype(np.uint8), np.ones((15, 15), np.uint8)) > 0
    yy, xx = np.mgrid[: near.shape[0], : near.shape[1]]
    wobble = 2 * np.sin((xx * np.sin(angle) - yy * np.cos(angle)) / 6)
    mask = near & (xx * np.cos(angle) + yy * np.sin(angle) < cut + wobble)
    first, last = _range(phantom, rng)
    grey = phantom.grey.copy()
    grey[first:last, mask] = 0
    return phantom.drawn(grey)


def hand_mask_elsewhere(phantom: Phantom, rng: np.random.Generator) -> UInt8Array:
    """A polygon away from the outline and from the frame's edges."""
    height, width = phantom.grey.shape[1:]
    near = cv2.dilate(phantom.filled.astype(np.uint8), np.ones((25, 25), np.uint8)) > 0
    while True:
        centre = rng.uniform((60, 60), (width - 60, height - 60))
        angle = np.sort(rng.uniform(0, 2 * np.pi, 7))
        spokes = np.stack([np.cos(angle), np.sin(angle)], 1) * rng.uniform(15, 50, (7, 1))
        mask = np.zeros((height, width), np.uint8)
        cv2.fillPoly(mask, [np.round(centre + spokes).astype(np.int32)], 1)
        if mask.any() and not (mask.astype(bool) & near).any():
            break
    first, last = _range(phantom, rng)
    grey = phantom.grey.copy()
    grey[first:last, mask.astype(bool)] = 0
    return phantom.drawn(grey)


def _range(phantom: Phantom, rng: np.random.Generator) -> tuple[int, int]:
    """All frames, or half of them."""
    n_frames = len(phantom.grey)
    if rng.random() < 0.5:
        return 0, n_frames
    first = int(rng.integers(0, n_frames // 2 + 1))
    return first, first + n_frames // 2


def black_edges(phantom: Phantom, rng: np.random.Generator, side: str = "left") -> UInt8Array:
    """A strip 4–20 px wide that waves along the edge and from frame to frame."""
    grey = phantom.grey.copy()
    view = grey.swapaxes(1, 2) if side in ("top", "bottom") else grey  # (z, along, across)
    if side in ("right", "bottom"):
        view = view[..., ::-1]
    _, length, depth = view.shape
    along = np.arange(length)
    middle = rng.uniform(6, 12)
    for frame in view:
        phase = rng.uniform(0, 2 * np.pi, 2)
        wave = np.sin(along / 40 + phase[0]) + 0.6 * np.sin(along / 15 + phase[1])
        width = middle + rng.uniform(-2, 2) + rng.uniform(1, 3) * wave
        frame[np.arange(depth) < np.clip(width, 4, 20)[:, None]] = 0
    return phantom.drawn(grey)


# The frames' defects.


def dim_frames(phantom: Phantom, frames: Sequence[int], factor: float) -> UInt8Array:
    grey = phantom.grey.copy()
    grey[frames] = np.round(grey[frames] * factor)
    return phantom.drawn(grey)


def duplicated_frames(phantom: Phantom, frames: Sequence[int]) -> UInt8Array:
    """Each of the frames repeats the one before it."""
    grey = phantom.grey.copy()
    for i in sorted(frames):
        grey[i] = grey[i - 1]
    return phantom.drawn(grey)


def gain_steps(phantom: Phantom, first: int, last: int, factor: float) -> UInt8Array:
    """The frames ``first`` to ``last`` (half open) brighter or darker by a factor."""
    grey = phantom.grey.copy()
    grey[first:last] = np.clip(np.round(grey[first:last] * np.float32(factor)), 0, 255)
    return phantom.drawn(grey)


# Nuisances: no defects.


def row_streaks(phantom: Phantom, rng: np.random.Generator) -> UInt8Array:
    """Noise that runs along x: autocorrelation 0.8, 0.5 and 0.2 at lags 1, 2 and 3."""
    noise = rng.standard_normal(phantom.grey.shape, np.float32)
    for plane in noise:
        cv2.GaussianBlur(plane, (13, 1), 1.6, dst=plane, sigmaY=1e-3)
    return phantom.drawn(_add(phantom.grey, 8 * noise / noise.std()))


def bright_specks(phantom: Phantom, rng: np.random.Generator) -> UInt8Array:
    """Spots of 2–5 px that last one frame, ten in each."""
    spots = np.zeros(phantom.grey.shape, np.float32)
    for frame in spots:
        for _ in range(10):
            x, y = rng.integers(0, frame.shape[::-1])
            cv2.circle(frame, (int(x), int(y)), int(rng.integers(1, 3)), 180, -1)
    return phantom.drawn(_add(phantom.grey, spots))


def soft_halos(phantom: Phantom, rng: np.random.Generator) -> UInt8Array:
    """Glows 30 px wide that last ten frames, some of them in the outline."""
    n_frames, height, width = phantom.grey.shape
    glow = np.zeros(phantom.grey.shape, np.float32)
    yy, xx = np.mgrid[:height, :width]
    ys, xs = np.nonzero(phantom.filled)
    inside = int(rng.integers(len(ys)))
    centres = [(ys[inside], xs[inside])]
    centres += [(rng.uniform(0, height), rng.uniform(0, width)) for _ in range(5)]
    for y, x in centres:
        bell = np.exp(-((yy - y) ** 2 + (xx - x) ** 2) / (2 * 13.0**2))
        decay = np.exp(-(((np.arange(n_frames) - rng.uniform(0, n_frames)) / 5) ** 2))
        glow += (60 * decay[:, None, None] * bell).astype(np.float32)
    return phantom.drawn(_add(phantom.grey, glow))


def _add(grey: UInt8Array, extra: np.ndarray) -> UInt8Array:
    return np.clip(np.round(grey + extra), 0, 255).astype(np.uint8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """A maker and the word that must be found, empty where nothing must.

    ``is_black``: to be told from the background, which must not be 0 itself.
    """

    make: Callable[[Phantom, np.random.Generator], UInt8Array]
    word: str = ""
    is_black: bool = False


def _some(phantom: Phantom, rng: np.random.Generator, n: int) -> list[int]:
    """Frames apart from each other and from the ends."""
    return sorted(int(i) for i in rng.choice(np.arange(2, len(phantom.grey) - 2, 3), n, False))


def _run(phantom: Phantom, rng: np.random.Generator, n: int) -> list[int]:
    first = int(rng.integers(1, len(phantom.grey) - n))
    return list(range(first, first + n))


def _step(phantom: Phantom, rng: np.random.Generator, factor: float) -> UInt8Array:
    n_frames = len(phantom.grey)
    first = int(rng.integers(n_frames // 4, n_frames // 2))
    last = n_frames if rng.random() < 0.5 else first + n_frames // 4 + 2
    return gain_steps(phantom, first, last, factor)


DEFECTS: dict[str, Defect] = {
    "no_outline": Defect(make=no_outline, word="missing"),
    "outline_missing": Defect(
        make=lambda p, rng: outline_missing_in(p, _run(p, rng, 3)), word="partial"
    ),
    "outline_jumps": Defect(
        make=lambda p, rng: outline_jumps(p, _run(p, rng, 6), rng), word="moving"
    ),
    "two_outlines": Defect(make=two_outlines, word="two"),
    "off_vessel": Defect(make=off_vessel, word="off_vessel"),
    "hand_mask_over_target": Defect(make=hand_mask_over_target, word="masked", is_black=True),
    "black_edge_left": Defect(make=black_edges, word="black_edge", is_black=True),
    "black_edge_top": Defect(
        make=lambda p, rng: black_edges(p, rng, "top"), word="black_edge", is_black=True
    ),
    "dim_0.5": Defect(make=lambda p, rng: dim_frames(p, _some(p, rng, 2), 0.5), word="dim"),
    "black_frames": Defect(make=lambda p, rng: dim_frames(p, _run(p, rng, 2), 0.02), word="dim"),
    "duplicated": Defect(
        make=lambda p, rng: duplicated_frames(p, _some(p, rng, 2)), word="duplicated"
    ),
    "gain_0.7": Defect(make=lambda p, rng: _step(p, rng, 0.7), word="gain"),
    "gain_1.4": Defect(make=lambda p, rng: _step(p, rng, 1.4), word="gain"),
}
"""One of each, places drawn at random."""

NUISANCES: dict[str, Defect] = {
    "hand_mask_elsewhere": Defect(make=hand_mask_elsewhere),
    "row_streaks": Defect(make=row_streaks),
    "bright_specks": Defect(make=bright_specks),
    "soft_halos": Defect(make=soft_halos),
}
"""What must not be flagged."""
