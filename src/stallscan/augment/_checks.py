"""Checks of what a transform is given: ranges, shares, arrays. Every message shows the value."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from stallscan.errors import OptionError

Range: TypeAlias = float | Sequence[float]
"""A pair ``(low, high)``, or a number that stands for one (each parameter says for which)."""

DTYPES = (np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.float32))
CEILING = {DTYPES[0]: 255.0, DTYPES[1]: 65535.0, DTYPES[2]: 1.0}
"""White, by dtype: what a value-aware transform saturates at."""


def pair(
    where: str,
    value: Range,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    number: str = "symmetric",
) -> tuple[float, float]:
    """A range as a pair, each end within ``[low, high]``.

    Args:
        where: what the message names: ``"Rotate.x_limit"``.
        value: the pair, or a number.
        low: smallest value allowed.
        high: greatest value allowed.
        number: what a number n stands for: ``"symmetric"`` (−n, n), ``"from_zero"`` (0, n),
            ``"exact"`` (n, n), ``"ratio"`` (1/n, n).

    Raises:
        OptionError: no pair, reversed, not finite, or out of bounds.
    """
    if isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool):
        ends = {"symmetric": (-value, value), "from_zero": (0.0, value), "exact": (value, value)}
        ends["ratio"] = (1 / value if value > 0 else value, value)
        first, second = (float(end) for end in ends[number])
    else:
        if not isinstance(value, (tuple, list, np.ndarray)) or len(value) != 2:
            raise OptionError(f"{where} is {value!r}, allowed are a number or a pair (low, high)")
        try:
            first, second = (float(end) for end in value)
        except (TypeError, ValueError):
            raise OptionError(
                f"{where} is {value!r}, allowed are a number or a pair (low, high)"
            ) from None
    if not (math.isfinite(first) and math.isfinite(second)):
        raise OptionError(f"{where} is {value!r}, allowed are finite numbers")
    if first > second:
        raise OptionError(
            f"{where} is {value!r}: reversed; give the lower end first: ({second:g}, {first:g})"
        )
    if first < low or second > high:
        raise OptionError(f"{where} is {value!r}, allowed are {low:g} to {high:g}")
    return first, second


def whole_pair(where: str, value: Range, low: int, high: int) -> tuple[int, int]:
    """A range of whole numbers; n stands for (n, n)."""
    first, last = pair(where, value, low, high, number="exact")
    if first % 1 or last % 1:
        raise OptionError(f"{where} is {value!r}, allowed are whole numbers")
    return int(first), int(last)


def number(where: str, value: Any, low: float, high: float) -> float:
    """A number within ``[low, high]``."""
    is_number = isinstance(value, (int, float, np.integer, np.floating))
    if not is_number or isinstance(value, bool) or not low <= value <= high:
        raise OptionError(f"{where} is {value!r}, allowed are {low:g} to {high:g}")
    return float(value)


def one_of(where: str, value: Any, allowed: Sequence[Any]) -> None:
    """Refuse what is not in a list; the closest word is suggested."""
    if not isinstance(value, np.ndarray) and value in allowed:
        return
    close = difflib.get_close_matches(str(value), [str(entry) for entry in allowed], n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise OptionError(
        f"{where} is {value!r}, allowed are {', '.join(repr(a) for a in allowed)}{hint}"
    )


def axes_of(where: str, value: Any, *, at_least: int = 1) -> tuple[int, ...]:
    """Different axes among 0 (z), 1 (y), 2 (x); a single number is a tuple of one."""
    axes = (value,) if is_whole(value) else value
    valid = (
        isinstance(axes, (tuple, list))
        and len(axes) >= at_least
        and all(is_whole(axis) and axis in (0, 1, 2) for axis in axes)
        and len(set(axes)) == len(axes)
    )
    if not valid:
        raise OptionError(
            f"{where} is {value!r}, allowed are different axes of 0 (z), 1 (y), 2 (x), "
            f"at least {at_least}"
        )
    return tuple(int(axis) for axis in axes)


def is_whole(value: Any) -> bool:
    """Whether it is a whole number, and no truth value."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def seed_of(where: str, value: Any) -> int | None:
    """A seed, or None."""
    if value is not None and not (is_whole(value) and value >= 0):
        raise OptionError(f"{where} is {value!r}, allowed are whole numbers from 0, and None")
    return None if value is None else int(value)


def known_options(name: str, given: Mapping[str, Any], allowed: Sequence[str]) -> None:
    """Refuse options that do not exist, with the closest one that does."""
    for option, value in given.items():
        if option not in allowed:
            close = difflib.get_close_matches(option, allowed, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise OptionError(
                f"{name} has no option {option} (given {value!r}), allowed are "
                f"{', '.join(allowed)}{hint}"
            )


def size_of(where: str, value: Any) -> tuple[int, int, int]:
    """``(z, y, x)``, three positive whole numbers."""
    valid = (
        isinstance(value, (tuple, list))
        and len(value) == 3
        and all(is_whole(extent) and extent >= 1 for extent in value)
    )
    if not valid:
        raise OptionError(f"{where} is {value!r}, allowed are three positive extents (z, y, x)")
    depth, height, width = (int(extent) for extent in value)
    return depth, height, width


def size_or_whole(where: str, value: Any) -> tuple[int | None, ...]:
    """``(z, y, x)``, three positive whole numbers, or None for a whole axis."""
    given = value if isinstance(value, (tuple, list)) else ()
    try:
        found = size_of(where, tuple(1 if extent is None else extent for extent in given))
    except OptionError:
        raise OptionError(
            f"{where} is {value!r}, allowed are three positive extents (z, y, x), and None for a "
            "whole axis"
        ) from None
    return tuple(None if old is None else new for old, new in zip(given, found, strict=True))


def image_array(where: str, array: Any) -> NDArray[Any]:
    """A volume ``(z, y, x)`` or ``(z, y, x, c)`` of uint8, uint16 or float32, not empty."""
    found = np.asarray(array)
    if found.ndim not in (3, 4) or 0 in found.shape:
        raise OptionError(
            f"{where} has shape {found.shape}, allowed are (z, y, x) and (z, y, x, c), not empty"
        )
    if found.dtype not in DTYPES:
        raise OptionError(f"{where} is {found.dtype}, allowed are uint8, uint16 and float32")
    if found.dtype == np.float32 and not (np.isfinite(found.min()) and np.isfinite(found.max())):
        raise OptionError(
            f"{where} lies in [{found.min():g}, {found.max():g}], allowed are finite values; what "
            "should be there instead of NaN?"
        )
    return found


def in_unit_range(where: str, array: NDArray[np.float32]) -> None:
    """Refuse float images outside [0, 1], where black and white would be a guess."""
    low, high = float(array.min()), float(array.max())
    if not (low >= 0.0 and high <= 1.0):
        raise OptionError(
            f"{where}: float32 images lie in [0, 1] here, this one in [{low:g}, {high:g}]; put "
            "ToFloat before it, or Normalize after it"
        )
