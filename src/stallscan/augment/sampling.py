"""Randomness of one sample, whoever makes it and when."""

from __future__ import annotations

import hashlib

import numpy as np

from stallscan.errors import OptionError


def sample_rng(seed: int, epoch: int, sample: int | str) -> np.random.Generator:
    """The generator of one sample in one epoch: for ``aug(image=…, rng=sample_rng(…))``.

    It depends on its arguments alone, so that neither the number of workers nor the order in which
    they work changes a byte, and no two epochs or samples share one.

    Args:
        seed: of the run.
        epoch: from 0.
        sample: number or name of the sample.

    Raises:
        OptionError: a negative number.
    """
    if isinstance(sample, str):
        words = list(np.frombuffer(hashlib.sha256(sample.encode()).digest(), np.uint32))
        key = [1, *(int(word) for word in words)]
    else:
        key = [0, sample]
    for name, number in (("seed", seed), ("epoch", epoch), ("sample", key[-1])):
        if number < 0:
            raise OptionError(f"{name} is {number}, allowed are 0 and above")
    return np.random.default_rng([seed, epoch, *key])
