"""What a network costs: parameters, and multiplications for one input.

``python -m stallscan.models.cost`` writes the registry's figures anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.flop_counter import FlopCounterMode

from stallscan.models._meta import meta_copy
from stallscan.models._network import Network
from stallscan.models.figures import FIGURES_SIZE, Figures, write_figures
from stallscan.models.footprint import require_batch
from stallscan.models.registry import create_model, list_models

PUBLISHED = {
    "resnet18": 32.2,
    "resnet34": 49.2,
    "resnet50": 39.0,
    "resnet101": 54.0,
    "resnet152": 72.5,
    "resnext50_32x4d": 29.0,
    "seresnext50_32x4d": 29.0,
    "densenet121": 40.8,
    "densenet169": 41.9,
    "densenet201": 44.2,
}
"""GMACs of the authors' own 3D networks for an input of the same size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a network costs.

    Attributes:
        n_parameters: trainable numbers.
        n_values: those, and the running statistics of batch normalisation.
        macs: multiplications with addition in the convolutions and fully connected layers of one
            forward pass; normalisation, activations and pooling are not counted.
    """

    n_parameters: int
    n_values: int
    macs: int


def cost(model: Network, size: Sequence[int], batch_size: int = 1) -> Cost:
    """Count, on the meta device; nothing is computed and the model stays as it is.

    Args:
        model: on any device.
        size: ``(z, y, x)`` of the input; ``(y, x)`` for a twin.
        batch_size: volumes.

    Raises:
        OptionError: a size too thin for the strides, or a batch below 1.

    Example:
        >>> model = create_model("densenet121", head="paper")
        >>> cost(model, (96, 128, 128)).n_values  # the paper's 11.9 M (section 6)
        11895489
    """
    require_batch(batch_size)
    model.feature_size(size)
    twin = meta_copy(model).eval()
    x = next(twin.parameters()).new_empty(batch_size, twin.options.in_channels, *size)
    for module in twin.modules():
        if isinstance(module, _BatchNorm):  # changes no shape, and would take most of the time
            module.forward = _unchanged  # type: ignore[assignment,method-assign]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        twin(x)
    values = {key: tensor.numel() for key, tensor in twin.state_dict().items()}
    return Cost(
        n_parameters=sum(parameter.numel() for parameter in twin.parameters()),
        n_values=sum(n for key, n in values.items() if not key.endswith("num_batches_tracked")),
        macs=counter.get_total_flops() // 2,
    )


def _unchanged(x: Tensor) -> Tensor:
    return x


def compute_figures(name: str) -> Figures:
    """The figures of a network of the registry."""
    with torch.device("meta"):
        model = create_model(name)
    found = cost(model, FIGURES_SIZE)
    return Figures(name, found.n_parameters, round(found.macs / 1e9, 3))


if __name__ == "__main__":
    write_figures([compute_figures(name) for name in list_models()])
