"""Rendering a scene: as a whole clip, or its ROI directly, with the truth beside it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stallscan.roi.volume import Volume
from stallscan.simulate._paint import paint
from stallscan.simulate.defects import blacken, repeat_frames
from stallscan.simulate.h264.recode import recode
from stallscan.simulate.microscope import Microscope, expose
from stallscan.simulate.outline import Outline, add_line
from stallscan.simulate.recording import palette, resample
from stallscan.simulate.scene import Scene, Tube, sample_scene
from stallscan.simulate.settings import PRESETS, Settings
from stallscan.simulate.state import State
from stallscan.simulate.truth import Truth
from stallscan.types import Box, Label, UInt8Array
from stallscan.video.clip import Clip

Float32 = NDArray[np.float32]

_CODEC_PX = 6
"""Neighbours that a codec's emulation wants."""
_BLOCK = 32
"""Frames rendered at a time: bounds the memory."""
_SEEN = 3.5
"""Axial decay lengths out of focus up to which a vessel is seen."""


def phantom_clip(
    seed: int | tuple[int, ...], state: State | Label, settings: Settings = PRESETS["clogloss"]
) -> tuple[Clip, Truth]:
    """Render a whole outlined clip.

    Args:
        seed: decides everything; the same seed gives the same bytes.
        state: the target's state.
        settings: ranges of everything that varies.

    Returns:
        The clip, ``(z, 384, 512 or 418, 3)`` uint8 (smaller where it is made a GIF), and its truth.
        No codec has touched it: it is to be written with the truth's ``crf``.
    """
    rng = np.random.default_rng(seed)
    scene = sample_scene(rng, state, settings)
    array = render(scene, whole(scene), rng)
    pitch = scene.microscope.out_pitch_um
    scale = scene.recording.scale
    voxel = (pitch[0], pitch[1] / scale, pitch[2] / scale)
    return Clip(array=array, source="phantom", voxel_size_um=voxel), scene.truth()


def phantom_roi(
    seed: int | tuple[int, ...],
    state: State | Label,
    settings: Settings = PRESETS["clogloss"],
    *,
    codec: bool = True,
) -> tuple[Volume, Truth]:
    """Render only the box around the outline: the same scene as `phantom_clip`, other noise.

    Args:
        seed: decides everything; the same seed gives the same bytes.
        state: the target's state.
        settings: ranges of everything that varies.
        codec: emulate what the video codec does to the picture (chroma smear, quantisation).

    Returns:
        The ROI, ``(z, y, x, 3)`` uint8 (about 60×66×67), and its truth.
    """
    rng = np.random.default_rng(seed)
    scene = sample_scene(rng, state, settings)
    truth = scene.truth()
    return render_roi(scene, truth, rng, codec=codec), truth


def phantom_truth(
    seed: int | tuple[int, ...], state: State | Label, settings: Settings = PRESETS["clogloss"]
) -> Truth:
    """The truth of `phantom_clip` without rendering it (milliseconds)."""
    return sample_scene(np.random.default_rng(seed), state, settings).truth()


def whole(scene: Scene) -> Box:
    """All of the stored video."""
    return Box(0, 0, 0, scene.shape[0], *scene.recording.out_size(scene.shape))


def render_roi(
    scene: Scene, truth: Truth, rng: np.random.Generator, *, codec: bool = True
) -> Volume:
    """The ROI of a scene, as `phantom_roi` has it; the truth is the scene's."""
    box = Box(0, truth.roi_y0, truth.roi_x0, truth.n_frames, truth.roi_y1, truth.roi_x1)
    if codec:
        height, width = scene.recording.out_size(scene.shape)
        around = Box(
            box.z0,
            max(box.y0 - _CODEC_PX, 0),
            max(box.x0 - _CODEC_PX, 0),
            box.z1,
            min(box.y1 + _CODEC_PX, height),
            min(box.x1 + _CODEC_PX, width),
        )
        array = recode(render(scene, around, rng), truth.crf, (around.y0, around.x0))
        y, x = box.y0 - around.y0, box.x0 - around.x0
        array = np.ascontiguousarray(array[:, y : y + box.size[1], x : x + box.size[2]])
    else:
        array = render(scene, box, rng)
    coverage, filled = _line(scene, box)
    return Volume(
        array=array,
        mask=filled,
        line=coverage >= 0.5,
        box=box,
        source="phantom",
        voxel_size_um=(truth.z_step_um, truth.pixel_um, truth.pixel_um),
    )


def render(scene: Scene, box: Box, rng: np.random.Generator) -> UInt8Array:
    """A box of the stored video with its outline, ``(z, y, x, 3)`` uint8, before any codec.

    Args:
        scene: what to render.
        box: in the stored video; all frames.
        rng: draws the noise.
    """
    source = _before_scaling(scene, box)
    grey = render_grey(scene, source, rng)
    rgb = np.repeat(grey[..., None], 3, axis=3)
    _draw(rgb, scene, source)
    if scene.recording.scale != 1:
        rgb = resample(rgb, scene.recording.scale, (source.y0, source.x0), box)
    return palette(rgb, scene.recording.levels)


def render_grey(scene: Scene, box: Box, rng: np.random.Generator) -> UInt8Array:
    """A box of the video at the size at which the outline is drawn, ``(z, y, x)`` uint8.

    Args:
        scene: what to render.
        box: voxels of ``scene.shape``.
        rng: draws the noise.
    """
    microscope = scene.microscope
    lit = replace(microscope, gain=microscope.gain * scene.defects.gain)
    grey = np.empty(box.size, np.uint8)
    for first in range(box.z0, box.z1, _BLOCK):
        last = min(first + _BLOCK, box.z1)
        scanned = _scanned(scene, Box(first, box.y0, box.x0, last, box.y1, box.x1))
        light = light_of(scene, scanned)
        raw = expose(light, lit, rng, (scanned.z0, scanned.y0, scanned.x0))
        if microscope.zoom != 1:
            raw = resample(raw, microscope.zoom, (scanned.y0, scanned.x0), box)
        else:
            y, x = box.y0 - scanned.y0, box.x0 - scanned.x0
            raw = raw[:, y : y + box.size[1], x : x + box.size[2]]
        part = grey[first - box.z0 : last - box.z0]
        np.clip(raw, 0, 255, out=raw)
        part[:] = raw
    blacken(grey, scene.defects, box)
    repeat_frames(grey, scene.defects)
    return grey


def light_of(scene: Scene, box: Box) -> Float32:
    """Noise-free light of the vessels in a box of the scanned stack, ``(z, y, x)`` float32."""
    microscope = scene.microscope
    capillaries, wide = np.zeros(box.size, np.float32), None
    frames, lines = np.arange(box.z0, box.z1), np.arange(box.y0, box.y1)
    time_s = microscope.line_times_s(frames, lines)
    tubes = [scene.target]
    if scene.surroundings is not None:
        pitch = np.array(microscope.pitch_um)
        deepest = microscope.axial_um * (1 + microscope.axial_growth * scene.shape[0] * pitch[0])
        low, high = np.array(box[:3]) * pitch, np.array(box[3:]) * pitch
        tubes += scene.surroundings.tubes(low, high, _SEEN * deepest)
    for tube in tubes:
        if tube.vessel.is_wide:
            # A capillary above a wide vessel adds to it; segments that meet do not add.
            wide = np.zeros(box.size, np.float32) if wide is None else wide
            _paint_tube(wide, tube, box, microscope, time_s)
        else:
            _paint_tube(capillaries, tube, box, microscope, time_s)
    if wide is not None:
        capillaries += wide
    _add_spots(capillaries, scene, box)
    return capillaries


def _paint_tube(
    light: Float32, tube: Tube, box: Box, microscope: Microscope, time_s: NDArray[np.float64]
) -> None:
    pitch = np.array(microscope.pitch_um, np.float32)
    vessel, blood = tube.vessel, tube.blood
    points = vessel.points_um
    depth_um = float(np.clip(points[:, 0].mean(), 0, None))
    decay = microscope.axial_um * (1 + microscope.axial_growth * depth_um)
    reach = vessel.radius_um + microscope.lateral_um + np.array([_SEEN * decay, 0, 0], np.float32)
    low, high = np.array(box[:3]) * pitch - reach, np.array(box[3:]) * pitch + reach
    inside = ((points > low) & (points < high)).all(axis=1)
    if not inside.any():
        return
    first, last = np.flatnonzero(inside)[[0, -1]]
    part = slice(max(first - 2, 0), last + 3)
    shift = blood.displacement_um(time_s)
    if not vessel.is_wide:  # one turn of the table more or less makes no difference
        shift = shift - np.floor(shift[:1] / blood.cells.period_um) * blood.cells.period_um
    paint(
        light,
        np.array(box[:3]),
        points[part] / pitch,
        vessel.arc_um[part],
        np.float32(vessel.radius_um),
        pitch,
        np.float32(decay),
        np.float32(microscope.lateral_um),
        blood.cells.total,
        shift,
        np.float32(tube.brightness),
        np.float32(np.sign(blood.speed_um_s)),
        vessel.is_wide,
    )


def _add_spots(light: Float32, scene: Scene, box: Box) -> None:
    """Specks and halos: bells in all three directions."""
    spots = scene.spots
    reach = 3 * spots[:, [3, 4, 4]] + 2
    near = (spots[:, :3] + reach > box[:3]) & (spots[:, :3] - reach < box[3:])
    for z, y, x, depth, radius, grey in spots[near.all(axis=1)]:
        spans = []
        for place, spread, first, size in zip(
            (z, y, x), (depth, radius, radius), box[:3], box.size, strict=True
        ):
            low = max(int(place - 3 * spread) - first, 0)
            high = min(int(place + 3 * spread) + 2 - first, size)
            distance = (np.arange(low, max(high, low)) + first - place) / spread
            spans.append((slice(low, max(high, low)), np.exp(-0.5 * distance**2)))
        (zs, bell_z), (ys, bell_y), (xs, bell_x) = spans
        bell = bell_z[:, None, None] * (bell_y[:, None] * bell_x)
        light[zs, ys, xs] += (grey * bell).astype(np.float32)


def _scanned(scene: Scene, box: Box) -> Box:
    """What must be scanned for a box of the video."""
    zoom = scene.microscope.zoom
    # So that motion brings in real neighbours.
    margin = int(np.ceil(np.abs(scene.microscope.motion_px).max())) + 3
    return Box(
        box.z0,
        int(np.floor(box.y0 / zoom)) - margin,
        int(np.floor(box.x0 / zoom)) - margin,
        box.z1,
        int(np.ceil(box.y1 / zoom)) + margin,
        int(np.ceil(box.x1 / zoom)) + margin,
    )


def _before_scaling(scene: Scene, box: Box) -> Box:
    """What must be rendered for a box of the stored video."""
    scale = scene.recording.scale
    if scale == 1:
        return box
    _, height, width = scene.shape
    margin = int(np.ceil(3 / scale)) + 1
    return Box(
        box.z0,
        max(int(box.y0 / scale) - margin, 0),
        max(int(box.x0 / scale) - margin, 0),
        box.z1,
        min(int(np.ceil(box.y1 / scale)) + margin, height),
        min(int(np.ceil(box.x1 / scale)) + margin, width),
    )


def _draw(rgb: UInt8Array, scene: Scene, box: Box) -> None:
    """The outline into a box of the video at the size at which it is drawn."""
    drawn = scene.defects.drawn[box.z0 : box.z1]
    for code, outline in ((1, scene.outline), (2, scene.defects.elsewhere)):
        frames = np.flatnonzero(drawn == code)
        if outline is None or len(frames) == 0:
            continue
        coverage = _window(outline, box)
        if len(frames) == len(rgb):
            add_line(rgb, coverage, outline.color)
        else:
            part = rgb[frames]
            add_line(part, coverage, outline.color)
            rgb[frames] = part


def _window(outline: Outline, box: Box) -> Float32:
    """Coverage of the line in a box."""
    return _moved(outline, box).coverage(box.size[1:])


def _moved(outline: Outline, box: Box) -> Outline:
    """The outline in the coordinates of a box."""
    corner = np.array([box.x0, box.y0], np.float32)
    return replace(outline, contour_px=(outline.contour_px - corner).astype(np.float32))


def _line(scene: Scene, box: Box) -> tuple[Float32, NDArray[np.bool_]]:
    """Coverage of the line and the area inside it in a box of the stored video."""
    source = _before_scaling(scene, box)
    outline = _moved(scene.outline, source)
    coverage = outline.coverage(source.size[1:])
    filled = outline.filled(source.size[1:])
    if scene.recording.scale != 1:
        both = np.stack([coverage, filled.astype(np.float32)])
        coverage, area = resample(both, scene.recording.scale, (source.y0, source.x0), box)
        filled = area >= 0.5
    return coverage, filled | (coverage >= 0.5)
