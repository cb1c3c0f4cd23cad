"""Shading: brightness that changes slowly over the volume."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.polynomial.legendre import legvander
from numpy.typing import NDArray

from stallscan.augment import _checks
from stallscan.augment._checks import Range
from stallscan.augment._transform import Params, Pixel, Shape
from stallscan.augment._values import ends, in_greys
from stallscan.errors import OptionError


@dataclass(frozen=True)
class BiasField(Pixel):
    """Shade the volume: a gain that changes slowly within the frame and from frame to frame.

    The logarithm of the gain is a random polynomial of y and x (Van Leemput et al. 1999; Legendre
    polynomials, normal coefficients), plus one of z: a two-photon field darkens towards its edges,
    whatever the depth, and with depth, whatever the place. Each of the two gains lies between
    1 / √ratio and √ratio and reaches both. Values saturate; float32 images lie in [0, 1].

    Attributes:
        ratio_limit: greatest gain within a frame over the least: a pair (drawn log-evenly) or n for
            (n, n).
        z_ratio_limit: the same from frame to frame; 1 leaves all frames alike.
        order: of the polynomials, 1 to 8: 1 slopes, 2 bends, more waves.
        always_apply: whatever p says.
        p: probability.

    Example:
        >>> shaded = BiasField(ratio_limit=(1.5, 3), z_ratio_limit=1, order=2, p=0.3)
    """

    ratio_limit: Range = (1.2, 2.0)
    z_ratio_limit: Range = (1.0, 1.5)
    order: int = 3
    always_apply: bool = False
    p: float = 0.5

    def check(self) -> None:
        """See `Transform.check`."""
        ratio = _checks.pair("BiasField.ratio_limit", self.ratio_limit, 1, 100, number="exact")
        along_z = _checks.pair(
            "BiasField.z_ratio_limit", self.z_ratio_limit, 1, 100, number="exact"
        )
        if _checks.number("BiasField.order", self.order, 1, 8) % 1:
            raise OptionError(f"BiasField.order is {self.order!r}, allowed are whole numbers")
        self._set(ratio_limit=ratio, z_ratio_limit=along_z, order=int(self.order))

    def does_nothing(self) -> str | None:
        """See `Transform.does_nothing`."""
        idle = ends(self.ratio_limit) == ends(self.z_ratio_limit) == (1, 1)
        return "ratio_limit and z_ratio_limit are (1, 1)" if idle else None

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """The two ratios and the coefficients, by order along y and x, and along z."""
        ratio, z_ratio = (
            float(np.exp(rng.uniform(*np.log(ends(limit)))))
            for limit in (self.ratio_limit, self.z_ratio_limit)
        )
        orders = np.arange(self.order + 1)
        plane = rng.standard_normal((self.order + 1, self.order + 1))
        plane[np.add.outer(orders, orders) > self.order] = 0
        along_z = rng.standard_normal(self.order + 1)
        return {
            "ratio": ratio,
            "z_ratio": z_ratio,
            "plane": plane.tolist(),
            "along_z": along_z.tolist(),
        }

    def apply(self, volume: NDArray[Any], params: Params) -> NDArray[Any]:
        """See `Transform.apply`."""
        _, half, white = in_greys("BiasField", volume)
        along_z, plane = gains(params, (volume.shape[0], volume.shape[1], volume.shape[2]))
        channels = volume.shape[3] if volume.ndim == 4 else 1
        frames = np.ascontiguousarray(volume).reshape(len(volume), -1)
        out = np.empty_like(frames)
        _shade(frames, along_z, np.repeat(plane, channels), half, white, out)
        return out.reshape(volume.shape)


def gains(params: Params, shape: Shape) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The gain by frame ``(z,)`` and by place ``(y, x)``; their product is that of a voxel."""
    z, y, x = (_polynomials(extent, len(params["plane"]) - 1) for extent in shape)
    along_z = _between(z @ params["along_z"], params["z_ratio"])
    return along_z, _between(y @ np.array(params["plane"]) @ x.T, params["ratio"])


def _polynomials(extent: int, order: int) -> NDArray[np.float64]:
    """``(extent, order + 1)``: Legendre polynomials at voxel centres; the edges are −1 and 1."""
    return np.asarray(legvander((2 * np.arange(extent) + 1) / extent - 1, order), np.float64)


def _between(field: NDArray[np.float64], ratio: float) -> NDArray[np.float32]:
    """A gain from 1 / √ratio, where the field is least, to √ratio."""
    low, span = field.min(), np.ptp(field)
    share = (field - low) / span - 0.5 if span > 1e-9 else np.zeros_like(field)
    gain: NDArray[np.float32] = np.exp(np.log(ratio) * share).astype(np.float32)
    return gain


@njit(cache=True, nogil=True)
def _shade(frames, along_z, plane, half, white, out):  # type: ignore[no-untyped-def]
    for z in range(len(frames)):
        frame, target, gain = frames[z], out[z], along_z[z]
        for i in range(len(frame)):
            value = np.float32(frame[i]) * (gain * plane[i]) + half
            target[i] = value if value < white else white
