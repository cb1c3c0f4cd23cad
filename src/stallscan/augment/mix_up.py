"""Samples that shine through one another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from stallscan.augment._batch import BatchAugmentation, Params, Shape, draw_shares


@dataclass(frozen=True)
class MixUp(BatchAugmentation):
    """Blend each sample of a batch with another one, and their labels in the same proportion.

    ``image = λ · own + (1 − λ) · other`` with λ from Beta(α, α), for each sample its own (Zhang et
    al., *mixup: Beyond empirical risk minimization*, 2018, where a batch has one).

    Attributes:
        alpha: α; small ones leave most samples nearly as they are, 1 makes every share alike often.
        p: probability of each sample to be mixed.

    Example:
        >>> mixed = MixUp(0.2, seed=7)(images=batch, labels=targets)
    """

    alpha: float = 0.2
    p: float = 1.0

    def sample(self, rng: np.random.Generator, n: int, extent: Shape) -> Params:
        """The partner of each sample, and its own share."""
        partners, shares = draw_shares(rng, n, self.alpha, self.p)
        return {"partners": partners, "shares": shares}

    def shares(self, params: Params, extent: Shape) -> list[float]:
        """See `BatchAugmentation.shares`."""
        return list(params["shares"])

    def apply(self, images: Any, params: Params) -> Any:
        """See `BatchAugmentation.apply`."""
        mixed = images[list(range(len(images)))]  # a copy, of an array and of a tensor
        for number, (other, share) in enumerate(
            zip(params["partners"], params["shares"], strict=True)
        ):
            own, partner = images[number], images[other]
            if not isinstance(images, np.ndarray):
                mixed[number] = partner.lerp(own, share)
                continue
            lines = [np.ascontiguousarray(part).reshape(len(part), -1) for part in (own, partner)]
            blended = cv2.addWeighted(lines[0], share, lines[1], 1 - share, 0)
            mixed[number] = blended.reshape(own.shape)
        return mixed
