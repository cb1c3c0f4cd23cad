"""What workers do in tests: in a file of its own, for they import all that is beside it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from stallscan.roi.extract import extract_roi
from stallscan.roi.extraction import Extraction


def noting(log: Path, path: Path) -> Extraction:
    """Notes that a file was begun, by whatever process."""
    with log.open("ab", buffering=0) as file:
        file.write(b"x")
    return extract_roi(path)


def deadly(path: Path) -> Extraction:
    """As a decoder that crashes takes its process with it."""
    if path.name == "good1.mp4":
        os.kill(os.getpid(), signal.SIGKILL)
    return extract_roi(path)
