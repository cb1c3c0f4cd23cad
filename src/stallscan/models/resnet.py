"""ResNet (He et al. 2015), ResNeXt (Xie et al. 2017), Wide-ResNet (Zagoruyko 2016), and timm's SE
networks on their frame: SE-ResNet, SE-ResNeXt, SENet-154 (Hu et al. 2018).

Layout and parameter names are torchvision's, those of the SE networks timm's.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from stallscan.models._layers import Axes, Layers, SqueezeExcite, Window
from stallscan.models._residual import ResidualNetwork
from stallscan.models.options import NetworkOptions


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut.

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
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = make.conv(channels, channels, 3)
        self.bn2 = make.batch_norm(channels)
        self.downsample = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """``(n, c, [z,] y, x)`` → the same rank, strided."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.bn2(self.conv2(x))
        return torch.relu_(x + shortcut)


class Bottleneck(nn.Module):
    """1×1, 3×3 in groups, 1×1, and a shortcut; the 3×3 convolution carries the stride.

    Args:
        make: layers of the network's rank.
        in_channels: of the input.
        channels: a quarter of the output's.
        stride: of the 3×3 convolution.
        shortcut: the downsampling shortcut, None for the identity.
        groups: of the 3×3 convolution.
        base_width: channels of a group, when ``channels`` is 64.
        reduce_first: how much narrower the first convolution is than the second.
        se: weigh the channels before the shortcut is added.
    """

    expansion = 4

    def __init__(
        self,
        make: Layers,
        in_channels: int,
        channels: int,
        stride: Axes,
        shortcut: nn.Module | None,
        *,
        groups: int = 1,
        base_width: int = 64,
        reduce_first: int = 1,
        se: bool = False,
    ) -> None:
        super().__init__()
        per_group = max(1, channels * base_width // 64)
        first, middle = max(1, per_group // reduce_first) * groups, per_group * groups
        out_channels = channels * self.expansion
        self.conv1 = make.conv(in_channels, first, 1)
        self.bn1 = make.batch_norm(first)
        self.conv2 = make.conv(first, middle, 3, stride, groups=groups)
        self.bn2 = make.batch_norm(middle)
        self.conv3 = make.conv(middle, out_channels, 1)
        self.bn3 = make.batch_norm(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.se = SqueezeExcite(make, out_channels, squeezed(out_channels)) if se else None
        self.downsample = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """``(n, c, [z,] y, x)`` → the same rank, strided."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        x = self.bn3(self.conv3(x))
        if self.se is not None:
            x = self.se(x)
        return torch.relu_(x + shortcut)


def squeezed(channels: int) -> int:
    """Channels between the two layers of a squeeze: a sixteenth, in eights (timm's rule)."""
    return max(8, (channels // 16 + 4) // 8 * 8)


class ResNet(ResidualNetwork):
    """A residual network.

    Args:
        options: rank, channels, strides, head.
        block: `BasicBlock` or `Bottleneck`.
        layers: blocks in each of the four stages.
        deep_stem: three 3×3 convolutions instead of one 7×7, and 3×3 shortcuts from the second
            stage on (SENet-154).
        **block_options: of each `Bottleneck`.
    """

    windows: tuple[Window, ...] = (Window(7, 3), *(Window(3, 1),) * 4)
    head_name = "fc"

    def __init__(
        self,
        options: NetworkOptions,
        *,
        block: type[BasicBlock] | type[Bottleneck],
        layers: tuple[int, int, int, int],
        deep_stem: bool = False,
        **block_options: Any,
    ) -> None:
        super().__init__(options)
        n_in = options.scaled(64)
        if deep_stem:
            self.windows = (Window(3, 1),) * 5
            self.stem_name = "conv1.0.weight"
            self.conv1: nn.Module = self._deep_stem(n_in)
            n_in *= 2
        else:
            self.conv1 = self.make.conv(options.in_channels, n_in, 7, self.strides[0])
        self.bn1 = self.make.batch_norm(n_in)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = self.make.max_pool(3, self.strides[1], 1)

        levels = self.add_stages(
            block, layers, n_in, shortcut_kernel=3 if deep_stem else 1, **block_options
        )
        self.finish([("relu", n_in, 1), *levels])

    def _deep_stem(self, channels: int) -> nn.Module:
        make = self.make
        return nn.Sequential(
            make.conv(self.options.in_channels, channels, 3, self.strides[0]),
            make.batch_norm(channels),
            nn.ReLU(inplace=True),
            make.conv(channels, channels, 3),
            make.batch_norm(channels),
            nn.ReLU(inplace=True),
            make.conv(channels, 2 * channels, 3),
        )

    def extract(self, x: Tensor) -> Tensor:
        """``(n, c, [z,] y, x)`` → the last feature volume."""
        return self.run_stages(self.maxpool(self.relu(self.bn1(self.conv1(x)))))
