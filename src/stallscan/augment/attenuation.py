"""Light that is lost on the way: with depth, or by bleaching."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stallscan.augment import _checks
from stallscan.augment._checks import Range
from stallscan.augment._transform import Params, Pixel, Shape
from stallscan.augment._values import ends, in_greys, scaled


@dataclass(frozen=True)
class Attenuation(Pixel):
    """Dim the frames exponentially, each by the same factor more than the one before.

    Light is scattered with depth (Beer and Lambert), and a dye bleaches with time; in a stack,
    whose frames are deeper and later, both look the same. Float32 images lie in [0, 1].

    Attributes:
        left_limit: share of the light that is left in the dimmest frame, a pair (drawn log-evenly)
            or n for (n, n).
        dimmest: which frame that is: ``"last"``, ``"first"``, or ``"either"``, drawn.
        always_apply: whatever p says.
        p: probability.

    Example:
        >>> deep = Attenuation(left_limit=(0.4, 0.9), p=0.3)
    """

    left_limit: Range = (0.4, 1.0)
    dimmest: str = "last"
    always_apply: bool = False
    p: float = 0.5

    def check(self) -> None:
        """See `Transform.check`."""
        left = _checks.pair("Attenuation.left_limit", self.left_limit, 0.001, 1, number="exact")
        _checks.one_of("Attenuation.dimmest", self.dimmest, ("last", "first", "either"))
        self._set(left_limit=left)

    def does_nothing(self) -> str | None:
        """See `Transform.does_nothing`."""
        return "left_limit is (1, 1)" if ends(self.left_limit) == (1, 1) else None

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """The share that is left, and the end at which it is."""
        left = float(np.exp(rng.uniform(*np.log(ends(self.left_limit)))))
        drawn = ("last", "first")[int(rng.integers(2))]
        return {"left": left, "dimmest": drawn if self.dimmest == "either" else self.dimmest}

    def table(self, params: Params, n_frames: int) -> NDArray[np.uint8]:
        """See `Pixel.table`."""
        return self.apply(np.tile(np.arange(256, dtype=np.uint8), (n_frames, 1)), params)

    def apply(self, volume: NDArray[Any], params: Params) -> NDArray[Any]:
        """See `Transform.apply`."""
        in_greys("Attenuation", volume)
        gains = params["left"] ** np.linspace(0, 1, len(volume))
        if params["dimmest"] == "first":
            gains = gains[::-1]
        return scaled(volume, gains.astype(np.float32), volume.dtype)
