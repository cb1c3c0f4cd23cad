"""The planner: drawn transforms applied to all targets, as few passes over the voxels as it takes.

Consecutive spatial transforms become one resampling (`_stage`), consecutive tables of uint8 values
one table. Points and boxes go through every map exactly.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stallscan.augment import _checks
from stallscan.augment._maps import Map
from stallscan.augment._plan import resample
from stallscan.augment._transform import Params, Pixel, Shape, Spatial, Transform
from stallscan.augment._values import look_up
from stallscan.errors import OptionError


@dataclass(frozen=True, slots=True)
class Step:
    """A transform, what it has drawn, and its maps if it is spatial."""

    transform: Transform
    params: Params
    maps: list[Map]


Names = tuple[tuple[str, ...], tuple[str, ...]]
"""Keys of images and of masks."""
PLACES = ("points", "boxes")
_WIDTH = {"points": 3, "boxes": 6}
_NUDGE = 1e-12


def shape_of(targets: dict[str, Any], names: Names) -> Shape:
    """``(z, y, x)`` of the targets, which must agree.

    Raises:
        OptionError: an unknown key, no image or mask, or extents that differ.
    """
    images, masks = names
    allowed = (*images, *masks, *PLACES)
    for key in targets:
        if key not in allowed:
            _checks.one_of("target", key, allowed)
    found: dict[str, Shape] = {}
    for key in images:
        if key in targets:
            found[key] = _extent(_checks.image_array(key, targets[key]))
    for key in masks:
        if key in targets:
            mask = np.asarray(targets[key])
            fits = mask.dtype.kind in "biu" or mask.dtype in (np.float32, np.float64)
            if mask.ndim not in (3, 4) or 0 in mask.shape or not fits:
                raise OptionError(
                    f"{key} is {mask.dtype} of shape {mask.shape}, allowed are (z, y, x) and "
                    "(z, y, x, c) of bool, whole numbers, float32 or float64, not empty"
                )
            found[key] = _extent(mask)
    if not found:
        raise OptionError(f"got {', '.join(targets) or 'nothing'}; give image= or mask=")
    first, shape = next(iter(found.items()))
    for key, other in found.items():
        if other != shape:
            raise OptionError(
                f"{key} has the extent {other}, {first} has {shape}; all must have the same "
                "(z, y, x)"
            )
    return shape


def run(
    drawn: Sequence[tuple[Transform, Params]], shape: Shape, targets: dict[str, Any], names: Names
) -> dict[str, Any]:
    """Apply drawn transforms to targets whose ``(z, y, x)`` `shape_of` has told.

    Returns:
        New arrays under the same keys.
    """
    steps: list[Step] = []
    for transform, params in drawn:
        maps = transform.map(params, shape) if isinstance(transform, Spatial) else []
        steps.append(Step(transform, params, maps))
        for map_ in maps:
            shape = map_.out_shape(shape)
    images, masks = names
    result: dict[str, Any] = {}
    for key, target in targets.items():
        if key in images:
            result[key] = _run_image(np.asarray(target), steps)
        elif key in masks:
            mask = np.asarray(target)
            result[key] = _run_mask(mask.astype(mask.dtype.newbyteorder("="), copy=False), steps)
        else:
            rows = _rows(key, target)
            moved = _run_points(rows, steps) if key == "points" else _run_boxes(rows, steps, shape)
            result[key] = moved
    return result


def _extent(array: NDArray[Any]) -> Shape:
    return array.shape[0], array.shape[1], array.shape[2]


def _groups(steps: Sequence[Step]) -> Iterator[tuple[bool, list[Step]]]:
    """Consecutive spatial ones, consecutive others."""
    for spatial, group in itertools.groupby(steps, lambda s: isinstance(s.transform, Spatial)):
        yield spatial, list(group)


def _run_image(image: NDArray[Any], steps: Sequence[Step]) -> NDArray[Any]:
    found = image
    for spatial, group in _groups(steps):
        if spatial:
            found = resample(found, [map_ for step in group for map_ in step.maps])
        else:
            found = _run_values(found, group)
    return found.copy(order="C") if np.may_share_memory(found, image) else found


def _run_values(image: NDArray[Any], group: Sequence[Step]) -> NDArray[Any]:
    """Transforms of values; where tables of uint8 follow one another, they are joined."""
    tables: list[NDArray[np.uint8]] = []
    waiting: Step | None = None  # the one transform behind a single table
    for step in (*group, None):
        more = None
        if step is not None and image.dtype == np.uint8 and isinstance(step.transform, Pixel):
            more = step.transform.table(step.params, len(image))
        if more is not None:
            tables.append(more)
            waiting = step
            continue
        if len(tables) == 1 and waiting is not None:
            image = waiting.transform.apply(image, waiting.params)
        elif tables:
            image = look_up(image, functools.reduce(_joined, tables))
        tables, waiting = [], None
        if step is not None:
            image = step.transform.apply(image, step.params)
    return image


def _joined(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The table of one lookup after another, ``(256,)`` or ``(n_frames, 256)`` each."""
    if second.ndim == 1:
        return second[first]
    if first.ndim == 1:
        return second[:, first]
    return np.take_along_axis(second, first.astype(np.intp), axis=1)


def _run_mask(mask: NDArray[Any], steps: Sequence[Step]) -> NDArray[Any]:
    found = mask
    for spatial, group in _groups(steps):
        if spatial:
            maps = [map_ for step in group for map_ in step.maps]
            found = resample(found, maps, labels=True)
            continue
        for step in group:
            found = step.transform.apply_to_mask(found, step.params)
    return found.copy(order="C") if np.may_share_memory(found, mask) else found


def _rows(key: str, target: Any) -> NDArray[np.float64]:
    width = _WIDTH[key]
    try:
        rows = np.array(target, np.float64)
    except (TypeError, ValueError):
        raise OptionError(
            f"{key} are {target!r}, allowed is an array (n, {width}) of numbers"
        ) from None
    if rows.size == 0 and rows.ndim < 2:
        rows = rows.reshape(0, width)
    if rows.ndim != 2 or rows.shape[1] < width:
        raise OptionError(
            f"{key} have the shape {rows.shape}, allowed is (n, {width}); further columns are kept"
        )
    wrong = ~np.isfinite(rows[:, :width]).all(axis=1)
    if key == "boxes":
        wrong |= (rows[:, 3:6] < rows[:, :3]).any(axis=1)
    if wrong.any():
        row = int(np.argmax(wrong))
        order = (
            "z0, y0, x0, z1, y1, x1 with each end after its start" if key == "boxes" else "z, y, x"
        )
        raise OptionError(f"{key}[{row}] is {rows[row].tolist()}, allowed are finite {order}")
    return rows


def _run_points(points: NDArray[np.float64], steps: Sequence[Step]) -> NDArray[np.float64]:
    """Places of points, also of those that have left the volume."""
    return np.concatenate([_pushed(points[:, :3], steps), points[:, 3:]], axis=1)


def _pushed(places: NDArray[np.float64], steps: Sequence[Step]) -> NDArray[np.float64]:
    for step in steps:
        for map_ in step.maps:
            places = map_.push(places)
    return places


def _run_boxes(
    boxes: NDArray[np.float64], steps: Sequence[Step], shape: Shape
) -> NDArray[np.float64]:
    """The smallest upright boxes around the moved ones, cut at the volume's border.

    A box that has left the volume has no extent along an axis; its row stays.
    """
    moved = boxes.copy()
    if not len(boxes):
        return moved
    skins = [_skin(box) for box in boxes]
    places = _pushed(np.concatenate(skins), steps)
    starts = np.cumsum([0, *(len(skin) for skin in skins[:-1])])
    low = np.minimum.reduceat(places, starts) + 0.5
    high = np.maximum.reduceat(places, starts) + 0.5
    # Rounded, so that the nudge of `_skin` does not show.
    moved[:, :3], moved[:, 3:6] = (np.clip(end.round(9), 0, shape) for end in (low, high))
    return moved


def _skin(box: NDArray[np.float64]) -> NDArray[np.float64]:
    """Places of a box that tell where it goes, ``(n, 3)``.

    Corners, middles of edges and faces for bent ones, and the same in every frame, for frames may
    be shifted each on its own: in quarters, for there may be up to four times as many by then.
    """
    low, high = box[:3] - 0.5, box[3:6] - 0.5  # edges of voxels
    inside = min(_NUDGE, (high[0] - low[0]) / 2)  # an edge is not the next frame's
    frames = np.arange(np.ceil(4 * low[0]), np.floor(4 * high[0]) + 1) / 4
    middle = (low + high) / 2
    z = np.concatenate([[low[0] + inside, middle[0], high[0] - inside], frames])
    grid = np.meshgrid(z, *np.stack([low, middle, high], axis=1)[1:], indexing="ij")
    return np.stack(grid, axis=-1).reshape(-1, 3)
