"""A crop anywhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stallscan.augment._cut import Crop, random_start
from stallscan.augment._transform import Params, Shape


@dataclass(frozen=True)
class RandomCrop(Crop):
    """Cut out a box of a given shape, anywhere in the volume, each place alike likely.

    A shape greater than the volume is refused, unless it may be padded: then the volume lies in
    the middle of such an axis.

    Attributes:
        shape: ``(z, y, x)`` of the box; None keeps an axis whole.
        always_apply: whatever p says.
        p: probability.
        pad_if_needed: whether to pad volumes that are too small.
        border_mode: with what: constant, nearest or reflect.
        value: the constant, in the image's own grey levels.
        mask_value: the constant of masks.

    Example:
        >>> patch = RandomCrop((None, 64, 64))
    """

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """Start and size of the box."""
        size = self.size_in(shape)
        return {"start": random_start(rng, size, shape), "size": size}
