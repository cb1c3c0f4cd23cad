"""Write what torchvision's and timm's networks are, for tests that must not ask our own code.

Run in an environment of its own; neither library ever goes into the project's::

    python -m venv reference-venv
    reference-venv/bin/pip install torch torchvision timm
    reference-venv/bin/python tests/models/reference/make.py

It writes two files beside itself, the same from the same versions (which stand in both):

* ``keys.json.gz``: for each network its source, its number of parameters, and the keys and shapes
  of its state dict, in order, with 1000 classes;
* ``outputs.json``: for each network the logits of some classes, and the largest of all logits, for
  the weights and images of ``weights.py``: the weights are single precision, the computation is
  double, so that what differs from it is another network and not another rounding.

torchvision is asked first, timm for what it lacks. Nothing is fetched: no published weights.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import timm
import torch
import torchvision
from torch import nn
from weights import IMAGES_SHAPE, images, tensor

NAMES = (
    *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"),
    *("resnext50_32x4d", "resnext101_32x4d", "resnext101_32x8d", "resnext101_64x4d"),
    *("wide_resnet50_2", "wide_resnet101_2"),
    *("seresnet50", "seresnext50_32x4d", "seresnext101_32x4d", "senet154"),
    *("legacy_seresnet18", "legacy_seresnet34", "legacy_seresnet101", "legacy_seresnet152"),
    *("densenet121", "densenet161", "densenet169", "densenet201"),
    "mobilenetv2_100",
)
IN_TORCHVISION = {"mobilenetv2_100": "mobilenet_v2"}
"""Networks that torchvision calls otherwise than timm."""

CLASSES = range(0, 1000, 125)
DIGITS = 13
"""More than a test can ask for, fewer than machines and thread counts change."""


def main() -> None:
    """Write both files into the script's folder, or the one that is named."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    versions = {module.__name__: module.__version__ for module in (torch, torchvision, timm)}
    keys: dict[str, Any] = {"versions": versions, "networks": {}}
    outputs: dict[str, Any] = {
        "versions": versions,
        "images": IMAGES_SHAPE,
        "classes": list(CLASSES),
        "networks": {},
    }
    for name in NAMES:
        source, network = build(name)
        keys["networks"][name] = {
            "source": source,
            "parameters": sum(parameter.numel() for parameter in network.parameters()),
            "tensors": {key: list(value.shape) for key, value in network.state_dict().items()},
        }
        logits = compute(network)
        outputs["networks"][name] = {
            "largest": rounded(logits.abs().max()),
            "logits": [[rounded(logit) for logit in image[list(CLASSES)]] for image in logits],
        }
    packed = gzip.compress(json.dumps(keys, separators=(",", ":")).encode(), mtime=0)
    (folder / "keys.json.gz").write_bytes(packed)
    (folder / "outputs.json").write_text(json.dumps(outputs, indent=1) + "\n")


def build(name: str) -> tuple[str, nn.Module]:
    """The network without values, and where it is from."""
    in_torchvision = IN_TORCHVISION.get(name, name)
    with torch.device("meta"):
        if in_torchvision in torchvision.models.list_models():
            network = torchvision.models.get_model(in_torchvision, weights=None, num_classes=1000)
            return f"torchvision {in_torchvision}", network
        return f"timm {name}", timm.create_model(name, num_classes=1000)


def compute(network: nn.Module) -> torch.Tensor:
    """Logits ``(images, classes)`` in double precision."""
    shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    weights = {key: torch.from_numpy(tensor(key, shape)) for key, shape in shapes.items()}
    network.load_state_dict(weights, assign=True)
    with torch.no_grad():
        return network.eval().double()(torch.from_numpy(images()).double())


def rounded(value: torch.Tensor) -> float:
    """A number with fewer digits than it has."""
    return float(f"{value.item():.{DIGITS - 1}e}")


if __name__ == "__main__":
    main()
