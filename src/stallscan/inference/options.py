"""What a user may choose (no torch, so that `--help` is quick)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from stallscan.errors import OptionError

EngineName = Literal["torch", "openvino", "onnxruntime"]
Precision = Literal["float32", "bf16", "fp16"]
_DEVICE = re.compile(r"auto|cpu|cuda(:[0-9]{1,3})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictOptions:
    """Options of `stallscan predict` that decide what comes out."""

    flips: int | None = None
    """Mirrored copies (1, 2, 4, 8); the model's by default."""
    threshold: float | None = None
    """Least probability of a stall; the model's by default."""
    engine: Literal["auto", "torch", "openvino", "onnxruntime"] = "auto"
    """torch, openvino, onnxruntime; auto: the fastest."""
    device: str = "auto"
    """cpu, cuda or cuda:1; auto: a GPU if there is one."""
    precision: Precision = "float32"
    """float32; on a GPU also bf16 or fp16."""
    batch: int | None = None
    """Vessels at once; 1 by default, 8 on a GPU."""
    stop_early: bool = False
    """Do not ask networks that cannot change the call."""

    def __post_init__(self) -> None:
        if self.flips not in (None, 1, 2, 4, 8):
            raise OptionError(f"--flips is {self.flips}, allowed are 1, 2, 4 and 8")
        if self.threshold is not None and not 0.0 <= self.threshold <= 1.0:
            raise OptionError(f"--threshold is {self.threshold}, allowed is a probability, 0 to 1")
        if not _DEVICE.fullmatch(self.device):
            raise OptionError(
                f"--device is {self.device!r}, allowed are auto, cpu, cuda, and cuda:1 and so on"
            )
        if self.precision not in get_args(Precision):
            raise OptionError(
                f"--precision is {self.precision!r}, allowed are {', '.join(get_args(Precision))}"
            )
        if self.batch is not None and self.batch < 1:
            raise OptionError(f"--batch is {self.batch}, allowed are 1 and above")
