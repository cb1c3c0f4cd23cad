"""What every metric refuses, so that no score is silently read as something else."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stallscan.errors import OptionError


def check_binary(values: ArrayLike, name: str) -> NDArray[np.int64]:
    """Labels or decisions as ``(n,)`` int64.

    Raises:
        OptionError: not one-dimensional, empty, or a value other than 0 and 1.
    """
    array = _numbers(values, name)
    wrong = np.flatnonzero((array != 0) & (array != 1))  # NaN differs from both
    if wrong.size:
        at = int(wrong[0])
        raise OptionError(
            f"{name}[{at}] is {array[at]:g}: allowed are 0 (flowing) and 1 (stalled); "
            "map the labels to 0 and 1 first"
        )
    return array.astype(np.int64)


def check_probabilities(values: ArrayLike, name: str = "probabilities") -> NDArray[np.float64]:
    """Probabilities as ``(n,)`` float64.

    Raises:
        OptionError: not one-dimensional, empty, NaN, or outside 0–1.
    """
    array = _numbers(values, name).astype(np.float64)
    wrong = np.flatnonzero(~((array >= 0) & (array <= 1)))  # NaN fails both comparisons
    if wrong.size:
        at = int(wrong[0])
        remedy = "drop the row" if np.isnan(array[at]) else "apply the sigmoid to logits"
        raise OptionError(f"{name}[{at}] is {array[at]:g}: allowed are 0 to 1; {remedy} first")
    return array


def check_lengths(**arrays: NDArray[np.generic]) -> None:
    """One length for all.

    Raises:
        OptionError: the lengths differ.
    """
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name} has {n}" for name, n in lengths.items())
        raise OptionError(f"one value per video is needed in each array, but {found}; align them")


def _numbers(values: ArrayLike, name: str) -> NDArray[np.generic]:
    array = np.asarray(values)
    if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "biuf":
        raise OptionError(
            f"{name} has shape {array.shape} of {array.dtype}: allowed is a one-dimensional array "
            "of at least one number; pass one value per video"
        )
    return array
