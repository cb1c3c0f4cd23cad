"""MobileNetV2 (Sandler et al. 2018), with torchvision's layout and parameter names."""

from __future__ import annotations

import re
from collections.abc import Iterable

from torch import Tensor, nn

from stallscan.models._layers import Axes, Layers, Window
from stallscan.models._network import Network
from stallscan.models._stage import Stage
from stallscan.models.options import NetworkOptions

STAGES = ((1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1))
"""Expansion, channels and blocks of each stage (the article's table 2)."""
STRIDED = (1, 2, 3, 5)
"""Stages, counted from 0, whose first block has a stride."""
LAST = 1280
_NARROW_NESTED = ("0.0", "0.1", "0.2", "1", "2")
_NESTED = ("0.0", "0.1", "0.2", "1.0", "1.1", "1.2", "2", "3")
"""Torchvision's place of a block's layers in the order of computing, without and with expansion."""


class InvertedResidual(nn.Module):
    """Wider by a 1×1, a 3×3 on each channel, narrower by a 1×1, and a shortcut where it fits.

    Args:
        make: layers of the network's rank.
        in_channels: of the input.
        out_channels: of the output.
        stride: of the 3×3 convolution.
        expansion: how much wider.
    """

    def __init__(
        self, make: Layers, in_channels: int, out_channels: int, stride: Axes, expansion: int
    ) -> None:
        super().__init__()
        wide = in_channels * expansion
        self.shortcut = in_channels == out_channels and set(stride) == {1}
        layers = [conv_norm_relu(make, in_channels, wide, 1)] if expansion != 1 else []
        self.conv = nn.Sequential(
            *layers,
            conv_norm_relu(make, wide, wide, 3, stride, groups=wide),
            make.conv(wide, out_channels, 1),
            make.batch_norm(out_channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(n, c, [z,] y, x)`` → the same rank, strided."""
        new: Tensor = self.conv(x)
        return x + new if self.shortcut else new


def conv_norm_relu(
    make: Layers,
    in_channels: int,
    out_channels: int,
    kernel: int,
    stride: int | Axes = 1,
    *,
    groups: int = 1,
) -> nn.Sequential:
    """Convolution, normalisation, ReLU up to 6."""
    return nn.Sequential(
        make.conv(in_channels, out_channels, kernel, stride, groups=groups),
        make.batch_norm(out_channels),
        nn.ReLU6(inplace=True),
    )


class MobileNetV2(Network):
    """A network of inverted residuals; ``width`` scales all but the last, 1280 channels wide, layer
    (which wider networks widen), in eights, as the authors do."""

    windows = (Window(3, 1),) * 5
    head_name = "classifier"
    stem_name = "features.0.0.weight"

    def __init__(self, options: NetworkOptions) -> None:
        super().__init__(options)
        make = self.make
        channels = in_eights(32 * options.width)
        still = (1,) * options.rank
        blocks: list[nn.Module] = [
            conv_norm_relu(make, options.in_channels, channels, 3, self.strides[0])
        ]
        levels, n_reductions = [], 1
        for stage, (expansion, width, n_blocks) in enumerate(STAGES):
            stride, out_channels = still, in_eights(width * options.width)
            if stage in STRIDED:
                levels.append((f"features.{len(blocks) - 1}", channels, n_reductions))
                stride = self.strides[n_reductions]
                n_reductions += 1
            for index in range(n_blocks):
                here = stride if index == 0 else still
                blocks.append(InvertedResidual(make, channels, out_channels, here, expansion))
                channels = out_channels
        last = in_eights(LAST * max(1.0, options.width))
        levels.append((f"features.{len(blocks)}", last, n_reductions))
        self.features = Stage(*blocks, conv_norm_relu(make, channels, last, 1))
        self.finish(levels)

    def _head(self, options: NetworkOptions) -> nn.Module:
        """Torchvision's head begins with its dropout; ours is the network's."""
        return nn.Sequential(nn.Identity(), super()._head(options))

    @staticmethod
    def upgrade_keys(keys: Iterable[str]) -> dict[str, str]:
        """Torchvision nests a block's layers; the port before it counted them through."""
        names = {key: key for key in keys}
        if "features.1.conv.0.weight" not in names:
            return names
        for key in names:
            found = re.fullmatch(r"features\.(\d+)\.conv\.(\d)\.(\w+)", key)
            if found:
                block, layer, kind = found.groups()
                nested = _NARROW_NESTED if block == "1" else _NESTED
                names[key] = f"features.{block}.conv.{nested[int(layer)]}.{kind}"
        return names

    def extract(self, x: Tensor) -> Tensor:
        """``(n, c, [z,] y, x)`` → the last feature volume."""
        features: Tensor = self.features(x)
        return features


def in_eights(channels: float) -> int:
    """The nearest multiple of 8, at least 8, not more than a tenth below (the authors' rule)."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels else rounded + 8
