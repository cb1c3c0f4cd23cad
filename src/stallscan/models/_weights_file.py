"""Weights from a file, without running anything that the file holds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from stallscan.errors import CheckpointError

WRAPPERS = ("state_dict", "model")
"""Keys under which training scripts keep the weights, next to an optimiser's state and the like."""
PREFIXES = ("model.", "module.", "_orig_mod.")
"""What Lightning modules, DataParallel and torch.compile put before every name, outermost first."""


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors by name, on the CPU, of a ``.safetensors`` file or any other as PyTorch's.

    Raises:
        CheckpointError: the file cannot be read, or holds anything but weights.
    """
    content = _safetensors(path) if path.suffix == ".safetensors" else _pytorch(path)
    for key in WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not content:
        found = "an empty dict" if content == {} else f"a {type(content).__name__}"
        raise CheckpointError(
            f"{path}: holds {found}, needed is a dict of tensors by name; save model.state_dict()"
        )
    weights = {key: _checked(path, key, value) for key, value in content.items()}
    for prefix in PREFIXES:
        if all(key.startswith(prefix) for key in weights):
            weights = {key.removeprefix(prefix): value for key, value in weights.items()}
    return weights


def _safetensors(path: Path) -> Any:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path}: is not a safetensors file ({error}); copy or fetch it anew"
        ) from error


def _pytorch(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    # A damaged pickle raises whatever it likes.
    except Exception as error:
        message = str(error)
        code = re.search(r"GLOBAL ([\w.]+)|(TorchScript)", message)
        if code:
            raise CheckpointError(
                f"{path}: holds {code[1] or code[2]}, which cannot be had without running code; "
                "allowed are tensors in dicts: save model.state_dict() alone, or as .safetensors"
            ) from None
        # torch advises to switch the safety off; that shall not go on.
        lines = message.rpartition("WeightsUnpickler error: ")[2].strip().splitlines()
        line = lines[0] if lines else ""
        if "weights_only" in line or "safe_globals" in line:
            line = ""
        raise CheckpointError(
            f"{path}: is not a PyTorch file of weights ({type(error).__name__}"
            f"{': ' if line else ''}{line}); copy or fetch it anew, or give a .safetensors file"
        ) from None


def _checked(path: Path, key: object, value: object) -> Tensor:
    """A weight, in at least float32: inflation divides it."""
    if not isinstance(key, str) or not isinstance(value, Tensor) or not _is_plain(value):
        found = type(value).__name__
        if isinstance(value, Tensor):
            found = f"a {value.layout} tensor of {value.dtype} on {value.device}"
        raise CheckpointError(
            f"{path}: {key!r} is {found}, allowed are dense tensors by name; save "
            "model.state_dict() alone"
        )
    value = value.detach()
    if not value.is_floating_point():
        return value
    if not torch.isfinite(value).all():
        raise CheckpointError(
            f"{path}: {key!r} holds NaN or infinity, allowed are finite numbers; copy it "
            "anew, or give weights that did not diverge"
        )
    return value.float()


def _is_plain(tensor: Tensor) -> bool:
    dense = tensor.layout == torch.strided and tensor.device.type == "cpu"
    return dense and not tensor.is_quantized and not tensor.is_complex()
