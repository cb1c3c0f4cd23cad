"""Time backwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from stallscan.augment._maps import Axes, Map
from stallscan.augment._transform import Params, Shape, Spatial, Transform


@dataclass(frozen=True)
class TimeReverse(Spatial):
    """Play the stack backwards: z is depth and time, and a stall stands still both ways.

    The 2nd place of the challenge trained with it.

    Attributes:
        always_apply: whatever p says.
        p: probability.

    Example:
        >>> backwards = TimeReverse(p=0.5)
    """

    keeps_shape: ClassVar[bool] = True
    always_apply: bool = False
    p: float = 0.5

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """Nothing to draw."""
        return {}

    def map(self, params: Params, shape: Shape) -> list[Map]:
        """Axis 0 mirrored."""
        return [Axes(shape, mirrored=(True, False, False))]

    def inverse(self, params: Params) -> tuple[Transform, Params]:
        """Itself."""
        return self, params
