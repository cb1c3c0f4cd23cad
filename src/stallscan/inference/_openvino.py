"""OpenVINO without its telemetry, which would report each import to its maker's server."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

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

__all__ = ["openvino", "without_telemetry"]
