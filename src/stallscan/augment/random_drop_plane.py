"""Planes left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stallscan.augment import _checks
from stallscan.augment._maps import Map, Take
from stallscan.augment._transform import Params, Shape, Spatial


@dataclass(frozen=True)
class RandomDropPlane(Spatial):
    """Leave out random planes of one axis; the rest closes up (paper, section 3).

    Attributes:
        plane_drop_prob: probability of each plane to go; one stays at least.
        axes: one of these axes is drawn.
        always_apply: whatever p says.
        p: probability.

    Example:
        >>> thinned = RandomDropPlane(0.1, (0, 1, 2), p=0.3)
    """

    plane_drop_prob: float = 0.1
    axes: tuple[int, ...] = (0,)
    always_apply: bool = False
    p: float = 1.0

    def check(self) -> None:
        """See `Transform.check`."""
        _checks.number("RandomDropPlane.plane_drop_prob", self.plane_drop_prob, 0, 1)
        self._set(axes=_checks.axes_of("RandomDropPlane.axes", self.axes))

    def does_nothing(self) -> str | None:
        """See `Transform.does_nothing`."""
        return None if self.plane_drop_prob else "plane_drop_prob is 0"

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """The axis and the planes that go."""
        axis = int(rng.choice(self.axes))
        gone = np.flatnonzero(rng.random(shape[axis]) < self.plane_drop_prob)
        if len(gone) == shape[axis]:
            gone = np.delete(gone, int(rng.integers(len(gone))))
        return {"axis": axis, "dropped": [int(plane) for plane in gone]}

    def map(self, params: Params, shape: Shape) -> list[Map]:
        """The planes that stay."""
        kept = np.delete(np.arange(shape[params["axis"]]), params["dropped"])
        return [Take(params["axis"], kept)] if params["dropped"] else []
