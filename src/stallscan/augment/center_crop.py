"""A crop in the middle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stallscan.augment._cut import Crop, centred_start
from stallscan.augment._transform import Params, Shape


@dataclass(frozen=True)
class CenterCrop(Crop):
    """Cut a box of a given shape out of the middle.

    Where the planes to go are an odd number, the end loses one more. A shape greater than the
    volume is refused, unless it may be padded.

    Attributes:
        shape: ``(z, y, x)`` of the box; None keeps an axis whole.
        always_apply: whatever p says.
        p: probability.
        pad_if_needed: whether to pad volumes that are too small.
        border_mode: with what: constant, nearest or reflect.
        value: the constant, in the image's own grey levels.
        mask_value: the constant of masks.

    Example:
        >>> middle = CenterCrop((None, 64, 64), pad_if_needed=True)
    """

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """Start and size of the box."""
        size = self.size_in(shape)
        return {"start": centred_start(size, shape), "size": size}
