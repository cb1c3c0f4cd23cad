"""One stage carried out on one array, by the cheapest way that fits it.

- Planes only: whole voxels are copied; so are moves by whole voxels, and the nearest voxels of maps
  that leave the axes apart.
- Tables only: OpenCV resizes (or remaps) each frame, and frames are blended along z.
- Smooth maps within the frames: the same with one place map for all frames, or one for each.
- All else (elastic along z, rotation out of the plane): one gather in three dimensions.
- Splines of higher order, and what is too large for OpenCV: SciPy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from stallscan.augment import _kernels
from stallscan.augment._copy import contiguous
from stallscan.augment._maps import Affine, Displacement, Floats, FrameShift, Sampling
from stallscan.augment._stage import Stage
from stallscan.errors import OptionError

Array = NDArray[Any]
_BORDER_CODE = {
    "constant": _kernels.CONSTANT,
    "nearest": _kernels.NEAREST,
    "reflect": _kernels.REFLECT,
}
_CV_EXTENT = 32766  # what OpenCV can do
CV_CHANNELS = 128
_NODES_APART = 1e9  # of an affine map two nodes on each axis say everything


def run_stage(array: Array, stage: Stage, *, labels: bool) -> Array:
    """Carry a stage out.

    Args:
        array: ``(z, y, x, c)``.
        stage: made for this ``(z, y, x)``.
        labels: take the nearest voxel always, so that no value is new.

    Returns:
        ``(*stage.shape, c)`` of the same dtype; a view of `array` where nothing is interpolated.
    """
    source = _taken(array, stage)
    if not stage.smooth and all(table is None for table in stage.tables):
        return source
    order = 0 if labels else (stage.order or 0)
    sampling = stage.sampling or Sampling()
    value = sampling.mask_value if labels else sampling.value
    fill = _as_value(value, array.dtype, labels=labels)
    whole = stage.moves_whole_voxels
    if whole or (order == 0 and stage.is_separable):
        return _picked(source, stage, fill, whole=whole)
    extents = (*source.shape[1:3], *stage.shape[1:])
    if order > 1 or (order and (max(extents) > _CV_EXTENT or source.shape[3] > CV_CHANNELS)):
        return _splines(source, stage, order, fill)
    source = contiguous(source)
    carry_out = _by_frames if all(m.is_in_plane for m in stage.smooth) else _gathered
    if order == 0:  # bytes are copied: one compiled loop for each width serves all dtypes
        word = np.dtype(f"u{source.itemsize}")
        words = carry_out(source.view(word), stage, linear=False, fill=fill.view(word))
        return words.view(array.dtype)
    result = carry_out(source, stage, linear=True, fill=fill)
    if result.dtype == np.float32:  # rounding may leave the range by the last bit
        np.clip(result, min(source.min(), fill), max(source.max(), fill), out=result)
    return result


def _as_value(value: float, dtype: np.dtype[Any], *, labels: bool) -> Any:
    with np.errstate(invalid="ignore", over="ignore"):
        fill = np.asarray(value).astype(dtype)
    if float(fill) != float(np.float32(value)) and float(fill) != float(value):
        name = "mask_value" if labels else "value"
        raise OptionError(f"{name} is {value!r}, which {dtype} cannot hold; choose one that it can")
    return fill[()]


def _taken(array: Array, stage: Stage) -> Array:
    """Axes transposed and planes taken: a view where the planes are evenly spaced."""
    source = array.transpose(*stage.axes, 3)
    for axis, index in enumerate(stage.index):
        source = _planes(source, axis, index)
    return source


def _planes(source: Array, axis: int, index: NDArray[np.intp] | range) -> Array:
    if isinstance(index, range):
        stop = None if index.stop < 0 else index.stop
        chosen = slice(index.start, stop, index.step)
        return source[(slice(None),) * axis + (chosen,)]
    return np.take(source, index, axis=axis) if axis < 2 else _columns(source, index)


def _columns(source: Array, index: NDArray[np.intp]) -> Array:
    """Planes of x, run by run: NumPy's take would copy voxel by voxel."""
    out = np.empty((*source.shape[:2], len(index), source.shape[3]), source.dtype)
    start = 0
    for stop in (*(np.flatnonzero(np.diff(index) != 1) + 1), len(index)):
        first = index[start]
        out[:, :, start:stop] = source[:, :, first : first + stop - start]
        start = stop
    return out


# --- Voxel for voxel --------------------------------------------------------------------------


def _picked(source: Array, stage: Stage, fill: Any, *, whole: bool) -> Array:
    """Planes of each axis, and the constant around them."""
    moved = whole and stage.sampling is not None and stage.sampling.border == "constant"
    chosen = [
        _moved_planes(stage, axis)
        if moved and stage.tables[axis] is None
        else _nearest_planes(stage, axis)
        for axis in range(3)
    ]
    first, planes = zip(*chosen, strict=True)
    extents, shape = tuple(len(index) for index in planes), stage.shape
    even = all(isinstance(index, range) for index in planes)
    if even:
        for axis, index in enumerate(planes):
            source = _planes(source, axis, index)
        if extents == shape:
            return source
    size = (*shape, source.shape[3])
    out = np.empty(size, source.dtype) if extents == shape else np.full(size, fill)
    if even:
        rows_stay = source.strides[2] == source.shape[3] * source.itemsize
        where = tuple(slice(a, a + n) for a, n in zip(first, extents, strict=True))
        out[where] = source if rows_stay else contiguous(source)
    elif 0 not in extents:
        _pick_planes(contiguous(source), planes, first, out)
    return out


def _moved_planes(stage: Stage, axis: int) -> tuple[int, range]:
    """`_nearest_planes` of moves by whole voxels into a constant, which only have two ends."""
    low, high, moved = 0, stage.smoothed[axis], 0
    for map_, frame in zip(reversed(stage.smooth), reversed(stage.frames), strict=True):
        assert isinstance(map_, Affine)
        moved += int(map_.offset[axis])
        low, high = max(low, -moved), min(high, frame[axis] - moved)
    return low, range(low + moved, max(high, low) + moved)


def _nearest_planes(stage: Stage, axis: int) -> tuple[int, NDArray[np.intp] | range]:
    """The first plane of the result that has a source, and the source's planes from there on."""
    planes = np.floor(source_places(stage, axis) + 0.5).astype(np.intp)
    inside = np.flatnonzero(planes >= 0)  # one run: nothing turns back beyond the border
    if not len(inside):
        return 0, range(0)
    return int(inside[0]), _as_range(planes[inside])


def _as_range(index: NDArray[np.intp]) -> NDArray[np.intp] | range:
    """Evenly spaced planes as a range."""
    start, step = int(index[0]), int(index[1] - index[0]) if len(index) > 1 else 1
    if step == 0 or (np.diff(index) != step).any():
        return index
    return range(start, start + step * len(index), step)


def _pick_planes(
    source: Array, planes: Sequence[NDArray[np.intp] | range], first: Sequence[int], out: Array
) -> None:
    """Planes of all axes into `out`, from the place `first` on."""
    z, y, x = (np.asarray(index) for index in planes)
    channels = source.shape[3]
    # The longest run of consecutive columns is copied at once.
    breaks = np.flatnonzero(np.diff(x, prepend=-2, append=-2) != 1)
    longest = int(np.argmax(np.diff(breaks)))
    run = breaks[longest : longest + 2] * channels
    columns = (x[:, None] * channels + np.arange(channels)).reshape(-1).astype(np.uint64)
    begin = np.array([first[0], first[1], first[2] * channels])
    word = np.dtype(f"u{source.itemsize}")  # one compiled loop for each width serves all dtypes
    _kernels.pick_planes(
        source.view(word).reshape(*source.shape[:2], -1),
        *(z, y, columns, run, begin),
        out.view(word).reshape(*out.shape[:2], -1),
    )


# --- Frame by frame ---------------------------------------------------------------------------


def _by_frames(source: Array, stage: Stage, *, linear: bool, fill: Any) -> Array:
    depths = source_places(stage, 0)
    shift = any(isinstance(m, FrameShift) for m in stage.smooth)
    depth, height, width = stage.shape
    out_shape = (depth, height, width, source.shape[3])
    if not linear:
        frame = np.where(depths < 0, -1, np.floor(np.maximum(depths, 0) + 0.5)).astype(np.intp)
        out = np.full(out_shape, fill, source.dtype)
        if not shift:
            y, x = _nearest(*_plane_places(stage, None))
            _kernels.pick(source, frame, y, x, out)
            return out
        for k in range(depth):
            y, x = _nearest(*_plane_places(stage, int(frame[k])))
            _kernels.pick(source, frame[k : k + 1], y, x, out[k : k + 1])
        return out
    lower = np.floor(depths).astype(np.intp)
    weight = depths - lower
    upper = np.where(weight > 0, np.minimum(lower + 1, len(source) - 1), lower)
    inside = depths >= 0
    lower[~inside] = upper[~inside] = -1
    needed = np.unique(np.concatenate([lower[inside], upper[inside]]))
    if not shift and len(needed) > depth:  # fewer frames come out: blend them before they grow
        blended = _blend(source, lower, upper, weight, fill)
        return _warped(blended, stage, np.arange(depth), fill)
    warped = _warped(source, stage, needed, fill)
    if len(needed) == depth and (needed == lower).all() and not weight[inside].any():
        return warped
    at = np.searchsorted(needed, np.stack([lower, upper]))
    at[:, ~inside] = -1
    return _blend(warped, at[0], at[1], weight, fill)


def source_places(stage: Stage, axis: int) -> Floats:
    """Place in the source of every plane of an axis that no map mixes; −1 in a constant."""
    places = stage.places(axis)
    inside = np.ones(len(places), bool)
    for map_, frame in zip(reversed(stage.smooth), reversed(stage.frames), strict=True):
        if isinstance(map_, Affine):
            places = places * map_.matrix[axis, axis] + map_.offset[axis]
        places, kept = _within(places, frame[axis], stage)
        inside &= kept
    return np.where(inside, np.clip(places, 0, stage.taken[axis] - 1), -1.0)


def _plane_places(stage: Stage, frame: int | None) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Places ``(y, x)`` in the source of a frame's pixels, and which are inside."""
    y, x = np.meshgrid(stage.places(1), stage.places(2), indexing="ij")
    inside = np.ones(y.shape, bool)
    for map_, extents in zip(reversed(stage.smooth), reversed(stage.frames), strict=True):
        if isinstance(map_, FrameShift):
            assert frame is not None
            down, right = map_.shifts[frame]
            y, x = y + down, x + right
        elif isinstance(map_, Affine):
            (_, (_, yy, yx), (_, xy, xx)), (_, oy, ox) = map_.matrix, map_.offset
            y, x = yy * y + yx * x + oy, xy * y + xx * x + ox
        elif isinstance(map_, Displacement):
            down, right = map_.at_plane(y, x)
            y, x = y + down, x + right
        y, kept_y = _within(y, extents[1], stage)
        x, kept_x = _within(x, extents[2], stage)
        inside &= kept_y & kept_x
    _, height, width = stage.taken
    return np.clip(y, 0, height - 1), np.clip(x, 0, width - 1), inside


def _within(places: Floats, extent: int, stage: Stage) -> tuple[Floats, NDArray[np.bool_]]:
    """Places folded by the border, and which of them a volume of this extent has."""
    border = stage.sampling.border if stage.sampling else "nearest"
    if border == "constant":
        return places, (places >= -0.5) & (places <= extent - 0.5)
    if border == "reflect":
        places = np.mod(places + 0.5, 2 * extent)
        places = np.where(places > extent, 2 * extent - places, places) - 0.5
    return np.clip(places, 0, extent - 1), np.ones(places.shape, bool)


def _nearest(
    y: Floats, x: Floats, inside: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    rows = np.where(inside, np.floor(y + 0.5), -1).astype(np.intp)
    return rows, np.floor(x + 0.5).astype(np.intp)


def _warped(source: Array, stage: Stage, frames: NDArray[np.intp], fill: Any) -> Array:
    """The plane's part of a stage on some frames: ``(len(frames), y, x, c)``."""
    _, height, width = stage.shape
    out = np.empty((len(frames), height, width, source.shape[3]), source.dtype)
    if not stage.smooth:
        tables = [stage.tables[1], stage.tables[2]]
        if all(table is None for table in tables):
            out[:] = source[frames]
            return out
        flips = [_resized(table, source.shape[axis + 1]) for axis, table in enumerate(tables)]
        if None not in flips:
            steps = tuple(slice(None, None, -1 if flip else 1) for flip in flips)
            mirrored = contiguous(source[(slice(None), *steps)])
            for number, frame in enumerate(frames):
                cv2.resize(mirrored[frame], (width, height), dst=out[number])
            return out
    shift = any(isinstance(m, FrameShift) for m in stage.smooth)
    maps = None if shift else _to_cv(*_plane_places(stage, None))
    for number, frame in enumerate(frames):
        first, second = maps or _to_cv(*_plane_places(stage, int(frame)))
        _remap(source[frame], first, second, fill, out[number])
    return out


def _resized(table: Floats | None, extent: int) -> bool | None:
    """Whether a table mirrors what cv2.resize does (True), is it (False), or neither (None)."""
    if table is None:
        return False
    scale = extent / len(table)
    plain = np.clip((np.arange(len(table)) + 0.5) * scale - 0.5, 0, extent - 1)
    for mirrored in (False, True):
        if np.abs((table[::-1] if mirrored else table) - plain).max() < 1e-9:
            return mirrored
    return None


def _to_cv(y: Floats, x: Floats, inside: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Places in OpenCV's fixed point, 1/32 voxel; outside: far beyond the border."""
    far = np.float32(-1e4)
    first, second = cv2.convertMaps(
        np.where(inside, x, far).astype(np.float32),
        np.where(inside, y, far).astype(np.float32),
        cv2.CV_16SC2,
    )
    return first, second


def _remap(frame: Array, first: Array, second: Array, fill: Any, out: Array) -> None:
    channels = frame.shape[2]
    if channels <= 4:
        cv2.remap(
            frame,
            first,
            second,
            cv2.INTER_LINEAR,
            dst=out,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=(float(fill),) * 4,
        )
        return
    for start in range(0, channels, 4):  # OpenCV remaps four channels at most
        part = np.ascontiguousarray(frame[..., start : start + 4])
        warped = np.empty((*out.shape[:2], part.shape[2]), out.dtype)
        _remap(part, first, second, fill, warped)
        out[..., start : start + 4] = warped


def _blend(
    frames: Array, lower: NDArray[np.intp], upper: NDArray[np.intp], weight: Floats, fill: Any
) -> Array:
    """Frames between frames: ``(len(lower), y, x, c)``; negative ones are filled."""
    out = np.empty((len(lower), *frames.shape[1:]), frames.dtype)
    out[lower < 0] = fill
    rows, flat = frames.reshape(len(frames), -1), out.reshape(len(out), -1)
    if frames.dtype == np.uint8:
        eighth = np.rint(weight * 256).astype(np.uint16)
        _kernels.blend_bytes(rows, lower, upper, eighth, flat)
    else:
        half = np.float32(0 if frames.dtype == np.float32 else 0.5)
        _kernels.blend(rows, lower, upper, weight.astype(np.float32), half, flat)
    return out


# --- In three dimensions ----------------------------------------------------------------------


def _gathered(source: Array, stage: Stage, *, linear: bool, fill: Any) -> Array:
    spacing = [_NODES_APART] * 3
    for map_ in stage.smooth:
        if isinstance(map_, Displacement):
            # Turned by what comes after it, a field that is the same along an axis is so no more.
            most = _NODES_APART if map_ is stage.smooth[-1] else min(map_.spacing)
            steps = (most if math.isinf(step) else step for step in map_.spacing)
            spacing = [min(pair) for pair in zip(spacing, steps, strict=True)]
    extents = stage.smoothed
    spacing = [min(s, max(extent - 1, 1)) for s, extent in zip(spacing, extents, strict=True)]
    nodes = [
        np.arange(int(np.ceil((extent - 1) / s - 1e-9)) + 1) * s
        for extent, s in zip(extents, spacing, strict=True)
    ]
    places = np.stack(np.meshgrid(*nodes, indexing="ij")).reshape(3, -1)
    parts: list[Floats] = []
    for map_ in reversed(stage.smooth):
        if not parts and isinstance(map_, Displacement) and map_.spacing == tuple(spacing):
            moved = map_.field.reshape(3, -1)  # the lattice is its own
            places = places + moved if moved.shape == places.shape else map_.pull(places)
        else:
            places = map_.pull(places)
        parts.append(places)
    lattice = np.concatenate(parts).astype(np.float32)
    lattice = lattice.reshape(-1, *(len(axis) for axis in nodes))  # (3 m, z, y, x)
    limits = np.array(stage.frames[::-1], np.int64)  # (m, 3)
    before, share = zip(
        *(_between(stage.places(axis), spacing[axis], len(nodes[axis])) for axis in range(3)),
        strict=True,
    )
    after = np.minimum(before[2] + 1, len(nodes[2]) - 1)
    left = lattice[..., before[2]]
    lattice = left + share[2] * (lattice[..., after] - left)  # (3 m, nodes z, nodes y, x)
    cells = (before[0], share[0], before[1], share[1])
    out = np.full((*stage.shape, source.shape[3]), fill, source.dtype)
    border = _BORDER_CODE[stage.sampling.border if stage.sampling else "constant"]
    if linear and source.dtype == np.uint8:
        depth, height, width, channels = source.shape
        packed = np.empty((depth + 1, height + 1, width + 1), np.uint64)
        for first in range(0, channels, 3):
            _kernels.pack(source, first, packed)
            _kernels.gather_packed(packed, lattice, limits, *cells, border, first, out)
        return out
    half = np.float32(0 if source.dtype == np.float32 else 0.5)
    _kernels.gather(source, lattice, limits, *cells, border, linear, half, out)
    return out


def _between(
    places: Floats, spacing: float, n_nodes: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The node before each place, and the share of the one after it."""
    place = places / spacing
    node = np.minimum(np.floor(place).astype(np.int64), n_nodes - 1)
    return node, (place - node).astype(np.float32)


def _splines(source: Array, stage: Stage, order: int, fill: Any) -> Array:
    """Dense places, SciPy's splines; overshoot saturates at the source's own range."""
    grid = np.meshgrid(*(stage.places(axis) for axis in range(3)), indexing="ij")
    places = np.stack(grid).reshape(3, -1)
    inside = np.ones(places.shape[1], bool)
    for map_, frame in zip(reversed(stage.smooth), reversed(stage.frames), strict=True):
        places = map_.pull(places)
        for axis in range(3):
            places[axis], kept = _within(places[axis], frame[axis], stage)
            inside &= kept
    out = np.empty((*stage.shape, source.shape[3]), source.dtype)
    low, high = source.min(), source.max()
    for channel in range(source.shape[3]):
        values = map_coordinates(
            source[..., channel].astype(np.float32), places, order=order, mode="nearest"
        )
        values = np.clip(values, low, high)
        if source.dtype != np.float32:
            values = np.rint(values)
        values = np.where(inside, values, fill).astype(source.dtype)
        out[..., channel] = values.reshape(stage.shape)
    return out
