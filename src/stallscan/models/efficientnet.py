"""EfficientNet (Tan and Le 2019) and EfficientNetV2 (2021), with torchvision's layout and names.

Stochastic depth, which both were trained with on ImageNet, is left out.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from stallscan.models._layers import Axes, Layers, SqueezeExcite, Window, in_eights
from stallscan.models._network import Network
from stallscan.models._stage import Stage
from stallscan.models.options import NetworkOptions


@dataclass(frozen=True, slots=True)
class StageSpec:
    """A stage.

    Attributes:
        kind: "mb", a depthwise convolution between two of 1×1, with squeeze-and-excitation;
            "fused", a full convolution in place of the first two.
        expansion: how much wider the middle is than the input.
        kernel: of the depthwise or full convolution.
        strided: the first block has a stride.
        channels: of the output.
        n_blocks: in a row.
    """

    kind: Literal["mb", "fused"]
    expansion: int
    kernel: int
    strided: bool
    channels: int
    n_blocks: int


V1 = (
    StageSpec("mb", 1, 3, False, 16, 1),
    StageSpec("mb", 6, 3, True, 24, 2),
    StageSpec("mb", 6, 5, True, 40, 2),
    StageSpec("mb", 6, 3, True, 80, 3),
    StageSpec("mb", 6, 5, False, 112, 3),
    StageSpec("mb", 6, 5, True, 192, 4),
    StageSpec("mb", 6, 3, False, 320, 1),
)
"""The first article's table 1."""
V2_S = (
    StageSpec("fused", 1, 3, False, 24, 2),
    StageSpec("fused", 4, 3, True, 48, 4),
    StageSpec("fused", 4, 3, True, 64, 4),
    StageSpec("mb", 4, 3, True, 128, 6),
    StageSpec("mb", 6, 3, False, 160, 9),
    StageSpec("mb", 6, 3, True, 256, 15),
)
"""The second article's table 4; M and L are those of its authors' code."""
V2_M = (
    StageSpec("fused", 1, 3, False, 24, 3),
    StageSpec("fused", 4, 3, True, 48, 5),
    StageSpec("fused", 4, 3, True, 80, 5),
    StageSpec("mb", 4, 3, True, 160, 7),
    StageSpec("mb", 6, 3, False, 176, 14),
    StageSpec("mb", 6, 3, True, 304, 18),
    StageSpec("mb", 6, 3, False, 512, 5),
)
V2_L = (
    StageSpec("fused", 1, 3, False, 32, 4),
    StageSpec("fused", 4, 3, True, 64, 7),
    StageSpec("fused", 4, 3, True, 96, 7),
    StageSpec("mb", 4, 3, True, 192, 10),
    StageSpec("mb", 6, 3, False, 224, 19),
    StageSpec("mb", 6, 3, True, 384, 25),
    StageSpec("mb", 6, 3, False, 640, 7),
)


class Block(nn.Module):
    """Wider, convolved, narrower, and a shortcut where it fits.

    Args:
        make: layers of the network's rank.
        of: the stage.
        in_channels: of the input.
        out_channels: of the output.
        stride: of the depthwise or full convolution.
    """

    def __init__(
        self, make: Layers, of: StageSpec, in_channels: int, out_channels: int, stride: Axes
    ) -> None:
        super().__init__()
        wide = in_eights(in_channels * of.expansion)
        self.shortcut = in_channels == out_channels and set(stride) == {1}
        layers: list[nn.Module] = []
        if of.kind == "fused":
            middle = wide if of.expansion > 1 else out_channels
            layers.append(
                make.conv_norm(in_channels, middle, of.kernel, stride, activation=nn.SiLU)
            )
        else:
            middle = wide
            if wide != in_channels:
                layers.append(make.conv_norm(in_channels, wide, 1, activation=nn.SiLU))
            layers += [
                make.conv_norm(wide, wide, of.kernel, stride, groups=wide, activation=nn.SiLU),
                SqueezeExcite(make, wide, max(1, in_channels // 4), nn.SiLU),
            ]
        if of.kind == "mb" or of.expansion > 1:
            layers.append(make.conv_norm(middle, out_channels, 1))
        self.block = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """``(n, c, [z,] y, x)`` → the same rank, strided."""
        new: Tensor = self.block(x)
        return x + new if self.shortcut else new


class EfficientNet(Network):
    """A network of wide depthwise convolutions, and of full ones at first in version 2.

    Args:
        options: rank, channels, strides, head.
        stages: its blocks.
        wider: factor on the channels, which are rounded to eights.
        deeper: factor on the blocks of each stage.
        stem: channels of the first layer.
        last: channels of the last layer; None: four times those of the last stage.
        norm_eps: what batch normalisation adds to a variance.
        norm_momentum: weight of a batch in its running statistics.
    """

    windows = (Window(3, 1),) * 5  # kernels of 5 with their padding shrink an axis alike
    head_name = "classifier.1"
    stem_name = "features.0.0.weight"

    def __init__(
        self,
        options: NetworkOptions,
        *,
        stages: tuple[StageSpec, ...] = V1,
        wider: float = 1.0,
        deeper: float = 1.0,
        stem: int = 32,
        last: int | None = None,
        norm_eps: float = 1e-5,
        norm_momentum: float = 0.1,
    ) -> None:
        super().__init__(options)
        make = self.make = dataclasses.replace(
            self.make, norm_eps=norm_eps, norm_momentum=norm_momentum
        )

        def scaled(channels: int) -> int:
            return in_eights(channels * wider * options.width)

        still = (1,) * options.rank
        channels = scaled(stem)
        rows: list[nn.Module] = [
            make.conv_norm(options.in_channels, channels, 3, self.strides[0], activation=nn.SiLU)
        ]
        levels, n_reductions = [], 1
        for stage in stages:
            stride, out_channels = still, scaled(stage.channels)
            if stage.strided:
                levels.append((f"features.{len(rows) - 1}", channels, n_reductions))
                stride = self.strides[n_reductions]
                n_reductions += 1
            blocks = []
            for index in range(math.ceil(stage.n_blocks * deeper)):
                here = stride if index == 0 else still
                blocks.append(Block(make, stage, channels, out_channels, here))
                channels = out_channels
            rows.append(Stage(*blocks))
        n_last = 4 * channels if last is None else in_eights(last * options.width)
        levels.append((f"features.{len(rows)}", n_last, n_reductions))
        self.features = nn.Sequential(
            *rows, make.conv_norm(channels, n_last, 1, activation=nn.SiLU)
        )
        self.classifier = nn.Sequential(nn.Identity())  # torchvision's begins with its dropout
        self.finish(levels)

    def extract(self, x: Tensor) -> Tensor:
        """``(n, c, [z,] y, x)`` → the last feature volume."""
        features: Tensor = self.features(x)
        return features
