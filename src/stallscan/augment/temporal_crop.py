"""A part of the frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stallscan.augment import _checks
from stallscan.augment._checks import Range
from stallscan.augment._maps import Map, Take
from stallscan.augment._transform import Params, Shape, Spatial
from stallscan.augment._values import ends


@dataclass(frozen=True)
class TemporalCrop(Spatial):
    """Keep a run of consecutive frames, of random length and place; nothing is resized.

    A stall shows in any part of a recording; so does flow.

    Attributes:
        length_limit: how many frames stay, as a share of all: a pair or a number; one at least.
        always_apply: whatever p says.
        p: probability.

    Example:
        >>> shorter = TemporalCrop((0.7, 1.0), p=0.3)
    """

    length_limit: Range = (0.5, 1.0)
    always_apply: bool = False
    p: float = 0.5

    def check(self) -> None:
        """See `Transform.check`."""
        where = "TemporalCrop.length_limit"
        self._set(length_limit=_checks.pair(where, self.length_limit, 0, 1, number="exact"))

    def does_nothing(self) -> str | None:
        """See `Transform.does_nothing`."""
        return "length_limit is 1" if self.length_limit == (1, 1) else None

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """First frame and number of frames."""
        share = float(rng.uniform(*ends(self.length_limit)))
        length = max(round(share * shape[0]), 1)
        return {"start": int(rng.integers(shape[0] - length + 1)), "length": length}

    def map(self, params: Params, shape: Shape) -> list[Map]:
        """The frames that stay."""
        start, length = params["start"], params["length"]
        return [] if length == shape[0] else [Take(0, range(start, start + length))]
