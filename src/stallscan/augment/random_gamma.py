"""Brightness of the middle, black and white in their place."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stallscan.augment import _checks
from stallscan.augment._checks import Range
from stallscan.augment._transform import Params, Pixel, Shape
from stallscan.augment._values import ends, look_up
from stallscan.errors import OptionError


@dataclass(frozen=True)
class RandomGamma(Pixel):
    """Raise values to a power: white · (value / white) ** gamma ("gamma blurring" of the paper).

    White is 255 of uint8, 65,535 of uint16, 1 of float32, whose images lie in [0, 1].

    Attributes:
        gamma_limit: **in percent**, a pair or n for (n, n): below 100 brightens, above darkens.
            The paper's 0.5 to 1.5 is (50, 150).
        eps: without effect, as in volumentations; it never was needed.
        always_apply: whatever p says.
        p: probability.
        stretch: whether to stretch the volume's darkest and brightest value to black and white
            first, as the competition code does. An image without contrast stays as it is.

    Example:
        >>> brighter_or_darker = RandomGamma((50, 150), p=0.2)
    """

    gamma_limit: Range = (80, 120)
    eps: float | None = None
    always_apply: bool = False
    p: float = 0.5
    stretch: bool = field(default=False, kw_only=True)

    def check(self) -> None:
        """See `Transform.check`."""
        where = "RandomGamma.gamma_limit"
        limit = _checks.pair(where, self.gamma_limit, number="exact")
        if limit[1] < 10:
            raise OptionError(
                f"{where} is {self.gamma_limit!r}; it is in percent: (50, 150) for 0.5 to 1.5"
            )
        self._set(gamma_limit=_checks.pair(where, limit, 1, 1000))
        _checks.one_of("RandomGamma.stretch", self.stretch, (False, True))
        if self.eps is not None:
            warnings.warn("RandomGamma.eps has no effect", UserWarning, stacklevel=4)

    def does_nothing(self) -> str | None:
        """See `Transform.does_nothing`."""
        idle = ends(self.gamma_limit) == (100, 100) and not self.stretch
        return "gamma_limit is (100, 100) percent" if idle else None

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """The exponent."""
        return {"gamma": float(rng.uniform(*ends(self.gamma_limit))) / 100}

    def table(self, params: Params, n_frames: int) -> NDArray[np.uint8] | None:
        """See `Pixel.table`."""
        if self.stretch:
            return None
        return _curve(255, params["gamma"], 0, 255).astype(np.uint8)

    def apply(self, volume: NDArray[Any], params: Params) -> NDArray[Any]:
        """See `Transform.apply`."""
        gamma, white = params["gamma"], _checks.CEILING[volume.dtype]
        if volume.dtype == np.float32:
            _checks.in_unit_range("RandomGamma", volume)
        low, high = 0.0, white
        if self.stretch and volume.max() > volume.min():
            low, high = float(volume.min()), float(volume.max())
        if volume.dtype == np.float32:
            share = volume if (low, high) == (0, 1) else (volume - low) / np.float32(high - low)
            return np.power(share, np.float32(gamma), order="C")
        curve = _curve(int(white), gamma, low, high).astype(volume.dtype)
        return look_up(volume, curve)


def _curve(white: int, gamma: float, low: float, high: float) -> NDArray[np.float64]:
    """What each whole number up to white becomes."""
    share = np.clip((np.arange(white + 1) - low) / (high - low), 0, 1)
    curve: NDArray[np.float64] = np.rint(white * share**gamma)
    return curve
