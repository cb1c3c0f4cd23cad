"""What nodes do in tests: in a file of its own, for they import all that is beside it."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stallscan.errors import OptionError
from stallscan.roi.extract import extract_roi
from stallscan.roi.extraction import Extraction


@dataclass(frozen=True)
class Slow:
    """Takes its time, so that a run can be disturbed.

    Attributes:
        seconds: for each video.
        deadly: name of the one at which its process dies.
        log: a file that grows by a byte for each video that is read; None: there is none.
    """

    seconds: float = 0.0
    deadly: str = ""
    log: str | None = None

    def __call__(self, place: str | Path) -> Extraction:
        time.sleep(self.seconds)
        if Path(place).name == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.log is not None:
            with Path(self.log).open("ab", buffering=0) as file:
                file.write(b"x")
        return extract_roi(Path(place))


def refuse(chunk: Any) -> Any:
    """As work that the user must mend."""
    raise OptionError("--out is nowhere")


def stumble(chunk: Any) -> Any:
    """As work with a defect."""
    raise ValueError("a defect")
