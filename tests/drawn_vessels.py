"""A test set that costs nothing: noise, brighter where the vessel is stalled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from stallscan.roi.volume import Volume
from stallscan.types import Box


class DrawnVessels:
    """See `stallscan.ablation.test_set.TestSet`.

    Args:
        n: how many; every other one is stalled.
        brighter: the stalled ones, in grey levels.
    """

    def __init__(self, n: int = 12, brighter: int = 100) -> None:
        self.n = n
        self.brighter = brighter

    def identity(self) -> dict[str, Any]:
        return {"drawn": self.n}

    @property
    def labels(self) -> dict[str, int]:
        return {f"t{number}": number % 2 for number in range(self.n)}

    def volumes(self, region: str) -> Iterator[tuple[str, Volume]]:
        assert region == "outline"
        for number, (name, label) in enumerate(self.labels.items()):
            rng = np.random.default_rng(number)
            array = rng.integers(0, 150 + self.brighter * label, (16, 32, 32, 1)).astype(np.uint8)
            full = np.ones((32, 32), bool)
            box = Box(0, 0, 0, 16, 32, 32)
            yield name, Volume(array=array, mask=full, line=~full, box=box, source=name)
