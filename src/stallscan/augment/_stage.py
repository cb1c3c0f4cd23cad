"""A stage: consecutive maps composed into one, so that voxels are interpolated once.

A stage reads its source in this order: axes transposed, planes taken (whole voxels, exact), smooth
maps, and at last one table of places for each axis. What cannot be brought into this order begins a
new stage.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from stallscan.augment._maps import (
    Affine,
    Axes,
    Floats,
    FrameShift,
    Map,
    Sampling,
    Shape,
    Smooth,
    Stretch,
    Take,
    Zoom,
)


def fuse(shape: Shape, maps: Iterable[Map]) -> list[Stage]:
    """Maps in order → the fewest stages that say the same."""
    stages = [Stage(shape)]
    for map_ in maps:
        if not stages[-1].add(map_):
            stages.append(Stage(stages[-1].shape))
            stages[-1].add(map_)
    return stages


class Stage:
    """Maps composed so far; see the module.

    Attributes:
        axes: of the source, in the order in which they are read.
        index: by axis, the planes taken; a range where they are evenly spaced.
        smooth: the smooth maps, in order; the last one is pulled first.
        frames: by smooth map, the ``(z, y, x)`` of what it reads.
        tables: by axis, the place of each plane of the result; None: all planes as they are.
        order: of the interpolation; None: nothing is interpolated.
        sampling: beyond the border; its order does not count.
    """

    def __init__(self, shape: Shape) -> None:
        self.axes = (0, 1, 2)
        self.index: list[NDArray[np.intp] | range] = [range(extent) for extent in shape]
        self.smooth: list[Smooth] = []
        self.frames: list[Shape] = []
        self.tables: list[Floats | None] = [None, None, None]
        self.order: int | None = None
        self.sampling: Sampling | None = None
        self._zoom: Zoom | None = None  # the only map behind the tables, if it is one

    @property
    def taken(self) -> Shape:
        """``(z, y, x)`` after planes were taken."""
        return len(self.index[0]), len(self.index[1]), len(self.index[2])

    @property
    def smoothed(self) -> Shape:
        """``(z, y, x)`` after the smooth maps."""
        shape = self.taken
        for map_ in self.smooth:
            shape = map_.out_shape(shape)
        return shape

    @property
    def shape(self) -> Shape:
        """``(z, y, x)`` of the result."""
        depth, height, width = (
            extent if table is None else len(table)
            for extent, table in zip(self.smoothed, self.tables, strict=True)
        )
        return depth, height, width

    def places(self, axis: int) -> Floats:
        """The table of an axis, also where it is the identity."""
        table = self.tables[axis]
        return np.arange(self.smoothed[axis], dtype=np.float64) if table is None else table

    @property
    def is_separable(self) -> bool:
        """Whether each axis is read for itself."""
        return all(isinstance(map_, Affine) and map_.is_diagonal for map_ in self.smooth)

    @property
    def moves_whole_voxels(self) -> bool:
        """Whether there are smooth maps, and nothing lies between voxels all the same."""
        return (
            bool(self.smooth)
            and all(isinstance(map_, Affine) and map_.is_whole for map_ in self.smooth)
            and not any(table is not None and (table % 1).any() for table in self.tables)
        )

    def add(self, map_: Map) -> bool:
        """Compose one more map; False, and no change, where it does not fit."""
        match map_:
            case Axes():
                return self._add_axes(map_)
            case Take():
                self._zoom = None
                if self.smooth or self.tables[map_.axis] is not None:
                    self.tables[map_.axis] = self.places(map_.axis)[np.asarray(map_.index)]
                else:
                    self.index[map_.axis] = _planes_of(self.index[map_.axis], map_.index)
                return True
            case Zoom():
                changed = [axis for axis in range(3) if map_.size[axis] != self.shape[axis]]
                return self._add_tables(map_, changed)
            case Stretch():
                changed = [axis for axis in range(3) if map_.source[axis] is not None]
                return self._add_tables(map_, changed)
            case Smooth():
                return self._add_smooth(map_)
        raise TypeError(f"no map: {map_!r}")

    def _add_axes(self, map_: Axes) -> bool:
        if map_.order[0] != 0 and any(isinstance(m, FrameShift) for m in self.smooth):
            return False
        zoom, self._zoom = self._zoom, None
        if map_.order != (0, 1, 2):
            first, second, third = map_.order
            self.axes = (self.axes[first], self.axes[second], self.axes[third])
            self.index = [self.index[axis] for axis in map_.order]
            self.tables = [self.tables[axis] for axis in map_.order]
            self.smooth = [m.permuted(map_.order) for m in self.smooth]
            self.frames = [(f[first], f[second], f[third]) for f in self.frames]
        for axis in range(3):
            if not map_.mirrored[axis]:
                continue
            if self.smooth:
                self.tables[axis] = self.places(axis)[::-1]
                continue
            # Without smooth maps the source is mirrored; places are then counted from its end.
            table = self.tables[axis]
            self.index[axis] = self.index[axis][::-1]
            if table is not None:
                self.tables[axis] = (len(self.index[axis]) - 1 - table)[::-1]
        if zoom is not None and not self.smooth and map_.order == (0, 1, 2):
            self._zoom = zoom  # a zoom is the same from both ends
        return True

    def _add_tables(self, map_: Zoom | Stretch, changed: list[int]) -> bool:
        if not changed:
            return True
        if self.order not in (None, map_.order):
            return False
        first = not self.smooth and all(table is None for table in self.tables)
        for axis in changed:
            places = map_.positions(axis)
            if self.tables[axis] is not None:  # an axis with a table already, in straight pieces
                table = self.places(axis)
                places = np.interp(places, np.arange(len(table)), table)
            self.tables[axis] = places
        self.order = map_.order
        self._zoom = map_ if first and isinstance(map_, Zoom) else None
        return True

    def _add_smooth(self, map_: Smooth) -> bool:
        if map_.is_identity:
            return True
        sampling = map_.sampling
        if None not in (self.order, sampling.order) and self.order != sampling.order:
            return False
        # Beyond another border than a constant lies the border's own picture, not the source.
        if self.smooth and (sampling.border != "constant" or self._beyond != sampling.beyond):
            return False
        if any(table is not None for table in self.tables):
            if self._zoom is None or self._zoom.order > 1 or self._zoom.corners:
                return False
            if sampling.border != "constant" or isinstance(map_, FrameShift):
                return False
            self._zoom_as_affine(self._zoom, sampling)
        # A shift is rough along z: only maps that leave the frames alone may stand beside it.
        shifts = isinstance(map_, FrameShift) or any(isinstance(m, FrameShift) for m in self.smooth)
        if shifts and not all(m.keeps_frames for m in (*self.smooth, map_)):
            return False
        self.frames.append(self.smoothed)
        self.smooth.append(map_)
        self.sampling = sampling
        if sampling.order is not None:
            self.order = sampling.order
        return True

    @property
    def _beyond(self) -> tuple[str, float, float] | None:
        return None if self.sampling is None else self.sampling.beyond

    def _zoom_as_affine(self, zoom: Zoom, sampling: Sampling) -> None:
        steps = np.array([zoom.scale_and_offset(axis) for axis in range(3)])
        self.tables, self._zoom = [None, None, None], None
        self.frames.append(self.taken)
        self.smooth.append(Affine(np.diag(steps[:, 0]), steps[:, 1], zoom.size, sampling))


def _planes_of(
    index: NDArray[np.intp] | range, taken: NDArray[np.intp] | range
) -> NDArray[np.intp] | range:
    """Planes of planes."""
    if isinstance(index, range) and isinstance(taken, range):
        return index[taken.start : taken.stop]
    planes: NDArray[np.intp] = np.asarray(index)[np.asarray(taken)]
    return planes
