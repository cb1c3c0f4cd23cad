"""Frames that the microscope or the encoder lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from stallscan.augment import _checks
from stallscan.augment._maps import Map, Take
from stallscan.augment._transform import Params, Shape, Spatial


@dataclass(frozen=True)
class RandomFrameDrop(Spatial):
    """Drop single frames, and repeat the one before so that time goes on.

    Real stacks have duplicated frames. The number of frames stays, unlike `RandomDropPlane`'s.

    Attributes:
        drop_prob: probability of each frame but the first.
        always_apply: whatever p says.
        p: probability.

    Example:
        >>> stuttering = RandomFrameDrop(0.05, p=0.3)
    """

    keeps_shape: ClassVar[bool] = True
    drop_prob: float = 0.05
    always_apply: bool = False
    p: float = 0.5

    def check(self) -> None:
        """See `Transform.check`."""
        _checks.number("RandomFrameDrop.drop_prob", self.drop_prob, 0, 1)

    def does_nothing(self) -> str | None:
        """See `Transform.does_nothing`."""
        return None if self.drop_prob else "drop_prob is 0"

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """The frames that are lost."""
        lost = np.flatnonzero(rng.random(shape[0] - 1) < self.drop_prob) + 1
        return {"dropped": [int(frame) for frame in lost]}

    def map(self, params: Params, shape: Shape) -> list[Map]:
        """Each lost frame is the last one before it that is not."""
        if not params["dropped"]:
            return []
        index = np.arange(shape[0])
        index[params["dropped"]] = 0
        return [Take(0, np.maximum.accumulate(index))]
