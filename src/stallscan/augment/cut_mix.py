"""Boxes of one sample in another."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from stallscan.augment import _checks
from stallscan.augment._batch import BatchAugmentation, Params, Shape, draw_shares


@dataclass(frozen=True)
class CutMix(BatchAugmentation):
    """Put a box of another sample into each sample of a batch; labels count by the volume.

    The box has 1 − λ of the volume, λ from Beta(α, α), the same share of each axis, and lies
    anywhere inside (Yun et al., *CutMix*, 2019, in three dimensions; there it may reach over the
    border). Labels are mixed in the share that the whole voxels come to.

    Attributes:
        alpha: α; 1 makes every share alike often.
        p: probability of each sample to be mixed.
        axes: along which a box is cut, of 0 (z), 1 (y), 2 (x); along the others it is whole: a box
            of (0,) is a run of frames.

    Example:
        >>> mixed = CutMix(1.0, axes=(1, 2), seed=7)(images=batch, labels=targets)
    """

    alpha: float = 1.0
    p: float = 0.5
    axes: tuple[int, ...] = field(default=(0, 1, 2), kw_only=True)

    def check(self) -> None:
        """See `BatchAugmentation.check`."""
        object.__setattr__(self, "axes", _checks.axes_of("CutMix.axes", self.axes))

    def sample(self, rng: np.random.Generator, n: int, extent: Shape) -> Params:
        """The partner of each sample, and the box ``z0, y0, x0, z1, y1, x1`` that is its."""
        partners, shares = draw_shares(rng, n, self.alpha, self.p)
        boxes = []
        for share in shares:
            low, high = [0, 0, 0], list(extent)
            for axis in self.axes:
                length = round(extent[axis] * (1 - share) ** (1 / len(self.axes)))
                low[axis] = int(rng.integers(extent[axis] - length + 1))
                high[axis] = low[axis] + length
            boxes.append([*low, *high])
        return {"partners": partners, "boxes": boxes}

    def shares(self, params: Params, extent: Shape) -> list[float]:
        """See `BatchAugmentation.shares`."""
        boxes = np.array(params["boxes"]).reshape(-1, 2, 3)
        taken = np.prod(boxes[:, 1] - boxes[:, 0], axis=1) / np.prod(extent)
        return [float(1 - share) for share in taken]

    def apply(self, images: Any, params: Params) -> Any:
        """See `BatchAugmentation.apply`."""
        mixed = images[list(range(len(images)))]  # a copy, of an array and of a tensor
        for number, (other, box) in enumerate(
            zip(params["partners"], params["boxes"], strict=True)
        ):
            inside = tuple(slice(box[axis], box[axis + 3]) for axis in range(3))
            mixed[(number, ..., *inside)] = images[(other, ..., *inside)]
        return mixed
