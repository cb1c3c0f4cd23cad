"""One stage of augment's planner carried out on a tensor: what `augment._resample` does on arrays.

The same places and the same borders. Values are computed in float32 and rounded once a stage, where
OpenCV takes places in 1/32 voxel; planes that stay planes are sampled in two dimensions.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from stallscan.augment._maps import Affine, Displacement, FrameShift, Sampling
from stallscan.augment._resample import source_places
from stallscan.augment._stage import Stage
from stallscan.training._device_copy import tensor_on

Places = tuple[Tensor, Tensor, Tensor]
"""Along z, y and x, float64 voxels; shapes that broadcast to ``(z, y, x)``."""


def run_stage(volume: Tensor, stage: Stage, *, labels: bool) -> Tensor:
    """Carry a stage out whose interpolation is of order 0 or 1.

    Args:
        volume: ``(c, z, y, x)`` float32 of whole numbers.
        stage: made for this ``(z, y, x)``.
        labels: take the nearest voxel always, so that no value is new.

    Returns:
        ``(c, *stage.shape)`` float32 of whole numbers.
    """
    source = _taken(volume, stage)
    if not stage.smooth and all(table is None for table in stage.tables):
        return source
    sampling = stage.sampling or Sampling()
    fill = sampling.mask_value if labels else sampling.value
    if all(m.is_in_plane for m in stage.smooth):
        carry_out = _picked_by_frames if labels or not stage.order else _blended
        return carry_out(source, stage, fill)
    places, inside = _pulled(stage, *_places(stage, source.device))
    within = inside[0] & inside[1] & inside[2]
    if labels or not stage.order:
        moved = _picked(source, places)
    else:
        moved = _rounded(_sampled(source[None], _stacked(*places))[0])
    return torch.where(within, moved, fill)


def _rounded(values: Tensor) -> Tensor:
    return torch.floor(values + 0.5)


def _taken(volume: Tensor, stage: Stage) -> Tensor:
    """Axes transposed and planes taken."""
    source = volume.permute(0, *(axis + 1 for axis in stage.axes))
    for axis, index in enumerate(stage.index):
        if not (isinstance(index, range) and index == range(source.shape[axis + 1])):
            source = source.index_select(axis + 1, tensor_on(volume.device, np.asarray(index)))
    return source


# --- Frame by frame ---------------------------------------------------------------------------


def _blended(source: Tensor, stage: Stage, fill: float) -> Tensor:
    """Frames resampled within their planes, and frames between frames."""
    depths = source_places(stage, 0)
    outside = depths < 0
    lower = np.floor(depths).astype(np.intp).clip(0)
    weight = np.where(outside, 0, depths - lower)
    upper = np.where(weight > 0, np.minimum(lower + 1, source.shape[1] - 1), lower)
    needed, at = np.unique(np.stack([lower, upper]), return_inverse=True)
    at = at.reshape(2, -1)
    shift = any(isinstance(m, FrameShift) for m in stage.smooth)
    if not shift and len(needed) > len(depths):  # fewer frames come out: blend before they grow
        frames = _between(source, lower, upper, weight)
        moved = _warped(frames, stage, np.arange(len(depths)), fill)
    else:
        frames = source.index_select(1, tensor_on(source.device, needed))
        moved = _between(_warped(frames, stage, needed, fill), at[0], at[1], weight)
    moved = _rounded(moved)
    if outside.any():
        moved = torch.where(tensor_on(source.device, outside)[:, None, None], fill, moved)
    return moved


def _between(
    frames: Tensor, lower: NDArray[np.intp], upper: NDArray[np.intp], weight: NDArray[np.float64]
) -> Tensor:
    """``(c, z, y, x)`` between frames: ``weight`` is that of the upper ones."""
    before = frames.index_select(1, tensor_on(frames.device, lower))
    if not weight.any():
        return before
    after = frames.index_select(1, tensor_on(frames.device, upper))
    share = tensor_on(frames.device, weight.astype(np.float32))
    return torch.lerp(before, after, share[:, None, None])


def _warped(frames: Tensor, stage: Stage, numbers: NDArray[np.intp], fill: float) -> Tensor:
    """The plane's part of a stage on ``(c, n, y, x)``, whose frames have these numbers."""
    if not stage.smooth and stage.tables[1] is None and stage.tables[2] is None:
        return frames
    _, y, x = _places(stage, frames.device)
    (_, y, x), (_, down, right) = _pulled(stage, _column(numbers, frames.device), y, x)
    moved = _sampled(frames.transpose(0, 1), _stacked(y, x)).transpose(0, 1)
    return torch.where(down & right, moved, fill)


def _picked_by_frames(source: Tensor, stage: Stage, fill: float) -> Tensor:
    depths = source_places(stage, 0)
    z = _column(np.maximum(depths, 0), source.device)
    _, y, x = _places(stage, source.device)
    (_, y, x), (_, down, right) = _pulled(stage, z, y, x)
    within = _column(depths, source.device) >= 0
    return torch.where(within & down & right, _picked(source, (z, y, x)), fill)


# --- Places -----------------------------------------------------------------------------------


def _column(along_z: NDArray[np.generic], device: torch.device) -> Tensor:
    return tensor_on(device, along_z.astype(np.float64))[:, None, None]


def _places(stage: Stage, device: torch.device) -> Places:
    """Of the result's voxels, behind the smooth maps."""
    z, y, x = (tensor_on(device, stage.places(axis)) for axis in range(3))
    return z[:, None, None], y[None, :, None], x[None, None, :]


def _pulled(stage: Stage, z: Tensor, y: Tensor, x: Tensor) -> tuple[Places, Places]:
    """Places in the source, and which of them the volumes have, axis by axis."""
    border = stage.sampling.border if stage.sampling else "nearest"
    places: Places = (z, y, x)
    inside = [torch.ones_like(along, dtype=torch.bool) for along in places]
    for map_, extents in zip(reversed(stage.smooth), reversed(stage.frames), strict=True):
        places = _pull(map_, places)
        folded = []
        for axis, (along, extent) in enumerate(zip(places, extents, strict=True)):
            if border == "constant":
                inside[axis] = inside[axis] & (along >= -0.5) & (along <= extent - 0.5)
            elif border == "reflect":
                along = torch.remainder(along + 0.5, 2 * extent)
                along = torch.where(along > extent, 2 * extent - along, along) - 0.5
            folded.append(along)
        places = (folded[0], folded[1], folded[2])
    z, y, x = (along.clamp(0, n - 1) for along, n in zip(places, stage.taken, strict=True))
    return (z, y, x), (inside[0], inside[1], inside[2])


def _pull(map_: object, places: Places) -> Places:
    """`Smooth.pull` of places that broadcast; an axis grows only where the map mixes it."""
    z, y, x = places
    if isinstance(map_, Affine):
        rows = zip(map_.matrix.tolist(), map_.offset.tolist(), strict=True)
        z, y, x = (_mixed(row, places) + offset for row, offset in rows)
        return z, y, x
    if isinstance(map_, FrameShift):
        shifts = tensor_on(z.device, map_.shifts)
        frame = torch.floor(z + 0.5).long().clamp(0, len(shifts) - 1)
        return z, y + shifts[frame, 0], x + shifts[frame, 1]
    if isinstance(map_, Displacement) and map_.is_in_plane:
        at = _stacked(y / map_.spacing[1], x / map_.spacing[2])
        plane = tensor_on(z.device, map_.field[1:, 0]).expand(at.shape[1], -1, -1, -1)
        down, right = _sampled(plane, at).transpose(0, 1)
        return z, y + down, x + right
    if isinstance(map_, Displacement):
        nodes = [along / step for along, step in zip(places, map_.spacing, strict=True)]
        moved = _sampled(tensor_on(z.device, map_.field)[None], _stacked(*nodes))[0]
        return z + moved[0], y + moved[1], x + moved[2]
    raise TypeError(f"no map of places: {map_!r}")


def _stacked(*places: Tensor) -> Tensor:
    """Broadcast to one shape, and one after the other along a first axis."""
    return torch.stack(torch.broadcast_tensors(*places))  # type: ignore[no-untyped-call]


def _mixed(row: list[float], places: Places) -> Tensor:
    terms = [factor * along for factor, along in zip(row, places, strict=True) if factor != 0]
    return sum(terms[1:], terms[0])


# --- Values -----------------------------------------------------------------------------------


def _picked(source: Tensor, places: Places) -> Tensor:
    """The nearest voxels; places are inside."""
    z, y, x = (torch.floor(along + 0.5).long() for along in places)
    return source[:, z, y, x]


def _sampled(source: Tensor, places: Tensor) -> Tensor:
    """Linear between voxels, the border's value beyond it.

    Args:
        source: ``(n, c, y, x)``, or ``(1, c, z, y, x)``.
        places: voxels, in the order of the source's axes: ``(2, n or 1, …)``, or ``(3, …)``.

    Returns:
        ``(n, c, …)``.
    """
    # grid_sample wants −1 and 1 at the centres of the corner voxels, x first.
    extents = source.shape[2:]
    parts = [2 * along / max(n - 1, 1) - 1 for along, n in zip(places, extents, strict=True)]
    grid = torch.stack(parts[::-1], dim=-1).to(source.dtype)
    grid = grid[None] if source.ndim == 5 else grid.expand(len(source), -1, -1, -1)
    return functional.grid_sample(
        source, grid, mode="bilinear", padding_mode="border", align_corners=True
    )
