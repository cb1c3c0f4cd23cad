"""Quarter turns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stallscan.augment import _checks
from stallscan.augment._maps import Axes, Map
from stallscan.augment._transform import Params, Shape, Spatial, Transform
from stallscan.errors import OptionError

_PLANES = ((0, 1), (0, 2), (1, 2))


@dataclass(frozen=True)
class RandomRotate90(Spatial):
    """Turn by 0, 90, 180 or 270 degrees, each equally often (paper, section 3).

    Turns within the frames are ``axes=(1, 2)``. Extents change places with the axes.

    Attributes:
        axes: the plane, two axes; None: a random one.
        always_apply: whatever p says.
        p: probability.

    Example:
        >>> turned = RandomRotate90((1, 2), p=0.5)
    """

    axes: tuple[int, ...] | None = None
    always_apply: bool = False
    p: float = 0.5

    def check(self) -> None:
        """See `Transform.check`."""
        if self.axes is not None:
            axes = _checks.axes_of("RandomRotate90.axes", self.axes, at_least=2)
            if len(axes) != 2:
                raise OptionError(
                    f"RandomRotate90.axes is {self.axes!r}, allowed are two axes: a plane"
                )
            self._set(axes=axes)

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """The plane and the number of quarter turns from its first axis towards its second."""
        axes = self.axes or _PLANES[int(rng.integers(len(_PLANES)))]
        return {"axes": list(axes), "turns": int(rng.integers(4))}

    def map(self, params: Params, shape: Shape) -> list[Map]:
        """One transposition with mirrors, as numpy.rot90 does it."""
        first, second = params["axes"]
        turns = params["turns"] % 4
        order = [0, 1, 2]
        mirrored = [False, False, False]
        if turns % 2:
            order[first], order[second] = second, first
            # rot90 once: mirror the second axis, then transpose; it lands on the first.
            mirrored[first if turns == 1 else second] = True
        elif turns == 2:
            mirrored[first] = mirrored[second] = True
        a, b, c = order
        x, y, z = mirrored
        return [Axes(shape, (a, b, c), (x, y, z))]

    def inverse(self, params: Params) -> tuple[Transform, Params]:
        """The other quarter turns."""
        return self, {**params, "turns": -params["turns"] % 4}
