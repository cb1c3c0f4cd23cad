"""Random boxes cut out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stallscan.augment import _checks
from stallscan.augment._checks import Range
from stallscan.augment._dropout import Dropout
from stallscan.augment._transform import Params, Shape
from stallscan.augment._values import ends


@dataclass(frozen=True)
class CoarseDropout(Dropout):
    """Cut random boxes out of the volume, all channels alike (DeVries and Taylor, 2017).

    Boxes lie anywhere inside the volume, may overlap, and have one voxel at least along each axis.

    Attributes:
        n_holes: how many boxes, a pair of whole numbers or n for (n, n).
        depth_limit: extent of a box along z as a share of the volume's, 0 to 1: a pair, or n for
            (n, n); drawn for each box.
        height_limit: the same along y.
        width_limit: the same along x.
        fill_value: what holes hold, in the image's own values.
        mask_fill_value: what holes of masks hold; None leaves masks as they are.
        always_apply: whatever p says.
        p: probability.

    Example:
        >>> holes = CoarseDropout(n_holes=(2, 6), depth_limit=1.0, p=0.2)
    """

    n_holes: Range = (1, 3)
    depth_limit: Range = (0.1, 0.3)
    height_limit: Range = (0.1, 0.3)
    width_limit: Range = (0.1, 0.3)
    fill_value: float = 0
    mask_fill_value: float | None = None
    always_apply: bool = False
    p: float = 0.5

    def check(self) -> None:
        """See `Transform.check`."""
        self._set(n_holes=_checks.whole_pair("CoarseDropout.n_holes", self.n_holes, 0, 10_000))
        for name in ("depth_limit", "height_limit", "width_limit"):
            where, value = f"CoarseDropout.{name}", getattr(self, name)
            self._set(**{name: _checks.pair(where, value, 0, 1, number="exact")})
        self.check_fills()

    def does_nothing(self) -> str | None:
        """See `Transform.does_nothing`."""
        return "n_holes is (0, 0)" if ends(self.n_holes) == (0, 0) else None

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """First voxel and the one behind the last, by box and axis."""
        fewest, most = (int(end) for end in ends(self.n_holes))
        n = int(rng.integers(fewest, most + 1))
        holes = np.empty((n, 3, 2), int)
        limits = (self.depth_limit, self.height_limit, self.width_limit)
        for axis, (extent, limit) in enumerate(zip(shape, limits, strict=True)):
            sizes = np.maximum(np.rint(rng.uniform(*ends(limit), size=n) * extent), 1).astype(int)
            starts = rng.integers(extent - sizes + 1)
            holes[:, axis] = np.stack([starts, starts + sizes], axis=1)
        return {"holes": holes.tolist()}

    def cut(self, target: NDArray[Any], params: Params, fill: NDArray[Any]) -> None:
        """See `Dropout.cut`."""
        for hole in params["holes"]:
            target[tuple(slice(start, stop) for start, stop in hole)] = fill
