"""Axes in another order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stallscan.augment import _checks
from stallscan.augment._maps import Axes, Map
from stallscan.augment._transform import Params, Shape, Spatial, Transform


@dataclass(frozen=True)
class Transpose(Spatial):
    """Put the axes into another order; channels stay last.

    Attributes:
        axes: a permutation of 0, 1, 2: axis a of the result is axis ``axes[a]`` of the volume.
        always_apply: whatever p says.
        p: probability.

    Example:
        >>> swapped = Transpose((0, 2, 1), p=0.5)
    """

    axes: tuple[int, ...] = (1, 0, 2)
    always_apply: bool = False
    p: float = 0.5

    def check(self) -> None:
        """See `Transform.check`."""
        self._set(axes=_checks.axes_of("Transpose.axes", self.axes, at_least=3))

    def does_nothing(self) -> str | None:
        """See `Transform.does_nothing`."""
        return "axes are (0, 1, 2)" if self.axes == (0, 1, 2) else None

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """The order."""
        return {"axes": list(self.axes)}

    def map(self, params: Params, shape: Shape) -> list[Map]:
        """Transposed axes."""
        first, second, third = params["axes"]
        return [Axes(shape, order=(first, second, third))]

    def inverse(self, params: Params) -> tuple[Transform, Params]:
        """The inverse permutation."""
        return self, {"axes": [int(axis) for axis in np.argsort(params["axes"])]}
