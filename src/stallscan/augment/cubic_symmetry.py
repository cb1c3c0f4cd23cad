"""The symmetries of the cube."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np

from stallscan.augment import _checks
from stallscan.augment._maps import Axes, Map
from stallscan.augment._transform import Params, Shape, Spatial, Transform

_SYMMETRIES = tuple(
    itertools.product(itertools.permutations(range(3)), itertools.product((False, True), repeat=3))
)
"""Order of the axes, and which of the result's are mirrored: those that keep z come first."""
_KEEP_Z = 16


@dataclass(frozen=True)
class CubicSymmetry(Spatial):
    """Turn and mirror as a cube can be: 48 ways, each equally often, no voxel interpolated.

    Half of the ways are rotations, half have a mirror; one leaves everything in place. Extents
    change places with the axes, so resize to z = y = x, or y = x with `keep_frames`.

    Attributes:
        always_apply: whatever p says.
        p: probability.
        keep_frames: only the 16 that leave frames frames: eight within the plane, and each of them
            backwards in time.

    Example:
        >>> turned = CubicSymmetry(keep_frames=True)
    """

    always_apply: bool = False
    p: float = 1.0
    keep_frames: bool = field(default=False, kw_only=True)

    def check(self) -> None:
        """See `Transform.check`."""
        _checks.one_of("CubicSymmetry.keep_frames", self.keep_frames, (False, True))

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """The order of the axes, and which of the result's are mirrored."""
        number = int(rng.integers(_KEEP_Z if self.keep_frames else len(_SYMMETRIES)))
        order, mirrored = _SYMMETRIES[number]
        return {"order": list(order), "mirrored": list(mirrored)}

    def map(self, params: Params, shape: Shape) -> list[Map]:
        """Transposed and mirrored axes."""
        first, second, third = params["order"]
        z, y, x = params["mirrored"]
        return [Axes(shape, (first, second, third), (z, y, x))]

    def inverse(self, params: Params) -> tuple[Transform, Params]:
        """The inverse permutation, mirrored where its source was."""
        order = [int(axis) for axis in np.argsort(params["order"])]
        return self, {"order": order, "mirrored": [params["mirrored"][axis] for axis in order]}
