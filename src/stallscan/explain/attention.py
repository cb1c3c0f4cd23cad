"""The paper's heatmaps: where the last features are strong (section 5)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stallscan.explain._network import Float32, as_it_answers, batch_of, enlarged
from stallscan.models._network import Network


def attention(model: Network, inputs: Float32) -> Float32:
    """Standard deviation, maximum and mean of the last features, at the input's resolution.

    Whatever the network calls: the map has no class. The paper's networks end in global maximum
    pooling, which makes the strongest voxel of each feature decide; the features of a network with
    average pooling show the same less sharply.

    Args:
        model: any network of the zoo; its mode is left as it was.
        inputs: ``(c, z, y, x)`` float32, as the network sees it.

    Returns:
        ``(z, y, x, 3)`` float32, 0 to 1, each of the three on its own scale.

    Raises:
        OptionError: the input is too thin for the network.
    """
    with as_it_answers(model), torch.no_grad():
        features = model.forward_features(batch_of(model, inputs))[0]
    scaled = torch.stack([_to_unit(each) for each in moments(features)])
    return np.moveaxis(enlarged(scaled, inputs.shape[1:], model), 0, -1)


def moments(features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """``(c, z, y, x)`` → standard deviation, maximum and mean over the channels, ``(z, y, x)``.

    In this order they are the red, green and blue of the paper's pictures.
    """
    return features.std(dim=0, correction=0), features.amax(dim=0), features.mean(dim=0)


def _to_unit(values: Tensor) -> Tensor:
    """From 0, the least, to 1, the largest (the winner's script has them the other way round)."""
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else torch.zeros_like(values)


def to_rgb(heat: Float32) -> NDArray[np.uint8]:
    """``(…, 3)`` of 0 to 1 → 0 to 255."""
    rounded: NDArray[np.uint8] = np.round(heat.clip(0, 1) * 255).astype(np.uint8)
    return rounded
