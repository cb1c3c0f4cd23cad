"""OpenVINO without its telemetry, which would report each import, and with one core for all."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

_TELEMETRY = "openvino_telemetry"


@contextmanager
def without_telemetry() -> Iterator[None]:
    """OpenVINO and its tools, imported here, find no telemetry and use their stub for it."""
    if _TELEMETRY in sys.modules:  # somebody else has imported it, and it has reported
        yield
        return
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[_TELEMETRY]


with without_telemetry():
    import openvino


@cache
def core() -> openvino.Core:
    """The one core of this process, never given back.

    With each core OpenVINO's CPU plugin lays a stack for signal handlers, and gives it back with
    the core. When two that lived at the same time have gone, the process is left with one that is
    no longer there, and the next signal that Python handles (Ctrl-C, the end of a worker of
    PyTorch's) is a segmentation fault.
    """
    found = openvino.Core()
    found.get_versions("CPU")  # loads the plugin
    return found


__all__ = ["core", "openvino", "without_telemetry"]
