"""Layers by rank, so that every 3D network has a 2D twin."""

from __future__ import annotations

from typing import Literal

from torch import nn

Rank = Literal[2, 3]


def conv(rank: Rank) -> type[nn.Conv2d] | type[nn.Conv3d]:
    """Convolution class of a rank."""
    return nn.Conv3d if rank == 3 else nn.Conv2d


def batch_norm(rank: Rank) -> type[nn.BatchNorm2d] | type[nn.BatchNorm3d]:
    """Batch normalisation class of a rank."""
    return nn.BatchNorm3d if rank == 3 else nn.BatchNorm2d


def max_pool(rank: Rank) -> type[nn.MaxPool2d] | type[nn.MaxPool3d]:
    """Max pooling class of a rank."""
    return nn.MaxPool3d if rank == 3 else nn.MaxPool2d


def global_pool(
    rank: Rank, pool: Literal["avg", "max"]
) -> nn.AdaptiveAvgPool2d | nn.AdaptiveAvgPool3d | nn.AdaptiveMaxPool2d | nn.AdaptiveMaxPool3d:
    """Global pooling to one voxel: average, or maximum as the paper's heatmap networks have it."""
    if pool == "avg":
        return nn.AdaptiveAvgPool3d(1) if rank == 3 else nn.AdaptiveAvgPool2d(1)
    return nn.AdaptiveMaxPool3d(1) if rank == 3 else nn.AdaptiveMaxPool2d(1)
