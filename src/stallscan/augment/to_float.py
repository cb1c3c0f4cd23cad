"""From whole numbers to float32 in [0, 1], and back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stallscan.augment import _checks
from stallscan.augment._transform import Params, Pixel, Shape
from stallscan.augment._values import scaled
from stallscan.errors import OptionError


@dataclass(frozen=True)
class ToFloat(Pixel):
    """Divide by white: float32 in [0, 1]. `FromFloat` undoes it exactly.

    Attributes:
        max_value: white, what becomes 1; values above it saturate. None: 255 of uint8, 65,535 of
            uint16, 1 of float32.
        always_apply: whatever p says.
        p: probability.

    Example:
        >>> twelve_bits = ToFloat(max_value=4095)
    """

    max_value: float | None = None
    always_apply: bool = True
    p: float = 1.0

    def check(self) -> None:
        """See `Transform.check`."""
        if self.max_value is not None:
            _checks.number("ToFloat.max_value", self.max_value, 1e-30, 3e38)

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """Nothing is random."""
        return {}

    def apply(self, volume: NDArray[Any], params: Params) -> NDArray[Any]:
        """See `Transform.apply`."""
        white = np.float32(self.max_value or _checks.CEILING[volume.dtype])
        if volume.dtype == np.float32:
            low, high = float(volume.min()), float(volume.max())
            if not (math.isfinite(low) and math.isfinite(high)):
                raise OptionError(f"ToFloat: the image lies in [{low:g}, {high:g}], not finite")
            if self.max_value is None and not (low >= 0 and high <= 1):
                raise OptionError(
                    f"ToFloat: the float32 image lies in [{low:g}, {high:g}]; give max_value, what "
                    "is white in it"
                )
        out: NDArray[np.float32] = np.divide(volume, white, dtype=np.float32, order="C")
        return out if self.max_value is None else np.clip(out, 0, 1, out=out)


@dataclass(frozen=True)
class FromFloat(Pixel):
    """Multiply float32 by white and round: whole numbers, saturated.

    Attributes:
        dtype: uint16 or uint8.
        max_value: white, what 1 becomes. None: 65,535 of uint16, 255 of uint8.
        always_apply: whatever p says.
        p: probability.

    Example:
        >>> eight_bits = FromFloat("uint8")
    """

    dtype: str = "uint16"
    max_value: float | None = None
    always_apply: bool = True
    p: float = 1.0

    def check(self) -> None:
        """See `Transform.check`."""
        names = {np.dtype(kind): kind for kind in ("uint8", "uint16")}
        try:
            name = names.get(np.dtype(self.dtype), self.dtype)
        except TypeError:
            name = self.dtype
        _checks.one_of("FromFloat.dtype", name, tuple(names.values()))
        self._set(dtype=name)
        if self.max_value is not None:
            white = _checks.CEILING[np.dtype(name)]
            _checks.number("FromFloat.max_value", self.max_value, 1, white)

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """Nothing is random."""
        return {}

    def apply(self, volume: NDArray[Any], params: Params) -> NDArray[Any]:
        """See `Transform.apply`."""
        if volume.dtype != np.float32:
            raise OptionError(f"FromFloat: the image is {volume.dtype}, allowed is float32")
        white = self.max_value or _checks.CEILING[np.dtype(self.dtype)]
        return scaled(volume, np.full(len(volume), white, np.float32), self.dtype)
