"""What transforms that interpolate share."""

from __future__ import annotations

from typing import Any

from stallscan.augment import _checks
from stallscan.augment._maps import BORDERS, Sampling

ORDERS = (0, 1, 2, 3, 4, 5)


def interpolating(transform: Any) -> Sampling:
    """The options interpolation, border_mode, value and mask_value, checked.

    Raises:
        OptionError: not one of those allowed.
    """
    name = type(transform).__name__
    _checks.one_of(f"{name}.interpolation", transform.interpolation, ORDERS)
    _checks.one_of(f"{name}.border_mode", transform.border_mode, BORDERS)
    _checks.number(f"{name}.value", transform.value, -3.4e38, 3.4e38)
    _checks.number(f"{name}.mask_value", transform.mask_value, -(2.0**63), 2.0**64)
    return Sampling(
        order=int(transform.interpolation),
        border=transform.border_mode,
        value=transform.value,
        mask_value=transform.mask_value,
    )
