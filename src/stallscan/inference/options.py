"""What a user may choose (no torch, so that `--help` is quick)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from stallscan.errors import OptionError

EngineName = Literal["torch", "openvino", "onnxruntime"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictOptions:
    """Options of `stallscan predict` that decide what comes out."""

    flips: int | None = None
    """Mirrored copies (1, 2, 4, 8); the model's own by default."""
    threshold: float | None = None
    """Least probability of a stall; the model's own by default."""
    engine: Literal["auto", "torch", "openvino", "onnxruntime"] = "auto"
    """What computes; auto takes the fastest in a short probe."""

    stop_early: bool = False
    """Do not ask networks that cannot change the call."""

    def __post_init__(self) -> None:
        if self.flips not in (None, 1, 2, 4, 8):
            raise OptionError(f"--flips is {self.flips}, allowed are 1, 2, 4 and 8")
        if self.threshold is not None and not 0.0 <= self.threshold <= 1.0:
            raise OptionError(f"--threshold is {self.threshold}, allowed is a probability, 0 to 1")
