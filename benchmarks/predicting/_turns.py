"""What the measurements share: whose turn it is, ratios within rounds, the peak."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike

TEST_VIDEOS = 14_160
"""Of the competition."""

Thing = TypeVar("Thing")


def in_turn(things: Sequence[Thing], turn: int) -> list[Thing]:
    """The order of a round: nobody is always first."""
    first = turn % max(len(things), 1)
    return [*things[first:], *things[:first]]


def ratio(numbers: ArrayLike, references: ArrayLike) -> float:
    """Median of the rounds' ratios, which a machine that is slow for a round leaves as they are."""
    return float(np.median(np.divide(numbers, references)))


def spread(numbers: Sequence[float]) -> float:
    """The largest minus the smallest."""
    return max(numbers) - min(numbers)


def seconds(run: Callable[[], object]) -> float:
    """Wall time of one call."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def matmul_peak(sizes: Sequence[int], threads: int) -> float:
    """Floating-point operations a second of the best square float32 product.

    Args:
        sizes: rows of the matrices that are tried.
        threads: that PyTorch may use for it.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    best = 0.0
    for n in sizes:
        a, b = torch.rand(n, n), torch.rand(n, n)
        out = torch.mm(a, b)  # warm-up
        for _ in range(3):
            took = seconds(lambda a=a, b=b, out=out: torch.mm(a, b, out=out))
            best = max(best, 2 * n**3 / took)
    torch.set_num_threads(before)
    return best
