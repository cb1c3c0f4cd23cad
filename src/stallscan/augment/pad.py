"""A border of a given width."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from stallscan.augment._checks import is_whole
from stallscan.augment._cut import cut_or_pad
from stallscan.augment._maps import Map
from stallscan.augment._spatial import beyond
from stallscan.augment._transform import Params, Shape, Spatial
from stallscan.errors import OptionError


@dataclass(frozen=True)
class Pad(Spatial):
    """Add planes at the sides, as many as are named.

    Attributes:
        padding: planes to add on every side; or three numbers ``(z, y, x)``, for both sides of an
            axis; or three pairs ``((before, after), …)``.
        border_mode: what is added: constant, nearest (the outermost plane) or reflect (the mirror
            image, the outermost plane too).
        value: the constant, in the image's own grey levels.
        mask_value: the constant of masks.
        always_apply: whatever p says.
        p: probability.

    Example:
        >>> framed = Pad(((0, 0), (4, 4), (4, 4)), "nearest")
    """

    padding: int | tuple[int, ...] | tuple[tuple[int, int], ...]
    border_mode: str = "constant"
    value: float = 0
    mask_value: float = 0
    always_apply: bool = False
    p: float = 1

    def check(self) -> None:
        """See `Transform.check`."""
        self._set(padding=_sides(self.padding))
        beyond(self)

    def does_nothing(self) -> str | None:
        """See `Transform.does_nothing`."""
        return None if np.any(self.padding) else "padding is 0"

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """Where the result begins, in voxels of the volume, and its size."""
        sides: Any = self.padding
        return {
            "start": [-before for before, _ in sides],
            "size": [n + sum(pair) for n, pair in zip(shape, sides, strict=True)],
        }

    def map(self, params: Params, shape: Shape) -> list[Map]:
        """One move by whole voxels."""
        return cut_or_pad(params, shape, self)


def _sides(padding: Any) -> tuple[tuple[int, int], ...]:
    """Before and after, by axis."""
    sides = padding if isinstance(padding, (tuple, list)) else (padding,) * 3
    pairs = [side if isinstance(side, (tuple, list)) else (side, side) for side in sides]
    valid = len(pairs) == 3 and all(
        len(pair) == 2 and all(is_whole(planes) and planes >= 0 for planes in pair)
        for pair in pairs
    )
    if not valid:
        raise OptionError(
            f"Pad.padding is {padding!r}, allowed are a whole number from 0, three of them "
            "(z, y, x), or three pairs ((before, after), …)"
        )
    return tuple((int(before), int(after)) for before, after in pairs)
