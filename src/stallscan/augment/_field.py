"""Smooth random fields: white noise under a Gaussian, on as few nodes as that takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from stallscan.augment._filters import gaussian

_NODES_A_SIGMA = 3.0


@dataclass(frozen=True)
class Lattice:
    """Three nodes a σ, and linear between them: that keeps a field's shape, but not its strength.

    Attributes:
        sigma: of the Gaussian, by axis, in nodes.
        spacing: voxels between nodes, by axis; 1 where σ is below three voxels.
        nodes: how many it takes from the first voxel to the last, by axis.
    """

    sigma: tuple[float, ...]
    spacing: tuple[float, ...]
    nodes: tuple[int, ...]

    @classmethod
    def of(cls, sigma: Sequence[float], shape: Sequence[int]) -> Lattice:
        """For a Gaussian of σ voxels in a volume (or plane) of this shape."""
        spacing = [max(1.0, s / _NODES_A_SIGMA) for s in sigma]
        pairs = list(zip(shape, spacing, strict=True))
        return cls(
            tuple(s / step for s, step in zip(sigma, spacing, strict=True)),
            tuple(spacing),
            tuple(math.ceil((extent - 1) / step) + 1 for extent, step in pairs),
        )

    @property
    def gain(self) -> float:
        """What gives back the strength that linear interpolation between nodes takes."""
        return math.prod(_weakening(s) for s in self.sigma) ** -0.5

    def blur(self, field: NDArray[np.float32]) -> None:
        """``(z, y, x)`` on the nodes, in place, zeros beyond the border."""
        kernels = [gaussian(s) for s in self.sigma]
        depth = len(field)
        flat = field.reshape(depth, -1)
        zeros = {"borderType": cv2.BORDER_CONSTANT}
        one = np.ones(1, np.float32)
        flat[:] = cv2.sepFilter2D(flat, -1, one, kernels[0], **zeros)  # type: ignore[call-overload]
        for plane in field:
            plane[:] = cv2.sepFilter2D(plane, -1, kernels[2], kernels[1], **zeros)  # type: ignore[call-overload]


def plane_fields(
    rng: np.random.Generator, number: int, sigma: float, extents: tuple[int, int]
) -> tuple[NDArray[np.float32], float]:
    """Stationary fields of a plane: mean 0, standard deviation 1, also at its border.

    Their correlation at a distance d is exp(−d² / 4σ²).

    Args:
        rng: the randomness.
        number: of independent fields.
        sigma: of the Gaussian, voxels.
        extents: ``(y, x)`` of the plane.

    Returns:
        ``(number, nodes y, nodes x)``, and the voxels between nodes.
    """
    lattice = Lattice.of((sigma, sigma), extents)
    kernel = gaussian(lattice.sigma[0])
    reach = len(kernel) // 2  # more noise than nodes, so that none is nearer to a border
    rows, columns = lattice.nodes
    noise = rng.standard_normal((number, rows + 2 * reach, columns + 2 * reach), np.float32)
    kernel = kernel * (lattice.gain / float(np.square(kernel).sum())) ** 0.5
    fields = np.empty((number, rows, columns), np.float32)
    for field, plane in zip(fields, noise, strict=True):
        blurred = cv2.sepFilter2D(plane, -1, kernel, kernel)
        field[:] = blurred[reach : reach + rows, reach : reach + columns]
    return fields, lattice.spacing[0]


def on_plane(
    fields: NDArray[np.float32], step: float, extents: tuple[int, int]
) -> NDArray[np.float32]:
    """Fields at every voxel of a plane: ``(number, nodes y, nodes x)`` → ``(number, y, x)``."""
    for axis, extent in zip((1, 2), extents, strict=True):
        place = np.arange(extent) / step
        node = place.astype(np.intp)
        share = (place - node).astype(np.float32).reshape((-1, 1) if axis == 1 else -1)
        before = fields.take(node, axis)
        after = fields.take(np.minimum(node + 1, fields.shape[axis] - 1), axis)
        fields = before + share * (after - before)
    return fields


def _weakening(sigma: float) -> float:
    """Variance between nodes, linearly interpolated, over that at the nodes.

    At a share t of the way it is (1 − t)² + t² + 2 t (1 − t) ρ with ρ = exp(−1 / 4σ²), the
    correlation of neighbouring nodes; this is the mean over t. Below one node a σ the lattice has
    every voxel, and nothing lies between.
    """
    if sigma < _NODES_A_SIGMA - 1e-9:
        return 1.0
    return (2 + math.exp(-1 / (4 * sigma**2))) / 3
