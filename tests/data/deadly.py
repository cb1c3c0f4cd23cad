"""What workers do in tests: in a file of its own, for they import all that is beside it."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path


def slow_first(path: Path) -> str:
    """The first file takes longest."""
    time.sleep(0.3 if path.name == "0" else 0)
    return path.name


def deadly(path: Path) -> str:
    """One file kills the process, as a crash of a decoder does."""
    if path.name == "3":
        os.kill(os.getpid(), signal.SIGSEGV)
    return path.name
