"""Progress bars on standard error."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm

QUIET = False
"""Set once by ``-q``."""


def progress_bar(total: int, *, initial: int = 0, unit: str = "video") -> tqdm[Any]:
    """A bar with rate and ETA; in a log file, a line every half minute."""
    return tqdm(
        total=total,
        initial=initial,
        unit=unit,
        file=sys.stderr,
        disable=QUIET,
        dynamic_ncols=True,
        mininterval=0.2 if sys.stderr.isatty() else 30,
        smoothing=0.05,
    )


def say(message: str = "") -> None:
    """Print a line of the result, unless quiet."""
    if not QUIET:
        print(message)
