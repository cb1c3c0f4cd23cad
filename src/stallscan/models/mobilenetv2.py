"""MobileNetV2 (Sandler et al. 2018), with torchvision's layout and parameter names."""

from __future__ import annotations

import re
from collections.abc import Iterable

from torch import Tensor, nn

from stallscan.models._layers import Axes, Layers, Window, in_eights
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
        layers = (
            [make.conv_norm(in_channels, wide, 1, activation=nn.ReLU6)] if expansion != 1 else []
        )
        self.conv = nn.Sequential(
            *layers,
            make.conv_norm(wide, wide, 3, stride, groups=wide, activation=nn.ReLU6),
            make.conv(wide, out_channels, 1),
            make.batch_norm(out_channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(n, c, [z,] y, x)`` → the same rank, strided."""
        new: Tensor = self.conv(x)
        return x + new if self.shortcut else new


class MobileNetV2(Network):
    """A network of inverted residuals; ``width`` scales all but the last, 1280 channels wide, layer
    (which wider networks widen), in eights, as the authors do."""

    windows = (Window(3, 1),) * 5
    head_name = "classifier.1"
    stem_name = "features.0.0.weight"

    def __init__(self, options: NetworkOptions) -> None:
        super().__init__(options)
        make = self.make
        channels = in_eights(32 * options.width)
        still = (1,) * options.rank
        blocks: list[nn.Module] = [
            make.conv_norm(options.in_channels, channels, 3, self.strides[0], activation=nn.ReLU6)
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
        self.features = Stage(*blocks, make.conv_norm(channels, last, 1, activation=nn.ReLU6))
        self.classifier = nn.Sequential(nn.Identity())  # torchvision's begins with its dropout
        self.finish(levels)

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
