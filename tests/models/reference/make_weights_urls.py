"""Write where torchvision and timm say that their ImageNet weights are.

Run in an environment of its own; neither library ever goes into the project's::

    python -m venv reference-venv
    reference-venv/bin/pip install torch torchvision timm
    reference-venv/bin/python tests/models/reference/make_weights_urls.py

It writes ``weights_urls.json`` beside itself: for each network every training that torchvision
publishes, or timm where torchvision lacks the network, with its address, normalisation, licence
(timm states one) and number of parameters (torchvision does). Nothing is fetched.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import timm
import torch
import torchvision
from make import IN_TORCHVISION, NAMES


def main() -> None:
    """Write the file into the script's folder, or the one that is named."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    table = {
        "versions": {module.__name__: module.__version__ for module in (torchvision, timm)},
        "networks": {name: in_torchvision(name) or in_timm(name) for name in NAMES},
    }
    (folder / "weights_urls.json").write_text(json.dumps(table, indent=1) + "\n")


def in_torchvision(name: str) -> dict[str, Any]:
    """What torchvision publishes, by tag."""
    theirs = IN_TORCHVISION.get(name, name)
    if theirs not in torchvision.models.list_models():
        return {}
    found = {}
    for weights in torchvision.models.get_model_weights(theirs):
        mean, std = normalisation(name, weights.transforms())
        found[weights.name] = {
            "source": "torchvision",
            "address": weights.url,
            "n_parameters": weights.meta["num_params"],
            "mean": mean,
            "std": std,
        }
    return found


def normalisation(name: str, transforms: Any) -> tuple[list[float], list[float]]:
    """What is done to RGB in [0, 1] before the first convolution: mean and standard deviation.

    Inception-v3 itself normalises once more, which its pretrained weights switch on.
    """
    mean, std = torch.tensor(transforms.mean), torch.tensor(transforms.std)
    if name == "inception_v3":
        network = torchvision.models.inception_v3(
            weights=None, transform_input=True, init_weights=False
        )
        black, white = ((shade - mean) / std for shade in (0.0, 1.0))
        black, white = (
            network._transform_input(shade.view(1, 3, 1, 1)).flatten() for shade in (black, white)
        )
        std = 1 / (white - black)
        mean = -black * std
    return [round(x, 6) for x in mean.tolist()], [round(x, 6) for x in std.tolist()]


def in_timm(name: str) -> dict[str, Any]:
    """What timm publishes, by tag."""
    found = {}
    for full_name in timm.list_pretrained(f"{name}.*"):
        config = timm.models.get_pretrained_cfg(full_name)
        found[config.tag] = {
            "source": "timm",
            "address": config.hf_hub_id or config.url,
            "licence": config.license,
            "mean": config.mean,
            "std": config.std,
        }
    return found


if __name__ == "__main__":
    main()
