"""What goes wrong on the way from the microscope to the video."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from stallscan.simulate.outline import Outline
from stallscan.simulate.settings import Settings
from stallscan.types import BoolArray, Box, UInt8Array

Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BlackEdge:
    """The wavy black rim that registration leaves.

    Attributes:
        side: ``"left"`` or ``"top"``.
        width_px: ``(z,)`` mean width in each frame.
        phase: ``(z, 2)`` of its two waves.
    """

    side: str
    width_px: NDArray[np.float64]
    phase: NDArray[np.float64]

    def widths_px(self, frame: int, along_px: NDArray[np.int_]) -> NDArray[np.float64]:
        """Width at places along the edge in a frame."""
        slow, quick = self.phase[frame]
        wave = np.sin(along_px / 40 + slow) + 0.5 * np.sin(along_px / 15 + quick)
        wavy: NDArray[np.float64] = self.width_px[frame] * (1 + 0.3 * wave)
        return wavy


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HandMask:
    """A black polygon that somebody drew.

    Attributes:
        corners_px: ``(n, 2)`` float32 ``(x, y)``.
        first: first frame.
        last: frame behind the last.
    """

    corners_px: Float32
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Defects:
    """The defects of one video.

    Attributes:
        words: what there is, for the truth table.
        gain: ``(z,)`` float32 factor of each frame.
        duplicated: ``(z,)`` bool, frames that repeat the one before.
        edges: black rims.
        masks: black polygons.
        drawn: ``(z,)`` int8: 1 outline in its place, 0 missing, 2 elsewhere.
        elsewhere: where the outline has jumped.
    """

    words: tuple[str, ...]
    gain: Float32
    duplicated: BoolArray
    edges: tuple[BlackEdge, ...] = ()
    masks: tuple[HandMask, ...] = ()
    drawn: NDArray[np.int8]
    elsewhere: Outline | None = None

    def black(self, box: Box) -> BoolArray | None:
        """``(z, y, x)`` bool of a box, where the picture is covered; None where it nowhere is."""
        if not (self.edges or self.masks):
            return None
        black = np.zeros(box.size, bool)
        ys, xs = np.arange(box.y0, box.y1), np.arange(box.x0, box.x1)
        for edge in self.edges:
            for z in range(box.z0, box.z1):
                if edge.side == "left":
                    black[z - box.z0] |= xs < edge.widths_px(z, ys)[:, None]
                else:
                    black[z - box.z0] |= ys[:, None] < edge.widths_px(z, xs)
        for mask in self.masks:
            area = np.zeros(box.size[1:], np.uint8)
            corners = np.round(mask.corners_px - (box.x0, box.y0)).astype(np.int32)
            cv2.fillPoly(area, [corners], 1)
            first, last = max(mask.first - box.z0, 0), max(mask.last - box.z0, 0)
            black[first:last] |= area.astype(bool)
        return black


def none(n_frames: int) -> Defects:
    """A flawless video."""
    return Defects(
        words=(),
        gain=np.ones(n_frames, np.float32),
        duplicated=np.zeros(n_frames, bool),
        drawn=np.ones(n_frames, np.int8),
    )


def sample_defects(
    rng: np.random.Generator, shape: tuple[int, int, int], outline: Outline, settings: Settings
) -> Defects:
    """Draw what is wrong with a video.

    Args:
        rng: the randomness.
        shape: ``(z, y, x)`` of the video.
        outline: of the target.
        settings: ranges.
    """
    n = shape[0]
    words = []
    gain = np.ones(n, np.float32)
    if _happens(rng, settings.gain_steps_share.sample(rng)):
        words.append("gain_steps")
        for _ in range(int(rng.integers(1, 4))):
            gain[rng.integers(1, n) :] *= settings.gain_step.sample(rng) ** rng.choice((-1, 1))
        gain /= np.sqrt(gain.min() * gain.max())
    if _happens(rng, settings.dim_share.sample(rng)):
        words.append("dim_frames")
        gain[rng.integers(0, n, rng.integers(1, 4))] *= settings.dim_gain.sample(rng)
    duplicated = np.zeros(n, bool)
    if _happens(rng, settings.duplicate_share.sample(rng)):
        words.append("duplicated_frames")
        duplicated[rng.integers(1, n, rng.integers(1, 4))] = True
    edges = []
    if _happens(rng, settings.black_edge_share.sample(rng)):
        words.append("black_edge")
        sides = (("left",), ("top",), ("left", "top"))[int(rng.integers(3))]
        edges = [_black_edge(rng, n, side, settings) for side in sides]
    masks = []
    if _happens(rng, settings.mask_share.sample(rng)):
        words.append("mask")
        masks.append(_mask_anywhere(rng, shape))
    if _happens(rng, settings.mask_target_share.sample(rng)):
        words.append("mask_on_target")
        masks.append(mask_target(rng, n, outline, float(rng.uniform(0.2, 0.9))))
    drawn = np.ones(n, np.int8)
    elsewhere = None
    if _happens(rng, settings.outline_missing_share.sample(rng)):
        words.append("outline_missing")
        first = int(rng.integers(0, n))
        drawn[first : first + int(rng.integers(1, max(n // 4, 2)))] = 0
    elif _happens(rng, settings.outline_jump_share.sample(rng)):
        elsewhere = _jumped(rng, outline, shape[1:])
        if elsewhere is not None:
            words.append("outline_jump")
            drawn[int(rng.integers(n // 3, n)) :] = 2
    return Defects(
        words=tuple(words),
        gain=gain,
        duplicated=duplicated,
        edges=tuple(edges),
        masks=tuple(masks),
        drawn=drawn,
        elsewhere=elsewhere,
    )


def _happens(rng: np.random.Generator, share: float) -> bool:
    return bool(rng.random() < share)


def _black_edge(
    rng: np.random.Generator, n_frames: int, side: str, settings: Settings
) -> BlackEdge:
    steps = rng.standard_normal((n_frames, 3))
    walk = np.cumsum(steps, axis=0)
    width = settings.black_edge_px.sample(rng) + 0.4 * steps[:, 0]
    return BlackEdge(
        side=side,
        width_px=np.maximum(width, 1.0),
        phase=0.3 * walk[:, 1:] + rng.uniform(0, 2 * np.pi, 2),
    )


def _frames(rng: np.random.Generator, n_frames: int) -> tuple[int, int]:
    """All frames, or some in a row."""
    if rng.random() < 0.6:
        return 0, n_frames
    first = int(rng.integers(0, n_frames))
    return first, min(n_frames, first + int(rng.integers(n_frames // 4, n_frames)))


def _mask_anywhere(rng: np.random.Generator, shape: tuple[int, int, int]) -> HandMask:
    _, height, width = shape
    angle = np.sort(rng.uniform(0, 2 * np.pi, 8))
    spokes = np.stack([np.cos(angle), np.sin(angle)], 1) * rng.uniform(15, 80, (8, 1))
    first, last = _frames(rng, shape[0])
    corners = rng.uniform(0, (width, height)) + spokes
    return HandMask(corners_px=corners.astype(np.float32), first=first, last=last)


def mask_target(
    rng: np.random.Generator, n_frames: int, outline: Outline, share: float
) -> HandMask:
    """A polygon over ``share`` of the outline's extent in one direction; 1 covers all of it."""
    contour = outline.contour_px.astype(np.float64)
    centre = contour.mean(axis=0)
    angle = rng.uniform(0, 2 * np.pi)
    forward = np.array([np.cos(angle), np.sin(angle)])
    aside = np.array([-forward[1], forward[0]])
    far = (contour - centre) @ forward
    broad = np.abs((contour - centre) @ aside).max() + 6
    begin, end = far.min() - 6, far.min() + share * np.ptp(far) + (6 if share >= 1 else 0)
    places = np.linspace(-broad, broad, 6)
    wobble = rng.normal(0, 1.5, 6)
    near = centre + begin * forward + places[:, None] * aside
    rim = centre + (end + wobble)[:, None] * forward + places[:, None] * aside
    first, last = _frames(rng, n_frames) if share < 1 else (0, n_frames)
    corners = np.concatenate([near, rim[::-1]]).astype(np.float32)
    return HandMask(corners_px=corners, first=first, last=last)


def _jumped(rng: np.random.Generator, outline: Outline, shape: tuple[int, int]) -> Outline | None:
    """The outline in another place of the frame; None where it fills the frame."""
    low, high = outline.contour_px.min(axis=0) - 5, outline.contour_px.max(axis=0) + 5
    room = np.array(shape[::-1]) - (high - low)
    if (room <= 0).any():
        return None
    move = rng.uniform(0, 1, 2) * room - low
    return replace(outline, contour_px=(outline.contour_px + move).astype(np.float32))


def blacken(grey: UInt8Array, defects: Defects, box: Box) -> None:
    """Cover what is masked with black, in place; ``grey`` is ``(z, y, x)`` uint8 of ``box``."""
    black = defects.black(box)
    if black is not None:
        grey[black] = 0


def repeat_frames(grey: UInt8Array, defects: Defects) -> None:
    """Put the frame before in the place of each duplicated one; all frames of the clip."""
    for z in np.flatnonzero(defects.duplicated):
        grey[z] = grey[z - 1]
