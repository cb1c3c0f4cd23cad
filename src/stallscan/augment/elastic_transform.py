"""Elastic deformation by a smooth random field."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from stallscan.augment import _checks
from stallscan.augment._checks import Range
from stallscan.augment._maps import Displacement, Map
from stallscan.augment._spatial import interpolating
from stallscan.augment._transform import Params, Shape, Spatial

_TRUNCATE = 4.0  # standard deviations that a Gaussian kernel reaches
_NODES_A_SIGMA = 3.0


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
        spacing = [max(1.0, sigma / _NODES_A_SIGMA) for sigma in params["sigma"]]
        nodes = [
            math.ceil((extent - 1) / step) + 1 for extent, step in zip(shape, spacing, strict=True)
        ]
        rng = np.random.default_rng(params["noise_seed"])
        field = rng.random((3, *nodes), np.float32) * 2 - 1
        lattice_sigma = [s / step for s, step in zip(params["sigma"], spacing, strict=True)]
        strength = math.prod(_weakening(s) for s in lattice_sigma) ** -0.5
        for part, alpha in zip(field, params["alpha"], strict=True):
            _smooth(part, lattice_sigma)
            part *= strength * alpha / max(float(np.abs(part).max()), 1e-12)
            part -= part.mean()
        depth, height, width = spacing
        return [Displacement(field, (depth, height, width), interpolating(self))]


def _weakening(sigma: float) -> float:
    """Variance between nodes, linearly interpolated, over that at the nodes.

    At a share t of the way it is (1 − t)² + t² + 2 t (1 − t) ρ with ρ = exp(−1 / 4σ²), the
    correlation of neighbouring nodes; this is the mean over t. Below one node a σ the lattice has
    every voxel, and nothing lies between.
    """
    if sigma < _NODES_A_SIGMA - 1e-9:
        return 1.0
    return (2 + math.exp(-1 / (4 * sigma**2))) / 3


def _smooth(field: NDArray[np.float32], sigma: list[float]) -> None:
    """Gaussian blur of ``(z, y, x)`` in place, zeros beyond the border."""
    kernels = [_gaussian(s) for s in sigma]
    depth = len(field)
    flat = field.reshape(depth, -1)
    zeros = {"borderType": cv2.BORDER_CONSTANT}
    one = np.ones(1, np.float32)
    flat[:] = cv2.sepFilter2D(flat, -1, one, kernels[0], **zeros)  # type: ignore[call-overload]
    for plane in field:
        plane[:] = cv2.sepFilter2D(plane, -1, kernels[2], kernels[1], **zeros)  # type: ignore[call-overload]


def _gaussian(sigma: float) -> NDArray[np.float32]:
    reach = int(_TRUNCATE * sigma + 0.5)
    if reach == 0:
        return np.ones(1, np.float32)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    return np.asarray(kernel, np.float32)
