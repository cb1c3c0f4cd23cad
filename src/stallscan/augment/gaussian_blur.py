"""Out of focus."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stallscan.augment._checks import Range
from stallscan.augment._filters import check_sigmas, draw_sigmas, no_sigmas, rounded, smooth
from stallscan.augment._transform import Params, Pixel, Shape


@dataclass(frozen=True)
class GaussianBlur(Pixel):
    """Blur with a Gaussian, within the frames unless frames are to be mixed too.

    Frames are moments: what is blurred along z no longer shows whether cells move. Borders reflect.
    In every dtype the result is within 0.02 grey levels of the exact one, and then rounded.

    Attributes:
        sigma_limit: standard deviation along y and x in voxels, a pair, or n for (0, n).
        always_apply: whatever p says.
        p: probability.
        sigma_z_limit: standard deviation along z in frames, a pair, or n for (0, n).
        per_axis: whether y and x get a standard deviation each.

    Example:
        >>> blurred = GaussianBlur((0.5, 1.5), p=0.2)
    """

    sigma_limit: Range = (0.5, 1.5)
    always_apply: bool = False
    p: float = 0.5
    sigma_z_limit: Range = field(default=0, kw_only=True)
    per_axis: bool = field(default=False, kw_only=True)

    def check(self) -> None:
        """See `Transform.check`."""
        check_sigmas(self)

    def does_nothing(self) -> str | None:
        """See `Transform.does_nothing`."""
        return no_sigmas(self)

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """The standard deviation along each axis."""
        return {"sigma": draw_sigmas(self, rng)}

    def apply(self, volume: NDArray[Any], params: Params) -> NDArray[Any]:
        """See `Transform.apply`."""
        return rounded(smooth(volume, params["sigma"]), volume)
