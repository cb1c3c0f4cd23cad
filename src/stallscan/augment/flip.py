"""Mirror images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from stallscan.augment import _checks
from stallscan.augment._maps import Axes, Map
from stallscan.augment._transform import Params, Shape, Spatial, Transform

_SETS = ((0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2))


@dataclass(frozen=True)
class Flip(Spatial):
    """Mirror along given axes (paper, section 3: each of the three with p = 0.5).

    Attributes:
        axis: 0 (z: time runs backwards), 1 (y), 2 (x), several of them, or None: a random set.
        always_apply: whatever p says.
        p: probability.

    Example:
        >>> mirrored = Flip(2, p=0.5)
    """

    keeps_shape: ClassVar[bool] = True
    axis: int | tuple[int, ...] | None = None
    always_apply: bool = False
    p: float = 0.5

    def check(self) -> None:
        """See `Transform.check`."""
        if self.axis is not None:
            axes = _checks.axes_of("Flip.axis", self.axis)
            self._set(axis=axes[0] if len(axes) == 1 else axes)

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """The axes: drawn once, the same for every target."""
        if self.axis is None:
            return {"axes": list(_SETS[int(rng.integers(len(_SETS)))])}
        return {"axes": [self.axis] if isinstance(self.axis, int) else list(self.axis)}

    def map(self, params: Params, shape: Shape) -> list[Map]:
        """Mirrored axes."""
        chosen = params["axes"]
        return [Axes(shape, mirrored=(0 in chosen, 1 in chosen, 2 in chosen))]

    def inverse(self, params: Params) -> tuple[Transform, Params]:
        """Itself."""
        return self, params
