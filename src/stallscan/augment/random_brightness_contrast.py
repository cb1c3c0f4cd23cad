"""Brightness and contrast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stallscan.augment import _checks
from stallscan.augment._checks import Range
from stallscan.augment._transform import Params, Pixel, Shape
from stallscan.augment._values import ends, in_greys, moment, scaled, sums


@dataclass(frozen=True)
class RandomBrightnessContrast(Pixel):
    """Change contrast and brightness: value · (1 + contrast) + brightness · white.

    Contrast alone leaves black in its place, not the middle. White is 255 of uint8, 65,535 of
    uint16, 1 of float32, whose images lie in [0, 1]. Results are rounded and saturate.

    Attributes:
        brightness_limit: share of white that is added, −1 to 1: a pair, or n for (−n, n).
        contrast_limit: what is added to a factor of 1, −1 to 9: a pair, or n for (−n, n).
        brightness_by_max: add a share of white; False adds one of the volume's mean as it came in.
        always_apply: whatever p says.
        p: probability.

    Example:
        >>> brighter_or_duller = RandomBrightnessContrast(0.1, (-0.3, 0.3), p=0.3)
    """

    brightness_limit: Range = 0.2
    contrast_limit: Range = 0.2
    brightness_by_max: bool = True
    always_apply: bool = False
    p: float = 0.5

    def check(self) -> None:
        """See `Transform.check`."""
        name = "RandomBrightnessContrast"
        brightness = _checks.pair(f"{name}.brightness_limit", self.brightness_limit, -1, 1)
        contrast = _checks.pair(f"{name}.contrast_limit", self.contrast_limit, -1, 9)
        _checks.one_of(f"{name}.brightness_by_max", self.brightness_by_max, (False, True))
        self._set(brightness_limit=brightness, contrast_limit=contrast)

    def does_nothing(self) -> str | None:
        """See `Transform.does_nothing`."""
        idle = ends(self.brightness_limit) == ends(self.contrast_limit) == (0, 0)
        return "brightness_limit and contrast_limit are (0, 0)" if idle else None

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """The factor, and the share that is added."""
        alpha = 1 + float(rng.uniform(*ends(self.contrast_limit)))
        return {"alpha": alpha, "beta": float(rng.uniform(*ends(self.brightness_limit)))}

    def table(self, params: Params, n_frames: int) -> NDArray[np.uint8] | None:
        """See `Pixel.table`."""
        if not self.brightness_by_max:
            return None
        return self.apply(np.arange(256, dtype=np.uint8), params)

    def apply(self, volume: NDArray[Any], params: Params) -> NDArray[Any]:
        """See `Transform.apply`."""
        _, _, white = in_greys("RandomBrightnessContrast", volume)
        unit = float(white) if self.brightness_by_max else _mean(volume)
        factors = np.full(len(volume), params["alpha"], np.float32)
        return scaled(volume, factors, volume.dtype, params["beta"] * unit)


def _mean(volume: NDArray[Any]) -> float:
    """Of all values."""
    flat = np.ascontiguousarray(volume).reshape(-1)
    total = moment(flat, 0.0, 1) if flat.dtype == np.float32 else sums(flat)[0]
    return float(total) / flat.size
