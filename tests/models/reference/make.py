"""Write what torchvision's and timm's networks are, for tests that must not ask our own code.

Run in an environment of its own; neither library ever goes into the project's::

    python -m venv reference-venv
    reference-venv/bin/pip install torch torchvision timm
    reference-venv/bin/python tests/models/reference/make.py

It writes two files beside itself, the same from the same versions (which stand in both):

* ``keys.json.gz``: for each network its source, its number of parameters, the keys and shapes of
  its state dict, in order, with 1000 classes, and epsilon and momentum of its normalisations;
* ``outputs.json``: for each network the logits of some classes, and the largest of all logits, for
  the weights and images of ``weights.py``: the weights are single precision, the computation is
  double, so that what differs from it is another network and not another rounding.

torchvision is asked first, timm for what it lacks. Nothing is fetched: no published weights. VGG's
classifier, which takes pictures of one size alone, is exchanged for one layer after global pooling;
Inception-v3 is asked without its second head.
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
from torch.nn.modules.batchnorm import _BatchNorm
from weights import images, shape_of, tensor

NAMES = (
    *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"),
    *("resnext50_32x4d", "resnext101_32x4d", "resnext101_32x8d", "resnext101_64x4d"),
    *("wide_resnet50_2", "wide_resnet101_2"),
    *("seresnet50", "seresnext50_32x4d", "seresnext101_32x4d", "senet154"),
    *("legacy_seresnet18", "legacy_seresnet34", "legacy_seresnet101", "legacy_seresnet152"),
    *("densenet121", "densenet161", "densenet169", "densenet201"),
    "mobilenetv2_100",
    *("vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn"),
    *(f"efficientnet_b{size}" for size in range(8)),
    *("efficientnetv2_s", "efficientnetv2_m", "efficientnetv2_l"),
    *("convnext_tiny", "convnext_small", "convnext_base", "convnext_large"),
    *("inception_v3", "inception_resnet_v2"),
    *("r3d_18", "mc3_18", "r2plus1d_18"),
)
IN_TORCHVISION = {
    "mobilenetv2_100": "mobilenet_v2",
    **{f"efficientnetv2_{size}": f"efficientnet_v2_{size}" for size in "sml"},
}
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
        "classes": list(CLASSES),
        "networks": {},
    }
    for name in NAMES:
        source, network = build(name)
        keys["networks"][name] = {
            "source": source,
            "parameters": sum(parameter.numel() for parameter in network.parameters()),
            "norms": norms(network),
            "tensors": {key: list(value.shape) for key, value in network.state_dict().items()},
        }
        logits = compute(name, network)
        outputs["networks"][name] = {
            "images": shape_of(name),
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
            options = {"aux_logits": False} if name == "inception_v3" else {}
            network = torchvision.models.get_model(
                in_torchvision, weights=None, num_classes=1000, **options
            )
            if name.startswith("vgg"):
                network.avgpool = nn.AdaptiveAvgPool2d(1)
                network.classifier = nn.Linear(512, 1000)
            return f"torchvision {in_torchvision}", network
        return f"timm {name}", timm.create_model(name, num_classes=1000)


def norms(network: nn.Module) -> list[list[float]]:
    """Each pair of epsilon and momentum that there is."""
    found = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    return sorted({(norm.eps, norm.momentum) for norm in found})  # type: ignore[type-var]


def compute(name: str, network: nn.Module) -> torch.Tensor:
    """Logits ``(images, classes)`` in double precision."""
    shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    weights = {key: torch.from_numpy(tensor(key, shape)) for key, shape in shapes.items()}
    network.load_state_dict(weights, assign=True)
    with torch.no_grad():
        return network.eval().double()(torch.from_numpy(images(shape_of(name))).double())


def rounded(value: torch.Tensor) -> float:
    """A number with fewer digits than it has."""
    return float(f"{value.item():.{DIGITS - 1}e}")


if __name__ == "__main__":
    main()
