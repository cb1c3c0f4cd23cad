"""Elastic deformation that is the same in all frames."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from stallscan.augment import _checks
from stallscan.augment._field import plane_fields
from stallscan.augment._maps import Displacement, Map
from stallscan.augment._spatial import interpolating
from stallscan.augment._transform import Params, Shape, Spatial


@dataclass(frozen=True)
class ElasticTransformPseudo2D(Spatial):
    """Bend every frame by the same smooth field; nothing moves from frame to frame.

    The displacement along y and along x is white noise from −1 to 1 under a Gaussian of σ, times
    alpha: α / (2 σ √(3 π)) voxels in the standard deviation, 3.3 by default (Simard, Steinkraus
    and Platt 2003). On it comes an affine one. Frames much smaller than σ are shifted more than
    they are bent: there take a σ of a tenth of their extent, and an alpha of ten σ.

    Attributes:
        alpha: strength, voxels: see above.
        sigma: of the Gaussian, voxels, from 1.
        alpha_affine: how far, in voxels along y and x, the affine displacement moves three corners
            of a square that reaches a third of the frame's shorter side from its centre.
        approximate: taken for compatibility; there is one field, and it is quick.
        always_apply: whatever p says.
        p: probability.
        interpolation: 0 nearest, 1 linear, 2 to 5 splines.
        border_mode: what lies beyond: constant, nearest or reflect.
        value: the constant, in the image's own grey levels.
        mask_value: the constant of masks.

    Example:
        >>> bent = ElasticTransformPseudo2D(60, 6, p=0.2)
    """

    keeps_shape: ClassVar[bool] = True
    alpha: float = 1000
    sigma: float = 50
    alpha_affine: float = 1
    approximate: bool = False
    always_apply: bool = False
    p: float = 0.5
    interpolation: int = field(default=1, kw_only=True)
    border_mode: str = field(default="reflect", kw_only=True)
    value: float = field(default=0, kw_only=True)
    mask_value: float = field(default=0, kw_only=True)

    def check(self) -> None:
        """See `Transform.check`."""
        where = "ElasticTransformPseudo2D"
        _checks.number(f"{where}.alpha", self.alpha, 0, 1e9)
        _checks.number(f"{where}.sigma", self.sigma, 1, 1e6)
        _checks.number(f"{where}.alpha_affine", self.alpha_affine, 0, 1e6)
        _checks.one_of(f"{where}.approximate", self.approximate, (False, True))
        interpolating(self)

    def does_nothing(self) -> str | None:
        """See `Transform.does_nothing`."""
        moves = self.alpha or self.alpha_affine
        return None if moves else "alpha and alpha_affine are 0"

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """By corner, its displacement along y and x in voxels; the seed of the noise."""
        corners = rng.uniform(-self.alpha_affine, self.alpha_affine, (3, 2))
        return {"corners": corners.tolist(), "noise_seed": int(rng.integers(2**63))}

    def map(self, params: Params, shape: Shape) -> list[Map]:
        """One displacement that has no z and does not depend on it; affine is linear in it too."""
        rng = np.random.default_rng(params["noise_seed"])
        fields, step = plane_fields(rng, 2, self.sigma, shape[1:])
        strength = self.alpha / (2 * self.sigma * math.sqrt(3 * math.pi))
        plane = fields.astype(np.float64) * strength  # (2, nodes y, nodes x)
        first, second, third = np.reshape(params["corners"], (3, 2, 1, 1))
        side = 2 * max(min(shape[1:]) / 3, 1.0)  # from (1, 1) over (1, −1) to (−1, −1)
        y, x = np.indices(plane.shape[1:]) * step
        height, width = shape[1:]
        along_y, along_x = (y - (height - 1) / 2) / side, (x - (width - 1) / 2) / side
        plane += (first + third) / 2 + (second - third) * along_y + (first - second) * along_x
        moved = np.zeros((3, 1, *plane.shape[1:]), np.float32)
        moved[1:, 0] = plane
        return [Displacement(moved, (math.inf, step, step), interpolating(self))]
