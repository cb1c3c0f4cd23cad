"""Scripts of benchmarks/, run as from the command line."""

from __future__ import annotations

import contextlib
import io
import logging
import runpy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def run_script(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """A function: name of a script, arguments → what it prints.

    As `__main__`, but in this process, which has imported what takes longer than all that a script
    does here. Some fork, so that OpenCV's threads end before.
    """
    import torch

    from stallscan.training.samples import safe_to_fork

    threads, opencv_threads = torch.get_num_threads(), cv2.getNumThreads()
    level = logging.getLogger("lightning.pytorch").level
    monkeypatch.syspath_prepend(str(BENCHMARKS))

    def run(script: str, *arguments: object) -> str:
        printed = io.StringIO()
        monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
        with safe_to_fork(), contextlib.redirect_stdout(printed):
            try:
                runpy.run_path(str(BENCHMARKS / script), run_name="__main__")
            except SystemExit as ended:
                assert not ended.code
        return printed.getvalue()

    yield run
    torch.set_num_threads(threads)
    cv2.setNumThreads(opencv_threads)
    logging.getLogger("lightning.pytorch").setLevel(level)
