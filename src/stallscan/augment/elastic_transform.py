"""Elastic deformation by a smooth random field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from stallscan.augment import _checks
from stallscan.augment._checks import Range
from stallscan.augment._field import Lattice
from stallscan.augment._maps import Displacement, Map
from stallscan.augment._spatial import interpolating
from stallscan.augment._transform import Params, Shape, Spatial


@dataclass(frozen=True)
class ElasticTransform(Spatial):
    """Bend the volume by white noise smoothed with a Gaussian (paper, section 3).

    As in volumentations: a deformation d is drawn; the Gaussian's σ is d times the extent of each
    axis, and the greatest displacement along an axis is drawn from σ/8 to σ/2. The field is made on
    a lattice of three nodes a σ and taken linearly between them, which keeps its shape; what
    that takes from its strength is given back.

    Attributes:
        deformation_limits: range of d.
        interpolation: 0 nearest, 1 linear, 2 to 5 splines.
        border_mode: what lies beyond: constant, nearest or reflect.
        value: the constant, in the image's own grey levels.
        mask_value: the constant of masks.
        always_apply: whatever p says.
        p: probability.

    Example:
        >>> bent = ElasticTransform((0, 0.25), p=0.1)
    """

    keeps_shape: ClassVar[bool] = True
    deformation_limits: Range = (0, 0.25)
    interpolation: int = 1
    border_mode: str = "constant"
    value: float = 0
    mask_value: float = 0
    always_apply: bool = False
    p: float = 0.5

    def check(self) -> None:
        """See `Transform.check`."""
        where = "ElasticTransform.deformation_limits"
        limits = _checks.pair(where, self.deformation_limits, 0, 1, number="from_zero")
        self._set(deformation_limits=limits)
        interpolating(self)

    def does_nothing(self) -> str | None:
        """See `Transform.does_nothing`."""
        return None if self.deformation_limits[1] > 0 else "deformation_limits are 0"  # type: ignore[index]

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """σ and greatest displacement by axis in voxels, and the seed of the noise."""
        deformation = float(rng.uniform(*self.deformation_limits))  # type: ignore[misc]
        sigmas = [deformation * extent for extent in shape]
        return {
            "sigma": sigmas,
            "alpha": [float(rng.uniform(sigma / 8, sigma / 2)) for sigma in sigmas],
            "noise_seed": int(rng.integers(2**63)),
        }

    def map(self, params: Params, shape: Shape) -> list[Map]:
        """One displacement field with mean 0."""
        lattice = Lattice.of(params["sigma"], shape)
        rng = np.random.default_rng(params["noise_seed"])
        field = rng.random((3, *lattice.nodes), np.float32) * 2 - 1
        for part, alpha in zip(field, params["alpha"], strict=True):
            lattice.blur(part)
            part *= lattice.gain * alpha / max(float(np.abs(part).max()), 1e-12)
            part -= part.mean()
        depth, height, width = lattice.spacing
        return [Displacement(field, (depth, height, width), interpolating(self))]
