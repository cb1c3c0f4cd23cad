"""X3D (Feichtenhofer 2020), tried for `fast`: narrow networks of videos, of depthwise kernels.

X3D-S is the article's table 3; X3D-XS here has half of its blocks. First weights are random.
"""

from __future__ import annotations

from torch import Tensor, nn

from stallscan.models._layers import Axes, Layers, SqueezeExcite, Window, in_eights
from stallscan.models._network import Network
from stallscan.models._stage import Stage
from stallscan.models.options import NetworkOptions
from stallscan.models.registry import MODELS, Spec

CHANNELS = (24, 48, 96, 192)
"""Of each stage."""
BLOCKS_S, BLOCKS_XS = (3, 5, 11, 7), (1, 2, 5, 3)
"""In each stage."""
EXPANSION = 2.25
"""How much wider the middle of a block is."""


class Block(nn.Module):
    """Wider, depthwise, gated in every second block, narrower, and a shortcut."""

    def __init__(
        self, make: Layers, in_channels: int, channels: int, wide: int, stride: Axes, *, se: bool
    ) -> None:
        super().__init__()
        self.expand = make.conv_norm(in_channels, wide, 1, activation=nn.ReLU)
        self.depthwise = make.conv_norm(wide, wide, 3, stride, groups=wide)
        self.se = SqueezeExcite(make, wide, in_eights(wide / 16)) if se else nn.Identity()
        self.swish = nn.SiLU(inplace=True)
        self.project = make.conv_norm(wide, channels, 1)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = (
            make.conv_norm(in_channels, channels, 1, stride)
            if in_channels != channels or set(stride) != {1}
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(n, c, z, y, x)`` → the same rank, strided."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.project(self.swish(self.se(self.depthwise(self.expand(x)))))
        x = self.relu(x + shortcut)
        return x


class X3D(Network):
    """A narrow network of videos.

    Args:
        options: channels, strides, head.
        blocks: in each of the four stages.
    """

    windows = (Window(3, 1),) * 5
    head_name = "fc"
    has_twin = False
    stem_name = "stem.0.weight"

    def __init__(self, options: NetworkOptions, *, blocks: tuple[int, ...]) -> None:
        super().__init__(options)
        make, n_in = self.make, options.scaled(CHANNELS[0])
        self.stem = nn.Sequential(
            make.conv(options.in_channels, n_in, (1, 3, 3), self.strides[0]),
            make.conv(n_in, n_in, (5, 1, 1), groups=n_in),
            make.batch_norm(n_in),
            nn.ReLU(inplace=True),
        )
        levels = []
        for stage, (n_blocks, width) in enumerate(zip(blocks, CHANNELS, strict=True)):
            channels, rows = options.scaled(width), []
            for index in range(n_blocks):
                stride = self.strides[stage + 1] if index == 0 else (1, 1, 1)
                wide = int(EXPANSION * channels)
                rows.append(Block(make, n_in, channels, wide, stride, se=index % 2 == 0))
                n_in = channels
            self.add_module(f"layer{stage + 1}", Stage(*rows))
            levels.append((f"layer{stage + 1}", channels, stage + 2))
        last = int(EXPANSION * n_in)
        self.conv5 = make.conv_norm(n_in, last, 1, activation=nn.ReLU)
        levels[-1] = ("conv5", last, len(self.strides))
        self.finish(levels)

    def extract(self, x: Tensor) -> Tensor:
        """``(n, c, z, y, x)`` → the last feature volume."""
        x = self.stem(x)
        for number in range(1, 5):
            x = self.get_submodule(f"layer{number}")(x)
        features: Tensor = self.conv5(x)
        return features


for name, n_blocks in {"x3d_s": BLOCKS_S, "x3d_xs": BLOCKS_XS}.items():
    MODELS.setdefault(name, Spec(X3D, {"blocks": n_blocks}))
