"""Motion of the animal from frame to frame."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from stallscan.augment import _checks
from stallscan.augment._checks import Range
from stallscan.augment._maps import FrameShift, Map
from stallscan.augment._spatial import interpolating
from stallscan.augment._transform import Params, Shape, Spatial


@dataclass(frozen=True)
class RandomShift(Spatial):
    """Shift every frame a little: breathing, heartbeat, and what registration left of them.

    The shifts are a stationary random walk (each frame keeps `memory` of the one before), the same
    in all frames' voxels, with a standard deviation drawn once.

    Attributes:
        shift_limit: standard deviation in voxels: a range, or n for (0, n).
        memory: correlation of the shifts of neighbouring frames, 0 to 1.
        interpolation: 0 nearest, 1 linear, 2 to 5 splines.
        border_mode: what lies beyond: constant, nearest or reflect.
        value: the constant, in the image's own grey levels.
        mask_value: the constant of masks.
        always_apply: whatever p says.
        p: probability.

    Example:
        >>> shaking = RandomShift((0, 1.5), p=0.3)
    """

    keeps_shape: ClassVar[bool] = True
    shift_limit: Range = (0, 1.5)
    memory: float = 0.5
    interpolation: int = 1
    border_mode: str = "nearest"
    value: float = 0
    mask_value: float = 0
    always_apply: bool = False
    p: float = 0.5

    def check(self) -> None:
        """See `Transform.check`."""
        where = "RandomShift.shift_limit"
        limits = _checks.pair(where, self.shift_limit, 0, number="from_zero")
        self._set(shift_limit=limits)
        _checks.number("RandomShift.memory", self.memory, 0, 1)
        interpolating(self)

    def does_nothing(self) -> str | None:
        """See `Transform.does_nothing`."""
        return None if self.shift_limit[1] > 0 else "shift_limit is 0"  # type: ignore[index]

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """By frame, the shift along y and x in voxels."""
        std = float(rng.uniform(*self.shift_limit))  # type: ignore[misc]
        steps = rng.standard_normal((shape[0], 2))
        for before, after in itertools.pairwise(steps):
            after *= np.sqrt(1 - self.memory**2)
            after += self.memory * before
        return {"shifts": (std * steps).tolist()}

    def map(self, params: Params, shape: Shape) -> list[Map]:
        """One shift a frame."""
        return [FrameShift(np.array(params["shifts"]), interpolating(self))]
