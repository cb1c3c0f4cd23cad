"""What transforms share that interpolate, or read beyond the border."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from stallscan.augment import _checks
from stallscan.augment._checks import Range
from stallscan.augment._maps import BORDERS, Sampling

ORDERS = (0, 1, 2, 3, 4, 5)


def interpolating(transform: Any) -> Sampling:
    """The options interpolation, border_mode, value and mask_value, checked.

    Raises:
        OptionError: not one of those allowed.
    """
    name = type(transform).__name__
    _checks.one_of(f"{name}.interpolation", transform.interpolation, ORDERS)
    return replace(beyond(transform), order=int(transform.interpolation))


def beyond(transform: Any) -> Sampling:
    """The options border_mode, value and mask_value, checked: for moves by whole voxels.

    Raises:
        OptionError: not one of those allowed.
    """
    name = type(transform).__name__
    _checks.one_of(f"{name}.border_mode", transform.border_mode, BORDERS)
    _checks.number(f"{name}.value", transform.value, -3.4e38, 3.4e38)
    _checks.number(f"{name}.mask_value", transform.mask_value, -(2**63), 2**64 - 1)
    return Sampling(
        order=None,
        border=transform.border_mode,
        value=transform.value,
        mask_value=transform.mask_value,
    )


def factor_in(rng: np.random.Generator, limit: Range) -> float:
    """A factor drawn log-evenly: twice is as likely as half."""
    low, high = limit  # type: ignore[misc]
    return math.exp(rng.uniform(math.log(low), math.log(high)))
