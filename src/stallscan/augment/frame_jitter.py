"""Brightness that jumps from frame to frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stallscan.augment import _checks
from stallscan.augment._checks import Range
from stallscan.augment._transform import Params, Pixel, Shape
from stallscan.augment._values import ends, in_greys, scaled
from stallscan.errors import OptionError


@dataclass(frozen=True)
class FrameJitter(Pixel):
    """Gain steps between blocks of frames, and single dim frames, as in real stacks.

    The stack is cut into blocks at random frames; each block is multiplied by a gain of its own,
    and some frames by a second one. Values saturate; float32 images lie in [0, 1].

    Attributes:
        gain_limit: gain of a block, a pair (drawn log-evenly) or n for (n, n).
        n_steps: how many steps there are, a pair of whole numbers or n for (n, n); one block more.
        dim_limit: gain of a dim frame, a pair or n for (n, n).
        dim_prob: probability of a frame to be dim.
        always_apply: whatever p says.
        p: probability.

    Example:
        >>> uneven = FrameJitter(gain_limit=(0.7, 1.4), n_steps=(1, 3), p=0.3)
    """

    gain_limit: Range = (0.7, 1.4)
    n_steps: Range = (1, 3)
    dim_limit: Range = (0.3, 0.8)
    dim_prob: float = 0.02
    always_apply: bool = False
    p: float = 0.5

    def check(self) -> None:
        """See `Transform.check`."""
        steps = _checks.whole_pair("FrameJitter.n_steps", self.n_steps, 0, 10_000)
        gain = _checks.pair("FrameJitter.gain_limit", self.gain_limit, 0.01, 100, number="exact")
        dim = _checks.pair("FrameJitter.dim_limit", self.dim_limit, 0, 1, number="exact")
        _checks.number("FrameJitter.dim_prob", self.dim_prob, 0, 1)
        self._set(n_steps=steps, gain_limit=gain, dim_limit=dim)

    def does_nothing(self) -> str | None:
        """See `Transform.does_nothing`."""
        never_dim = self.dim_prob == 0 or ends(self.dim_limit) == (1, 1)
        if ends(self.gain_limit) == (1, 1) and never_dim:
            return "gain_limit is (1, 1) and no frame becomes dim"
        return None

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """A factor for each frame."""
        n_frames = shape[0]
        fewest, most = (int(end) for end in ends(self.n_steps))
        n_steps = min(int(rng.integers(fewest, most + 1)), n_frames - 1)
        starts = rng.permutation(n_frames - 1)[:n_steps] + 1
        block = np.isin(np.arange(n_frames), starts).cumsum()
        low, high = np.log(ends(self.gain_limit))
        gains = np.exp(rng.uniform(low, high, n_steps + 1))[block]
        dims = rng.uniform(*ends(self.dim_limit), size=n_frames)
        dim = rng.random(n_frames) < self.dim_prob
        return {"gains": np.where(dim, gains * dims, gains).tolist()}

    def table(self, params: Params, n_frames: int) -> NDArray[np.uint8]:
        """See `Pixel.table`."""
        return self.apply(np.tile(np.arange(256, dtype=np.uint8), (n_frames, 1)), params)

    def apply(self, volume: NDArray[Any], params: Params) -> NDArray[Any]:
        """See `Transform.apply`."""
        in_greys("FrameJitter", volume)
        gains = np.array(params["gains"], np.float32)
        if len(gains) != len(volume):
            raise OptionError(
                f"FrameJitter has drawn gains for {len(gains)} frames, the image has {len(volume)}"
            )
        return scaled(volume, gains, volume.dtype)
