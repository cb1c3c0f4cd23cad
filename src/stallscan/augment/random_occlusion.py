"""Parts of the picture covered by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from stallscan.augment import _checks
from stallscan.augment._checks import Range
from stallscan.augment._dropout import Dropout, fill_plane
from stallscan.augment._scene import Scene
from stallscan.augment._transform import Params, Shape
from stallscan.augment._values import ends

_N_CORNERS = 8
_TRIES = 6
_SHRUNK = np.linspace(1, 0.1, 10)


@dataclass(frozen=True)
class RandomOcclusion(Dropout):
    """Cover ragged polygons of the frame, as laboratories black out what is not to be seen.

    A polygon has a corner in each eighth around a place anywhere in the frame, and lies on all
    frames or on a run of them. It leaves the target to be seen: what is not 0 in the mask that
    comes with the image. Where more than `max_cover` of that would be covered, another polygon is
    drawn, and if none of a few will do, the last is made smaller, and left out if that does not
    help. Without a mask there is nothing to heed.

    Attributes:
        n_polygons: how many, a pair of whole numbers or n for (n, n).
        radius_limit: distance of a corner from the polygon's middle, as a share of the frame's
            shorter side: a pair, or n for (n, n); drawn for each corner.
        all_frames_prob: probability of a polygon to lie on all frames; the others lie on a run of
            a quarter of the frames at least.
        max_cover: greatest share of the mask's voxels that all polygons together cover; 1 lets them
            cover everything.
        fill_value: what is there instead, in the image's own values.
        mask_fill_value: what is there instead in masks; None leaves masks as they are.
        always_apply: whatever p says.
        p: probability.

    Example:
        >>> covered = RandomOcclusion(n_polygons=2, max_cover=0.3, p=0.2)
    """

    n_polygons: Range = (1, 2)
    radius_limit: Range = (0.1, 0.5)
    all_frames_prob: float = 0.6
    max_cover: float = 0.5
    fill_value: float = 0
    mask_fill_value: float | None = None
    always_apply: bool = False
    p: float = 0.5

    def check(self) -> None:
        """See `Transform.check`."""
        name = "RandomOcclusion"
        number = _checks.whole_pair(f"{name}.n_polygons", self.n_polygons, 0, 1000)
        radius = _checks.pair(f"{name}.radius_limit", self.radius_limit, 0, 10, number="exact")
        for option in ("all_frames_prob", "max_cover"):
            _checks.number(f"{name}.{option}", getattr(self, option), 0, 1)
        self.check_fills()
        self._set(n_polygons=number, radius_limit=radius)

    def does_nothing(self) -> str | None:
        """See `Transform.does_nothing`."""
        return "n_polygons is (0, 0)" if ends(self.n_polygons) == (0, 0) else None

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """Polygons without a mask to heed."""
        return self.look(rng, Scene(shape))

    def look(self, rng: np.random.Generator, scene: Scene) -> Params:
        """Corners ``(y, x)`` and frames, first and behind the last, of each polygon."""
        fewest, most = (int(end) for end in ends(self.n_polygons))
        target = _Target(scene.mask if self.max_cover < 1 else None, self.max_cover)
        polygons = []
        for _ in range(int(rng.integers(fewest, most + 1))):
            tries = self._polygons(rng, scene.shape)
            found = next((polygon for polygon in tries if target.may_be_under(polygon)), None)
            if found is not None:
                polygons.append(found)
        return {"polygons": polygons}

    def cut(self, target: NDArray[Any], params: Params, fill: NDArray[Any]) -> None:
        """See `Dropout.cut`."""
        for polygon in params["polygons"]:
            first, last = polygon["frames"]
            fill_plane(target[first:last], _inside(polygon, target.shape[1:3]), fill)

    def _polygons(self, rng: np.random.Generator, shape: Shape) -> Iterator[Params]:
        """What may be taken, in order: a few polygons, and the last of them ever smaller."""
        depth, *plane = shape
        for number in range(_TRIES):
            length = int(rng.integers(-(-depth // 4), depth + 1))
            if rng.random() < self.all_frames_prob:
                length = depth
            first = int(rng.integers(depth - length + 1))
            centre = rng.uniform(0, plane) - 0.5
            angles = (np.arange(_N_CORNERS) + rng.random(_N_CORNERS)) * (2 * np.pi / _N_CORNERS)
            radii = rng.uniform(*ends(self.radius_limit), size=_N_CORNERS) * min(plane)
            spokes = radii[:, None] * np.stack([np.sin(angles), np.cos(angles)], axis=1)
            for share in (1.0,) if number < _TRIES - 1 else _SHRUNK:
                corners = centre + share * spokes
                yield {"corners": corners.tolist(), "frames": [first, first + length]}


class _Target:
    """What is to be seen of the mask, while polygons are laid over it."""

    def __init__(self, mask: NDArray[Any] | None, max_cover: float) -> None:
        self._seen: NDArray[np.bool_] | None = None
        if mask is not None:
            self._seen = mask != 0 if mask.ndim == 3 else (mask != 0).any(axis=3)
        self._left = 0.0 if self._seen is None else max_cover * np.count_nonzero(self._seen)

    def may_be_under(self, polygon: Params) -> bool:
        """Whether enough stays to be seen; if so the polygon is laid over it."""
        if self._seen is None:
            return True
        first, last = polygon["frames"]
        seen = self._seen[first:last]
        plane = _inside(polygon, seen.shape[1:])
        covered = np.count_nonzero(seen & plane)
        if covered > self._left:
            return False
        self._left -= covered
        seen &= ~plane
        return True


def _inside(polygon: Params, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Where in the plane ``(y, x)`` a polygon lies."""
    area = np.zeros(shape, np.uint8)
    corners = np.rint(polygon["corners"])[:, ::-1].astype(np.int32)  # (x, y)
    cv2.fillPoly(area, [np.ascontiguousarray(corners)], 1)
    return area.astype(bool)
