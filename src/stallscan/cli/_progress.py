"""Progress bars on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
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


@contextmanager
def progress_callback(*, unit: str = "video") -> Iterator[Callable[[int, int], None]]:
    """A function of (done, total) that draws a bar from its first call on."""
    with ExitStack() as stack:
        bars: list[tqdm[Any]] = []

        def update(done: int, total: int) -> None:
            if not bars:
                bars.append(stack.enter_context(progress_bar(total, initial=done, unit=unit)))
            bars[0].update(done - bars[0].n)
            if done >= total:  # what comes next may have a bar of its own
                stack.close()
                bars.clear()

        yield update


def say(message: str = "") -> None:
    """Print a line of the result, unless quiet."""
    if not QUIET:
        print(message)
