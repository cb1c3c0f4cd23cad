"""SE-ResNet in the layout of the authors' Caffe weights (Hu et al. 2018), as timm's ``legacy_*``.

SE-ResNet 18, 34, 101 and 152 have ImageNet weights in this layout alone. It differs from `resnet`:
the pooling after the stem hangs over the end instead of being padded, a bottleneck's first
convolution carries the stride, and the parameters have other names.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stallscan.models._layers import Axes, Layers, SqueezeExcite, Window
from stallscan.models._residual import ResidualNetwork
from stallscan.models.options import NetworkOptions


class LegacyBasicBlock(nn.Module):
    """Two 3×3 convolutions, squeeze-and-excitation, a shortcut.

    Args:
        make: layers of the network's rank.
        in_channels: of the input.
        channels: of the output.
        stride: of the first convolution.
        shortcut: the downsampling shortcut, None for the identity.
    """

    expansion = 1

    def __init__(
        self,
        make: Layers,
        in_channels: int,
        channels: int,
        stride: Axes,
        shortcut: nn.Module | None,
    ) -> None:
        super().__init__()
        self.conv1 = make.conv(in_channels, channels, 3, stride)
        self.bn1 = make.batch_norm(channels)
        self.conv2 = make.conv(channels, channels, 3)
        self.bn2 = make.batch_norm(channels)
        self.relu = nn.ReLU(inplace=True)
        self.se_module = SqueezeExcite(make, channels, max(4, channels // 16))
        self.downsample = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """``(n, c, [z,] y, x)`` → the same rank, strided."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))  # so in timm, whose weights were trained with it
        return torch.relu_(self.se_module(x) + shortcut)


class LegacyBottleneck(nn.Module):
    """1×1 with the stride, 3×3, 1×1, squeeze-and-excitation, a shortcut.

    Args:
        make: layers of the network's rank.
        in_channels: of the input.
        channels: a quarter of the output's.
        stride: of the first convolution.
        shortcut: the downsampling shortcut, None for the identity.
    """

    expansion = 4

    def __init__(
        self,
        make: Layers,
        in_channels: int,
        channels: int,
        stride: Axes,
        shortcut: nn.Module | None,
    ) -> None:
        super().__init__()
        out_channels = channels * self.expansion
        self.conv1 = make.conv(in_channels, channels, 1, stride)
        self.bn1 = make.batch_norm(channels)
        self.conv2 = make.conv(channels, channels, 3)
        self.bn2 = make.batch_norm(channels)
        self.conv3 = make.conv(channels, out_channels, 1)
        self.bn3 = make.batch_norm(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.se_module = SqueezeExcite(make, out_channels, max(4, out_channels // 16))
        self.downsample = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """``(n, c, [z,] y, x)`` → the same rank, strided."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        x = self.bn3(self.conv3(x))
        return torch.relu_(self.se_module(x) + shortcut)


class LegacySENet(ResidualNetwork):
    """A residual network with squeeze-and-excitation.

    Args:
        options: rank, channels, strides, head.
        block: `LegacyBasicBlock` or `LegacyBottleneck`.
        layers: blocks in each of the four stages.
    """

    windows = (Window(7, 3), Window(3, 0, ceil_mode=True), *(Window(1, 0),) * 3)
    head_name = "last_linear"
    stem_name = "layer0.conv1.weight"

    def __init__(
        self,
        options: NetworkOptions,
        *,
        block: type[LegacyBasicBlock] | type[LegacyBottleneck],
        layers: tuple[int, int, int, int],
    ) -> None:
        super().__init__(options)
        n_in = options.scaled(64)
        self.layer0 = nn.Sequential()
        self.layer0.conv1 = self.make.conv(options.in_channels, n_in, 7, self.strides[0])
        self.layer0.bn1 = self.make.batch_norm(n_in)
        self.layer0.relu1 = nn.ReLU(inplace=True)
        self.pool0 = self.make.max_pool(3, self.strides[1], 0, ceil_mode=True)

        levels = self.add_stages(block, layers, n_in)
        self.finish([("layer0", n_in, 1), *levels])

    def extract(self, x: Tensor) -> Tensor:
        """``(n, c, [z,] y, x)`` → the last feature volume."""
        return self.run_stages(self.pool0(self.layer0(x)))
