"""A crop where the mask is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stallscan.augment._cut import start_around
from stallscan.augment._scene import Scene
from stallscan.augment._transform import Params
from stallscan.augment.random_crop import RandomCrop


@dataclass(frozen=True)
class CropNonEmptyMaskIfExists(RandomCrop):
    """Cut out a box of a given shape that holds something of the mask, if there is a mask.

    A voxel of the mask is drawn (one that is not 0, each alike likely), and a box around it, the
    voxel anywhere in it; a box that would end outside the volume is pushed in. Without a mask, or
    with an empty one, it is a `RandomCrop`.

    Attributes:
        shape: ``(z, y, x)`` of the box; None keeps an axis whole.
        always_apply: whatever p says.
        p: probability.
        pad_if_needed: whether to pad volumes that are too small.
        border_mode: with what: constant, nearest or reflect.
        value: the constant, in the image's own grey levels.
        mask_value: the constant of masks.

    Example:
        >>> patch = CropNonEmptyMaskIfExists((None, 48, 48))
    """

    def look(self, rng: np.random.Generator, scene: Scene) -> Params:
        """Start and size of the box; see `Transform.look`."""
        size = self.size_in(scene.shape)
        return {"start": start_around(rng, size, scene.shape, scene.mask), "size": size}
