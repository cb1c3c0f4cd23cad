"""What a phantom's truth teaches beside its label, voxel by voxel."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from stallscan.errors import OptionError
from stallscan.models._network import Network
from stallscan.training.recipe import Guide

_FULL = 1 / 3
"""Share of the vessel from which a voxel of features counts as its own: it is thinner than one."""
_BACKGROUND = 0.05
"""Weight of what is not the vessel's, which is nearly everything."""


class GuideHead(nn.Module):
    """Background, moving or standing blood, from a level of a network's features.

    Args:
        model: whose features are read as it computes them.
        guide: which level.

    Raises:
        OptionError: the network has no such level.
    """

    def __init__(self, model: Network, guide: Guide) -> None:
        super().__init__()
        levels = model.feature_info
        if guide.level >= len(levels):
            raise OptionError(
                f"guide.level is {guide.level}, {model.architecture} has levels 0 to "
                f"{len(levels) - 1}; choose one of them"
            )
        level = levels[guide.level]
        self.weight = guide.weight
        self.classify = nn.Conv3d(level.channels, 3, 1)
        self._features: Tensor | None = None
        model.get_submodule(level.name).register_forward_hook(self._keep)

    def _keep(self, module: nn.Module, inputs: Any, output: Tensor) -> None:
        self._features = output if self.training else None

    def forward(self, shares: Tensor) -> Tensor:
        """Weighted cross-entropy of the features that the network has just computed.

        Args:
            shares: ``(n, 2, z, y, x)`` at the size of the network's input, see `Sample`.
        """
        features, self._features = self._features, None
        assert features is not None
        logits = self.classify(features).float()
        vessel = functional.adaptive_avg_pool3d(shares.float(), logits.shape[2:]) / _FULL
        vessel = vessel / vessel.sum(dim=1, keepdim=True).clamp(min=1)
        whole = vessel.sum(dim=1)
        target = torch.cat([1 - whole[:, None], vessel], dim=1)
        weight = _BACKGROUND + whole
        each = -(target * functional.log_softmax(logits, dim=1)).sum(dim=1)
        return (weight * each).sum() / weight.sum()
