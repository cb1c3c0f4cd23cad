"""An empty border cut off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stallscan.augment import _checks
from stallscan.augment._cut import cut
from stallscan.augment._maps import Map
from stallscan.augment._scene import Scene
from stallscan.augment._transform import Params, Shape, Spatial
from stallscan.errors import OptionError


@dataclass(frozen=True)
class RemoveEmptyBorder(Spatial):
    """Cut off the planes at the sides that hold one value only: black, unless another is named.

    The image is looked at, all its channels; where there is none, the mask. What holds nothing but
    that value stays as it is.

    Attributes:
        border_value: the value, in the image's own grey levels.
        always_apply: whatever p says.
        p: probability.

    Example:
        >>> tight = RemoveEmptyBorder()
    """

    border_value: float = 0
    always_apply: bool = False
    p: float = 1.0

    def check(self) -> None:
        """See `Transform.check`."""
        _checks.number("RemoveEmptyBorder.border_value", self.border_value, -(2**63), 2**64 - 1)

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """Refused: an extent alone says nothing."""
        return self.look(rng, Scene(shape))

    def look(self, rng: np.random.Generator, scene: Scene) -> Params:
        """Start and size of what stays; see `Transform.look`."""
        target = scene.image
        if target is None:
            target = scene.mask
        if target is None:
            raise OptionError(
                "RemoveEmptyBorder has no image and no mask to look at; give one with the call, "
                "record(rng, shape, image=…) too"
            )
        start, size = _filled(target, self.border_value)
        return {"start": start, "size": size}

    def map(self, params: Params, shape: Shape) -> list[Map]:
        """Planes of each axis that loses some."""
        return cut(params, shape)


def _filled(volume: NDArray[Any], value: float) -> tuple[list[int], list[int]]:
    """Start and size of the smallest box with all that is another value; all, if nothing is."""
    other: Any = np.ascontiguousarray(volume != value)  # planes are fastest found in whole rows
    frames = other.reshape(len(other), -1).any(axis=1)
    plane = np.logical_or.reduce(other, axis=0)
    rows = plane.reshape(len(plane), -1).any(axis=1)
    columns = np.logical_or.reduce(plane, axis=0)
    if columns.ndim == 2:
        columns = columns.any(axis=1)
    start, size = [], []
    for planes in (frames, rows, columns):
        found = np.flatnonzero(planes)
        first, last = (int(found[0]), int(found[-1])) if len(found) else (0, len(planes) - 1)
        start.append(first)
        size.append(last + 1 - first)
    return start, size
