"""Where voxels come from: the few maps that all spatial transforms are made of.

Coordinates are ``(z, y, x)`` in voxels, whole numbers are voxel centres, voxel i reaches from
i − ½ to i + ½. `pull` goes from a voxel of the result to its place in the source, `push` from the
source to the result (for points and boxes).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

Shape: TypeAlias = tuple[int, int, int]
Floats: TypeAlias = NDArray[np.float64]
BORDERS = ("constant", "nearest", "reflect")
_SAME = np.eye(3, dtype=bool)


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How values between voxels and beyond the border are had.

    Attributes:
        order: 0 nearest, 1 linear, 2 to 5 splines (slower; through SciPy). Labels are always taken
            from the nearest voxel. None: by itself the map needs none, and takes any other's.
        border: what lies beyond the volume: ``"constant"``, ``"nearest"`` or ``"reflect"``
            (mirrored at the border voxel's outer edge).
        value: the constant, in the image's own grey levels.
        mask_value: the constant of labels.
    """

    order: int | None = 1
    border: str = "constant"
    value: float = 0.0
    mask_value: float = 0.0

    @property
    def beyond(self) -> tuple[str, float, float]:
        """What lies beyond the border."""
        return self.border, self.value, self.mask_value


class Map(ABC):
    """A change of place."""

    def out_shape(self, shape: Shape) -> Shape:
        """``(z, y, x)`` of the result."""
        return shape

    @abstractmethod
    def push(self, points: Floats) -> Floats:
        """``(n, 3)`` places in the source → in the result."""


@dataclass(frozen=True)
class Axes(Map):
    """Transposition and mirroring: axis a of the result is axis ``order[a]`` of the source.

    Attributes:
        shape: of the source.
        order: a permutation of 0, 1, 2.
        mirrored: of the result's axes, after the transposition.
    """

    shape: Shape
    order: tuple[int, int, int] = (0, 1, 2)
    mirrored: tuple[bool, bool, bool] = (False, False, False)

    def out_shape(self, shape: Shape) -> Shape:
        """See `Map.out_shape`."""
        depth, height, width = (shape[axis] for axis in self.order)
        return depth, height, width

    def push(self, points: Floats) -> Floats:
        """See `Map.push`."""
        moved = points[:, list(self.order)]
        for axis, extent in enumerate(self.out_shape(self.shape)):
            if self.mirrored[axis]:
                moved[:, axis] = extent - 1 - moved[:, axis]
        return moved


@dataclass(frozen=True, eq=False)
class Take(Map):
    """Planes of one axis, in order: a crop, dropped or repeated planes.

    Attributes:
        axis: 0, 1 or 2.
        index: ``(n,)`` which plane of the source each plane of the result is; not decreasing. A
            range of consecutive planes costs nothing to take.
    """

    axis: int
    index: NDArray[np.intp] | range

    def out_shape(self, shape: Shape) -> Shape:
        """See `Map.out_shape`."""
        extents = list(shape)
        extents[self.axis] = len(self.index)
        return extents[0], extents[1], extents[2]

    def push(self, points: Floats) -> Floats:
        """See `Map.push`; a plane that goes has no width left, a repeated one has more."""
        moved = points.copy()
        edges = np.arange(self.index[0], self.index[-1] + 2)  # edge e: below plane e
        after = np.searchsorted(np.asarray(self.index), edges)
        place = points[:, self.axis] + 0.5
        found = np.interp(place, edges, after)
        found += np.minimum(place - edges[0], 0) + np.maximum(place - edges[-1], 0)
        moved[:, self.axis] = found - 0.5
        return moved


@dataclass(frozen=True)
class Zoom(Map):
    """Another size: the same field, more or fewer voxels.

    Attributes:
        source: size of the source.
        size: size of the result.
        corners: whether the centres of the corner voxels stay in place (as volumentations does it);
            otherwise the outer edges do.
        order: of the interpolation, see `Sampling`; nothing from beyond the border is needed.
    """

    source: Shape
    size: Shape
    corners: bool = False
    order: int = 1

    def out_shape(self, shape: Shape) -> Shape:
        """See `Map.out_shape`."""
        return self.size

    def scale_and_offset(self, axis: int) -> tuple[float, float]:
        """Place in the source = scale × place in the result + offset."""
        before, after = self.source[axis], self.size[axis]
        if self.corners:
            return ((before - 1) / (after - 1), 0.0) if after > 1 else (0.0, 0.0)
        return before / after, (before / after - 1) / 2

    def positions(self, axis: int) -> Floats:
        """Place in the source of each plane of the result, clamped to the voxel centres."""
        scale, offset = self.scale_and_offset(axis)
        places = np.arange(self.size[axis]) * scale + offset
        return np.clip(places, 0, self.source[axis] - 1)

    def push(self, points: Floats) -> Floats:
        """See `Map.push`."""
        moved = points.copy()
        for axis in range(3):
            scale, offset = self.scale_and_offset(axis)
            if self.source[axis] == 1 or self.size[axis] == 1:  # one plane: its edges say more
                scale = self.source[axis] / self.size[axis]
                offset = (scale - 1) / 2
            moved[:, axis] = (points[:, axis] - offset) / scale
        return moved


@dataclass(frozen=True, eq=False)
class Stretch(Map):
    """Cells of an axis made wider or narrower; the extent stays, and is filled.

    Attributes:
        shape: of source and result.
        source: by axis, ``(n + 1,)`` rising places of the cells' edges in the source, the first
            −½, the last extent − ½; None: the axis stays. In the result all are equally wide.
        order: of the interpolation, see `Sampling`; nothing from beyond the border is needed.
    """

    shape: Shape
    source: tuple[Floats | None, Floats | None, Floats | None]
    order: int = 1

    def edges(self, axis: int) -> tuple[Floats, Floats]:
        """Of the cells along an axis that changes, in the result and in the source."""
        source = self.source[axis]
        assert source is not None
        return np.linspace(source[0], source[-1], len(source)), source

    def positions(self, axis: int) -> Floats:
        """Place in the source of each plane of the result, clamped to the voxel centres."""
        extent = self.shape[axis]
        return np.clip(np.interp(np.arange(extent), *self.edges(axis)), 0, extent - 1)

    def push(self, points: Floats) -> Floats:
        """See `Map.push`; beyond the volume nothing moves."""
        moved = points.copy()
        for axis, extent in enumerate(self.shape):
            if self.source[axis] is not None:
                result, source = self.edges(axis)
                along = points[:, axis]
                inside = (along > -0.5) & (along < extent - 0.5)
                moved[:, axis] = np.where(inside, np.interp(along, source, result), along)
        return moved


class Smooth(Map):
    """A map without jumps, so that a lattice of its places says it all."""

    sampling: Sampling

    @property
    @abstractmethod
    def is_in_plane(self) -> bool:
        """Whether z and the plane do not mix: all frames move alike, or each as a whole."""

    @property
    @abstractmethod
    def keeps_frames(self) -> bool:
        """Whether, besides, nothing moves along z."""

    @abstractmethod
    def pull(self, places: Floats) -> Floats:
        """``(3, n)`` places in the result → in the source."""

    @property
    @abstractmethod
    def is_identity(self) -> bool:
        """Whether every voxel stays exactly where it is."""

    @abstractmethod
    def permuted(self, order: tuple[int, int, int]) -> Smooth:
        """The same map between volumes whose axes are both transposed by `order`."""


@dataclass(frozen=True, eq=False)
class Affine(Smooth):
    """Rotation, scale, shear, shift: source = matrix @ result + offset.

    Attributes:
        matrix: ``(3, 3)``.
        offset: ``(3,)`` voxels.
        size: of the result; None keeps the source's.
        sampling: see there.
    """

    matrix: Floats
    offset: Floats
    size: Shape | None = None
    sampling: Sampling = field(default_factory=Sampling)

    def out_shape(self, shape: Shape) -> Shape:
        """See `Map.out_shape`."""
        return shape if self.size is None else self.size

    @property
    def is_identity(self) -> bool:
        """See `Smooth.is_identity`."""
        return self.size is None and not self.offset.any() and (self.matrix == _SAME).all()

    @property
    def is_diagonal(self) -> bool:
        """Whether it leaves the axes apart."""
        return not self.matrix[~_SAME].any()

    @property
    def is_whole(self) -> bool:
        """Whether it moves by whole voxels, and does nothing else."""
        return not (self.offset % 1).any() and (self.matrix == _SAME).all()

    @property
    def is_in_plane(self) -> bool:
        """See `Smooth.is_in_plane`."""
        return not (self.matrix[0, 1:].any() or self.matrix[1:, 0].any())

    @property
    def keeps_frames(self) -> bool:
        """See `Smooth.keeps_frames`."""
        return self.is_in_plane and self.matrix[0, 0] == 1 and self.offset[0] == 0

    def pull(self, places: Floats) -> Floats:
        """See `Smooth.pull`."""
        return self.matrix @ places + self.offset[:, None]

    def push(self, points: Floats) -> Floats:
        """See `Map.push`."""
        return (points - self.offset) @ np.linalg.inv(self.matrix).T.astype(np.float64)

    def permuted(self, order: tuple[int, int, int]) -> Affine:
        """See `Smooth.permuted`."""
        axes = list(order)
        size = self.size
        if size is not None:
            size = size[order[0]], size[order[1]], size[order[2]]
        return Affine(self.matrix[np.ix_(axes, axes)], self.offset[axes], size, self.sampling)


@dataclass(frozen=True, eq=False)
class Displacement(Smooth):
    """An elastic deformation: source = result + field(result).

    Attributes:
        field: ``(3, nz, ny, nx)`` float32, voxels, at the nodes of a lattice that starts at voxel
            0; linear between them. One node along an axis: the same all along it.
        spacing: voxels between nodes, ``(z, y, x)``; infinite along an axis with one node.
        sampling: see there.
    """

    field: NDArray[np.float32]
    spacing: tuple[float, float, float]
    sampling: Sampling

    @property
    def is_identity(self) -> bool:
        """See `Smooth.is_identity`."""
        return not self.field.any()

    @property
    def is_in_plane(self) -> bool:
        """See `Smooth.is_in_plane`."""
        return self.field.shape[1] == 1 and not self.field[0].any()

    @property
    def keeps_frames(self) -> bool:
        """See `Smooth.keeps_frames`."""
        return self.is_in_plane

    def at(self, places: Floats) -> Floats:
        """The displacement at ``(3, n)`` places; beyond the lattice that of its border."""
        nodes = places / np.asarray(self.spacing)[:, None]
        return np.stack(
            [map_coordinates(part, nodes, order=1, mode="nearest") for part in self.field]
        ).astype(np.float64)

    def at_plane(self, y: Floats, x: Floats) -> tuple[Floats, Floats]:
        """`at` along y and x, of a field that is the same in all frames."""
        nodes = (y / self.spacing[1], x / self.spacing[2])
        down, right = (
            map_coordinates(part[0], nodes, np.float64, order=1, mode="nearest")
            for part in self.field[1:]
        )
        return down, right

    def pull(self, places: Floats) -> Floats:
        """See `Smooth.pull`."""
        return places + self.at(places)

    def push(self, points: Floats) -> Floats:
        """See `Map.push`: the fixed point of result = source − field(result)."""
        moved = points.copy()
        for _ in range(50):
            before, moved = moved, points - self.at(moved.T).T
            if np.abs(moved - before).max(initial=0.0) < 1e-4:
                break
        return moved

    def permuted(self, order: tuple[int, int, int]) -> Displacement:
        """See `Smooth.permuted`."""
        axes = list(order)
        moved = self.field[axes].transpose(0, *(axis + 1 for axis in axes))
        depth, height, width = (self.spacing[axis] for axis in axes)
        return Displacement(np.ascontiguousarray(moved), (depth, height, width), self.sampling)


@dataclass(frozen=True, eq=False)
class FrameShift(Smooth):
    """Motion: frame k of the result is the source's, seen `shifts[k]` further.

    Attributes:
        shifts: ``(z, 2)`` voxels along y and x: place in the source − place in the result.
        sampling: see there.
    """

    shifts: Floats
    sampling: Sampling = field(default_factory=Sampling)

    @property
    def is_identity(self) -> bool:
        """See `Smooth.is_identity`."""
        return not self.shifts.any()

    @property
    def is_in_plane(self) -> bool:
        """See `Smooth.is_in_plane`."""
        return True

    @property
    def keeps_frames(self) -> bool:
        """See `Smooth.keeps_frames`."""
        return True

    def at(self, places: Floats) -> Floats:
        """The shift ``(n, 2)`` at places along z: that of the nearest frame."""
        frames = np.clip(np.floor(places + 0.5), 0, len(self.shifts) - 1)
        return self.shifts[frames.astype(np.intp)]

    def pull(self, places: Floats) -> Floats:
        """See `Smooth.pull`."""
        pulled = places.copy()
        pulled[1:] += self.at(places[0]).T
        return pulled

    def push(self, points: Floats) -> Floats:
        """See `Map.push`."""
        pushed = points.copy()
        pushed[:, 1:] -= self.at(points[:, 0])
        return pushed

    def permuted(self, order: tuple[int, int, int]) -> FrameShift:
        """See `Smooth.permuted`; the frames must stay frames."""
        if order[0] != 0:
            raise ValueError("frames are no longer the first axis")
        return FrameShift(self.shifts[:, [axis - 1 for axis in order[1:]]], self.sampling)
