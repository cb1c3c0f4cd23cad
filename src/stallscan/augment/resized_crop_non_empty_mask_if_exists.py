"""A crop where the mask is, brought to a size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stallscan.augment._cut import start_around
from stallscan.augment._scene import Scene
from stallscan.augment._transform import Params
from stallscan.augment.random_resized_crop import RandomResizedCrop


@dataclass(frozen=True)
class ResizedCropNonEmptyMaskIfExists(RandomResizedCrop):
    """Cut out a box that holds something of the mask, and bring it to a shape.

    The box's place is drawn as by `CropNonEmptyMaskIfExists`, its extents as by
    `RandomResizedCrop`, which it is without a mask, or with an empty one.

    Attributes:
        shape: ``(z, y, x)`` of the result.
        scale_limit: extents of the box in those of the shape, a pair or a number.
        interpolation: 0 nearest, 1 linear, 2 to 5 splines.
        resize_type: taken for compatibility; both kinds of volumentations are one here.
        always_apply: whatever p says.
        p: probability.

    Example:
        >>> patch = ResizedCropNonEmptyMaskIfExists((32, 48, 48), (0.7, 1.4))
    """

    def look(self, rng: np.random.Generator, scene: Scene) -> Params:
        """Start and size of the box; see `Transform.look`."""
        size = self.size_in(rng, scene.shape)
        return {"start": start_around(rng, size, scene.shape, scene.mask), "size": size}
