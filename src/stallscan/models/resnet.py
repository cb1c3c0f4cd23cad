"""ResNet of any rank (He et al. 2015), with torchvision's layout and parameter names."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from stallscan.models._layers import Rank, batch_norm, conv, global_pool, max_pool


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut."""

    expansion = 1

    def __init__(self, rank: Rank, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = conv(rank)(in_channels, channels, 3, stride, 1, bias=False)
        self.bn1 = batch_norm(rank)(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = conv(rank)(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = batch_norm(rank)(channels)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or in_channels != channels:
            self.downsample = nn.Sequential(
                conv(rank)(in_channels, channels, 1, stride, bias=False), batch_norm(rank)(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """``(n, c, [z,] y, x)`` → the same rank, strided."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.bn2(self.conv2(x))
        return torch.relu_(x + shortcut)


class ResNet(nn.Module):
    """A residual network for volumes (rank 3) or images (rank 2).

    Args:
        layers: blocks in each of the four stages.
        rank: 3 for volumes, 2 for the twin.
        in_channels: channels of the input.
        num_classes: logits.
        width: factor on all channel counts (1.0 = 64 … 512).
        pool: global average or maximum pooling.
        stem_stride: stride of the first convolution per axis; every axis is then halved by the max
            pooling and by stages 2–4.
        dropout: probability before the last layer.
    """

    def __init__(
        self,
        layers: tuple[int, int, int, int],
        *,
        rank: Rank = 3,
        in_channels: int = 3,
        num_classes: int = 1,
        width: float = 1.0,
        pool: Literal["avg", "max"] = "avg",
        stem_stride: tuple[int, ...] | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if rank not in (2, 3) or pool not in ("avg", "max") or not width > 0:
            raise ValueError(
                f"rank is {rank!r}, pool {pool!r}, width {width!r}; allowed are rank 2 or 3, pool "
                "'avg' or 'max', width above 0"
            )
        channels = [max(1, round(64 * width * 2**stage)) for stage in range(4)]
        self.in_channels = channels[0]
        stride: Any = tuple(stem_stride) if stem_stride is not None else 2
        self.conv1 = conv(rank)(in_channels, channels[0], 7, stride, 3, bias=False)
        self.bn1 = batch_norm(rank)(channels[0])
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = max_pool(rank)(3, 2, 1)
        self.layer1 = self._stage(rank, channels[0], layers[0], 1)
        self.layer2 = self._stage(rank, channels[1], layers[1], 2)
        self.layer3 = self._stage(rank, channels[2], layers[2], 2)
        self.layer4 = self._stage(rank, channels[3], layers[3], 2)
        self.avgpool = global_pool(rank, pool)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(channels[3], num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def _stage(self, rank: Rank, channels: int, n_blocks: int, stride: int) -> nn.Sequential:
        blocks = [BasicBlock(rank, self.in_channels, channels, stride)]
        self.in_channels = channels
        blocks += [BasicBlock(rank, channels, channels, 1) for _ in range(n_blocks - 1)]
        return nn.Sequential(*blocks)

    def forward_features(self, x: Tensor) -> Tensor:
        """``(n, c, [z,] y, x)`` → the last feature volume, before pooling."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        features: Tensor = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return features

    def forward_head(self, x: Tensor) -> Tensor:
        """Last feature volume → logits ``(n, num_classes)``."""
        logits: Tensor = self.fc(self.dropout(torch.flatten(self.avgpool(x), 1)))
        return logits

    def forward(self, x: Tensor) -> Tensor:
        """``(n, c, [z,] y, x)`` float → logits ``(n, num_classes)``."""
        return self.forward_head(self.forward_features(x))
