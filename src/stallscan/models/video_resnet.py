"""ResNets of videos (Tran et al. 2018): R3D, MC3 and R(2+1)D, with torchvision's layout and names.

They have no form for images; their published weights are of Kinetics-400. By default they stride as
their authors have it: four times along y and x, along z three times, MC3 never.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from stallscan.models._layers import Axes, Layers, Window
from stallscan.models._network import Network
from stallscan.models._stage import Stage
from stallscan.models.options import NetworkOptions

Kind = Literal["3d", "2d", "2+1d"]
"""Of a 3×3×3 convolution: whole; of each slice alone; a plane's, then one along z."""


def conv3(
    make: Layers, in_channels: int, out_channels: int, middle: int, stride: Axes, kind: Kind
) -> nn.Module:
    """A convolution of 3×3×3.

    Args:
        make: layers.
        in_channels: of the input.
        out_channels: of the output.
        middle: channels between the two of "2+1d".
        stride: per axis.
        kind: see `Kind`.
    """
    if kind == "3d":
        return make.conv(in_channels, out_channels, 3, stride)
    if kind == "2d":
        return make.conv(in_channels, out_channels, (1, 3, 3), stride)
    return nn.Sequential(
        make.conv(in_channels, middle, (1, 3, 3), (1, *stride[1:])),
        make.batch_norm(middle),
        nn.ReLU(inplace=True),
        make.conv(middle, out_channels, (3, 1, 1), (stride[0], 1, 1)),
    )


class Block(nn.Module):
    """Two convolutions of 3×3×3 and a shortcut.

    Args:
        make: layers.
        in_channels: of the input.
        channels: of the output.
        stride: of the first convolution.
        kind: of both.
    """

    def __init__(
        self, make: Layers, in_channels: int, channels: int, stride: Axes, kind: Kind
    ) -> None:
        super().__init__()
        # As many parameters as a whole kernel (section 3.5 of the article).
        middle = max(1, 27 * in_channels * channels // (9 * in_channels + 3 * channels))
        self.conv1 = nn.Sequential(
            conv3(make, in_channels, channels, middle, stride, kind),
            make.batch_norm(channels),
            nn.ReLU(inplace=True),
        )
        self.conv2 = nn.Sequential(
            conv3(make, channels, channels, middle, (1, 1, 1), kind), make.batch_norm(channels)
        )
        self.relu = nn.ReLU(inplace=True)
        self.downsample = (
            make.conv_norm(in_channels, channels, 1, stride)
            if in_channels != channels or set(stride) != {1}
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(n, c, z, y, x)`` → the same rank, strided."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.conv2(self.conv1(x))
        x = self.relu(x + shortcut)
        return x


class VideoResNet(Network):
    """A residual network of videos, of 18 layers.

    Args:
        options: channels, strides, head.
        kinds: of the convolutions in each of the four stages; the first one's also of the stem.
    """

    windows = (Window(7, 3), *(Window(3, 1),) * 4)
    head_name = "fc"
    has_twin = False
    stem_name = "stem.0.weight"

    def __init__(self, options: NetworkOptions, *, kinds: tuple[Kind, Kind, Kind, Kind]) -> None:
        super().__init__(options)
        make, n_in = self.make, options.scaled(64)
        self.stem = self._stem(n_in, kinds[0])
        second = self.strides[1]
        self.maxpool = nn.Identity() if set(second) == {1} else make.max_pool(3, second, 1)
        levels = [("stem", n_in, 1)]
        strides = ((1, 1, 1), *self.strides[2:])
        for stage, (kind, stride) in enumerate(zip(kinds, strides, strict=True)):
            channels = options.scaled(64 * 2**stage)
            first = Block(make, n_in, channels, stride, kind)
            name = f"layer{stage + 1}"
            self.add_module(name, Stage(first, Block(make, channels, channels, (1, 1, 1), kind)))
            levels.append((name, channels, stage + 2))
            n_in = channels
        self.finish(levels)

    def _stem(self, channels: int, kind: Kind) -> nn.Module:
        make, n_in, stride = self.make, self.options.in_channels, self.strides[0]
        if kind != "2+1d":
            return nn.Sequential(
                make.conv(n_in, channels, (3, 7, 7), stride),
                make.batch_norm(channels),
                nn.ReLU(inplace=True),
            )
        middle = self.options.scaled(45)
        return nn.Sequential(
            make.conv(n_in, middle, (1, 7, 7), (1, *stride[1:])),
            make.batch_norm(middle),
            nn.ReLU(inplace=True),
            make.conv(middle, channels, (3, 1, 1), (stride[0], 1, 1)),
            make.batch_norm(channels),
            nn.ReLU(inplace=True),
        )

    def extract(self, x: Tensor) -> Tensor:
        """``(n, c, z, y, x)`` → the last feature volume."""
        x = self.maxpool(self.stem(x))
        for number in range(1, 5):
            x = self.get_submodule(f"layer{number}")(x)
        return x
