"""The networks alone: a thin seismic survey, 24 lines with folded layers and a fault in them.

Run as `python examples/zoo.py [--pretrained imagenet|FILE]`. Without that the weights are random,
and the logits mean nothing yet; with `imagenet` the published ones are fetched, if the machine may
go online. The three colours' kernels become one, and 2D kernels 3D ones.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

from stallscan.models import create_model

FACIES = ("shale", "sandstone", "limestone", "salt", "basement")
THROW = 9
"""Samples by which the layers behind the fault lie deeper."""


def survey() -> np.ndarray:
    """Amplitudes ``(line, time, trace)``, float32, mean 0 and standard deviation 1."""
    line, time, trace = np.indices((24, 160, 160), np.float32)
    fault = 70 + 0.3 * time + 1.2 * line  # leans and goes aslant through the lines
    fold = 8 * np.sin(trace / 30 + line / 12)
    depth = time + fold - THROW * (trace > fault)
    layers = np.sin(depth / 3.1) + 0.7 * np.sin(depth / 1.7 + 1) + 0.4 * np.sin(depth / 7.3)
    noise = np.random.default_rng(0).normal(0, 0.3, layers.shape)
    amplitudes = layers * np.exp(-time / 200) + noise  # echoes from below are weaker
    return ((amplitudes - amplitudes.mean()) / amplitudes.std()).astype(np.float32)


def main(pretrained: str | None = None) -> None:
    """Logits, features and the levels between them."""
    volume = torch.from_numpy(survey())[None, None]  # (n, c, z, y, x)

    model = create_model(
        "densenet121",
        in_channels=1,
        num_classes=len(FACIES),
        stride=[(1, 2, 2), (1, 2, 2), 2, 2, 2],  # 24 lines are few: the first two leave them alone
        pretrained=pretrained,
    ).eval()
    pyramid: dict[str, torch.Tensor] = {}
    for level in model.feature_info:
        module = model.get_submodule(level.name)
        module.register_forward_hook(lambda *seen, name=level.name: pyramid.update({name: seen[2]}))
    with torch.inference_mode():
        features = model.forward_features(volume)
        logits = model.forward_head(features)

    print(f"{'input':<22} {by(volume)}")
    for level in model.feature_info:
        extents, times = by(pyramid[level.name]), "×".join(map(str, level.reduction))
        print(f"{level.name:<22} {extents:<18} {times} times smaller")
    print(f"{'features':<22} {by(features)}")
    for name, logit in zip(FACIES, logits[0].tolist(), strict=True):
        print(f"logit of {name:<13} {logit:+.3f}")


def by(tensor: torch.Tensor) -> str:
    """Extents as words."""
    return "×".join(map(str, tensor.shape))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pretrained", metavar="imagenet|FILE", help="first weights")
    main(parser.parse_args().pretrained)
