"""A generator of one's own, for calls without ``rng``: a stream in each process, none repeated."""

from __future__ import annotations

import multiprocessing
import os
import zlib
from typing import TypeAlias

import numpy as np

from stallscan.augment import _checks

Rng: TypeAlias = np.random.Generator | int | None

_ELSEWHERE: dict[tuple[int, int], np.random.Generator] = {}
"""By process and seed, the generators of what was made in another process."""


class Seeded:
    """Has a generator made from ``seed``; a worker process, which has a copy, draws from its own.

    Attributes:
        seed: of that generator; None draws one.
    """

    seed: int | None

    def _start(self) -> None:
        """Make the generator of calls without ``rng``."""
        entropy = np.random.SeedSequence(self.seed).entropy
        object.__setattr__(self, "_entropy", entropy)
        object.__setattr__(self, "_own", (os.getpid(), np.random.default_rng(entropy)))

    def _generator(self, rng: Rng) -> np.random.Generator:
        if isinstance(rng, np.random.Generator):
            return rng
        if rng is not None:
            return np.random.default_rng(_checks.seed_of("rng", rng))
        pid, own = self._own  # type: ignore[attr-defined]
        if pid == os.getpid():
            return own  # type: ignore[no-any-return]
        # A copy in another process: the same stream there would repeat this one's samples. All
        # copies there share one, for a new copy may come with every task.
        key = (os.getpid(), self._entropy)  # type: ignore[attr-defined]
        if key not in _ELSEWHERE:
            name = multiprocessing.current_process().name
            number = os.getpid() if name == "MainProcess" else zlib.crc32(name.encode())
            _ELSEWHERE[key] = np.random.default_rng([self._entropy, number])  # type: ignore[attr-defined]
        return _ELSEWHERE[key]
