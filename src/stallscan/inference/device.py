"""Where the networks compute: the processor or a GPU, and in what precision."""

from __future__ import annotations

import torch

from stallscan.errors import OptionError
from stallscan.inference.options import Precision

BATCH = {"cpu": 1, "cuda": 8}
"""Vessels at once by default: on a CPU more of them at once are no faster."""


def choose_device(name: str = "auto", *, precision: Precision = "float32") -> torch.device:
    """A device that is there and computes in this precision.

    Args:
        name: "cpu", "cuda", "cuda:1"; "auto" takes a GPU that PyTorch sees.
        precision: bf16 and fp16 on a GPU alone: CPUs without matrix units for them are slower.

    Raises:
        OptionError: no such device, or not in this precision.
    """
    n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    device = torch.device(("cuda" if n_gpus else "cpu") if name == "auto" else name)
    if device.type == "cuda" and (device.index or 0) >= n_gpus:
        raise OptionError(
            f"--device is {name}, PyTorch sees {n_gpus} GPUs; take --device cpu, or a PyTorch "
            "built for this GPU"
        )
    if precision != "float32" and device.type == "cpu":
        raise OptionError(
            f"--precision is {precision} on a CPU, allowed is float32 there: measured, others are "
            "slower; take a GPU, or export the model as int8 (`stallscan export`)"
        )
    if precision == "bf16" and not _has_bf16(device):
        raise OptionError(
            f"--precision is bf16, which {torch.cuda.get_device_name(device)} only emulates; take "
            "fp16 or float32"
        )
    return device


def _has_bf16(device: torch.device) -> bool:
    return torch.cuda.get_device_capability(device) >= (8, 0)
