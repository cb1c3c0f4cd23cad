"""DenseNet (Huang et al. 2017), with torchvision's layout and parameter names.

DenseNet121 is the paper's best network (section 6).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from stallscan.models._layers import Axes, Layers, Window
from stallscan.models._network import Network
from stallscan.models._stage import Blocks
from stallscan.models.options import NetworkOptions

BOTTLENECK = 4
"""How much wider a layer's 1×1 convolution is than what the layer adds."""


class DenseLayer(nn.Module):
    """Norm, ReLU, 1×1; norm, ReLU, 3×3: ``growth`` new channels from all channels so far.

    Args:
        make: layers of the network's rank.
        in_channels: all channels so far.
        growth: new channels.
    """

    def __init__(self, make: Layers, in_channels: int, growth: int) -> None:
        super().__init__()
        self.norm1 = make.batch_norm(in_channels)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv1 = make.conv(in_channels, BOTTLENECK * growth, 1)
        self.norm2 = make.batch_norm(BOTTLENECK * growth)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = make.conv(BOTTLENECK * growth, growth, 3)

    def forward(self, *features: Tensor) -> Tensor:
        """All ``(n, c_i, [z,] y, x)`` so far → ``(n, growth, [z,] y, x)``."""
        x = torch.cat(features, 1) if len(features) > 1 else features[0]  # or it would be copied
        x = self.conv1(self.relu1(self.norm1(x)))
        new: Tensor = self.conv2(self.relu2(self.norm2(x)))
        return new


class DenseBlock(nn.ModuleDict, Blocks):
    """Layers that each see the block's input and what all layers before added."""

    def __init__(self, make: Layers, n_layers: int, in_channels: int, growth: int) -> None:
        super().__init__(
            {
                f"denselayer{index + 1}": DenseLayer(make, in_channels + index * growth, growth)
                for index in range(n_layers)
            }
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(n, c, [z,] y, x)`` → ``(n, c + n_layers × growth, [z,] y, x)``."""
        features = [x]
        for layer in self.values():
            features.append(self.run(layer, *features))
        return torch.cat(features, 1)


class Transition(nn.Sequential):
    """Half the channels, and the reduction.

    Args:
        make: layers of the network's rank.
        in_channels: of the input.
        out_channels: of the output.
        stride: of the average pooling.
    """

    def __init__(self, make: Layers, in_channels: int, out_channels: int, stride: Axes) -> None:
        super().__init__()
        self.norm = make.batch_norm(in_channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv = make.conv(in_channels, out_channels, 1)
        self.pool = make.avg_pool(2, stride)


class DenseNet(Network):
    """A densely connected network.

    Args:
        options: rank, channels, strides, head.
        layers: dense layers in each of the four blocks.
        growth: channels that a layer adds.
        stem: channels of the first convolution.
    """

    windows = (Window(7, 3), Window(3, 1), *(Window(2, 0),) * 3)
    head_name = "classifier"
    stem_name = "features.conv0.weight"

    def __init__(
        self,
        options: NetworkOptions,
        *,
        layers: tuple[int, int, int, int],
        growth: int = 32,
        stem: int = 64,
    ) -> None:
        super().__init__(options)
        growth, channels = options.scaled(growth), options.scaled(stem)
        self.features = nn.Sequential()
        self.features.conv0 = self.make.conv(options.in_channels, channels, 7, self.strides[0])
        self.features.norm0 = self.make.batch_norm(channels)
        self.features.relu0 = nn.ReLU(inplace=True)
        self.features.pool0 = self.make.max_pool(3, self.strides[1], 1)
        levels = [("features.relu0", channels, 1)]
        for index, n_layers in enumerate(layers, 1):
            block = DenseBlock(self.make, n_layers, channels, growth)
            self.features.add_module(f"denseblock{index}", block)
            channels += n_layers * growth
            if index == len(layers):
                break
            levels.append((f"features.denseblock{index}", channels, index + 1))
            transition = Transition(self.make, channels, channels // 2, self.strides[index + 1])
            self.features.add_module(f"transition{index}", transition)
            channels //= 2
        self.features.norm5 = self.make.batch_norm(channels)
        self.relu = nn.ReLU()  # not in place: backward hooks want its output
        self.finish([*levels, ("relu", channels, 5)])

    def init_conv(self, module: nn.Conv2d | nn.Conv3d) -> None:
        """He et al. 2015, by the inputs."""
        nn.init.kaiming_normal_(module.weight)

    @staticmethod
    def upgrade_keys(keys: Iterable[str]) -> dict[str, str]:
        """Torchvision's files say ``norm.1`` where its networks say ``norm1``."""
        old = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])\.")
        return {key: old.sub(r"\1\2.", key) for key in keys}

    def extract(self, x: Tensor) -> Tensor:
        """``(n, c, [z,] y, x)`` → the last feature volume."""
        features: Tensor = self.relu(self.features(x))
        return features
