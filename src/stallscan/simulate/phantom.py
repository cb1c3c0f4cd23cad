"""Rendering a scene: as a whole clip, or its ROI directly, with the truth beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stallscan.roi.volume import Volume
from stallscan.simulate._paint import paint
from stallscan.simulate.microscope import expose
from stallscan.simulate.outline import draw
from stallscan.simulate.scene import Scene, sample_scene, visible_s
from stallscan.types import Box, Label
from stallscan.video.clip import Clip

_MARGIN_PX = 6  # rendered around a box, so that motion brings in real neighbours


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What is known about a clip because it was made.

    Attributes:
        stalled: 1 or 0.
        kind: flow, creep, leukocyte, rbc or clump.
        speed_um_s: signed mean speed of the target's cells while they move.
        stalled_share: share of the time in focus during which the cells stand.
        n_frames: frames of the clip.
        diameter_um: lumen diameter of the target.
        length_um: length of the target.
        pixel_um: size of a pixel.
        z_step_um: distance of slices.
        roi_y0: top of the box around the drawn line, px; half open, like the other three.
        roi_x0: left.
        roi_y1: bottom.
        roi_x1: right.
    """

    stalled: int
    kind: str
    speed_um_s: float
    stalled_share: float
    n_frames: int
    diameter_um: float
    length_um: float
    pixel_um: float
    z_step_um: float
    roi_y0: int
    roi_x0: int
    roi_y1: int
    roi_x1: int


def phantom_clip(seed: int | tuple[int, ...], label: Label) -> tuple[Clip, Truth]:
    """Render a whole outlined clip.

    Args:
        seed: decides everything; the same seed gives the same bytes.
        label: the target's state.

    Returns:
        The clip, ``(z, 384, 512 or 418, 3)`` uint8, and its truth.
    """
    rng = np.random.default_rng(seed)
    scene = sample_scene(rng, label)
    grey = expose(_light(scene, Box(0, 0, 0, *scene.shape)), scene.microscope, rng)
    coverage = scene.outline.coverage(scene.shape[1:])
    array = draw(grey, coverage, scene.outline.color)
    clip = Clip(array=array, source="phantom", voxel_size_um=scene.microscope.pitch_um)
    return clip, truth_of(scene)


def phantom_roi(seed: int | tuple[int, ...], label: Label) -> tuple[Volume, Truth]:
    """Render only the box around the outline: the same scene as `phantom_clip`, without a codec.

    Args:
        seed: decides everything; the same seed gives the same bytes.
        label: the target's state.

    Returns:
        The ROI, ``(z, y, x, 3)`` uint8 (about 60×66×67), and its truth.
    """
    rng = np.random.default_rng(seed)
    scene = sample_scene(rng, label)
    truth = truth_of(scene)
    box = Box(0, truth.roi_y0, truth.roi_x0, scene.shape[0], truth.roi_y1, truth.roi_x1)
    wide = Box(
        0,
        max(box.y0 - _MARGIN_PX, 0),
        max(box.x0 - _MARGIN_PX, 0),
        box.z1,
        min(box.y1 + _MARGIN_PX, scene.shape[1]),
        min(box.x1 + _MARGIN_PX, scene.shape[2]),
    )
    grey = expose(_light(scene, wide), scene.microscope, rng)
    _, ys, xs = box.slices
    grey = grey[:, box.y0 - wide.y0 : box.y1 - wide.y0, box.x0 - wide.x0 : box.x1 - wide.x0]
    coverage = scene.outline.coverage(scene.shape[1:])[ys, xs]
    volume = Volume(
        array=draw(grey, coverage, scene.outline.color),
        mask=scene.outline.filled(scene.shape[1:])[ys, xs],
        line=coverage >= 0.5,
        box=box,
        source="phantom",
        voxel_size_um=scene.microscope.pitch_um,
    )
    return volume, truth


def phantom_truth(seed: int | tuple[int, ...], label: Label) -> Truth:
    """The truth of `phantom_clip` without rendering it (milliseconds)."""
    return truth_of(sample_scene(np.random.default_rng(seed), label))


def truth_of(scene: Scene) -> Truth:
    """The truth table's row of a scene."""
    target = scene.tubes[0]
    ys, xs = np.nonzero(scene.outline.coverage(scene.shape[1:]) >= 0.5)
    share = 1.0 if scene.label is Label.STALLED else 0.0
    if np.isfinite(target.blood.stall_s[0]):
        share = _stalled_share(scene)
    return Truth(
        stalled=int(scene.label),
        kind=str(target.blood.kind),
        speed_um_s=round(target.blood.speed_um_s, 3),
        stalled_share=round(share, 3),
        n_frames=scene.shape[0],
        diameter_um=round(2 * target.vessel.radius_um, 3),
        length_um=round(target.vessel.length_um, 3),
        pixel_um=round(scene.microscope.pitch_um[1], 4),
        z_step_um=round(scene.microscope.pitch_um[0], 4),
        roi_y0=int(ys.min()),
        roi_x0=int(xs.min()),
        roi_y1=int(ys.max()) + 1,
        roi_x1=int(xs.max()) + 1,
    )


def _stalled_share(scene: Scene) -> float:
    """Share of the visible time between onset and release."""
    target = scene.tubes[0]
    begin, end = visible_s(target.vessel, scene.microscope, scene.shape[0])
    onset, release = target.blood.stall_s
    return float(max(min(end, release) - max(begin, onset), 0.0) / max(end - begin, 1e-9))


def _light(scene: Scene, box: Box) -> NDArray[np.float32]:
    """Noise-free grey levels of a box of the scene, ``(z, y, x)`` float32."""
    microscope = scene.microscope
    pitch = np.array(microscope.pitch_um, np.float32)
    light = np.zeros(box.size, np.float32)
    origin = np.array(box[:3])
    # When the raster passes each line: (2, z, y), at the line's beginning and in its middle.
    line_s = microscope.frame_s / scene.shape[1]
    frames, lines = np.arange(box.z0, box.z1), np.arange(box.y0, box.y1)
    time_s = frames[:, None] * microscope.frame_s + lines * line_s
    time_s = np.stack([time_s, time_s + line_s / 2])
    low = (origin - 20) * pitch
    high = (np.array(box[3:]) + 20) * pitch
    for tube in scene.tubes:
        points = tube.vessel.points_um
        reach = tube.vessel.radius_um + microscope.axial_um
        inside = (points > low - reach).all(axis=1) & (points < high + reach).all(axis=1)
        if not inside.any():
            continue
        first, last = np.flatnonzero(inside)[[0, -1]]
        part = slice(max(first - 2, 0), last + 3)
        paint(
            light,
            origin,
            points[part] / pitch,
            tube.vessel.arc_um[part],
            np.float32(tube.vessel.radius_um),
            pitch,
            np.float32(microscope.axial_um),
            tube.blood.cells,
            tube.blood.displacement_um(time_s),
            np.float32(tube.brightness),
        )
    _add_specks(light, scene, box)
    return light


def _add_specks(light: NDArray[np.float32], scene: Scene, box: Box) -> None:
    """Bright 2–5 px spots that last a slice or two."""
    for z, y, x, radius, grey in scene.specks:
        zi, yi, xi = int(z) - box.z0, int(y) - box.y0, int(x) - box.x0
        if not (-4 < yi < box.size[1] + 4 and -4 < xi < box.size[2] + 4):
            continue
        ys = slice(max(yi - 4, 0), max(yi + 5, 0))
        xs = slice(max(xi - 4, 0), max(xi + 5, 0))
        dy = np.arange(box.size[1])[ys, None] - (y - box.y0)
        dx = np.arange(box.size[2])[None, xs] - (x - box.x0)
        light[zi, ys, xs] += grey * np.exp(-(dy**2 + dx**2) / (2 * (radius / 2) ** 2))
