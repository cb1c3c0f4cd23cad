"""Inception-ResNet-v2 (Szegedy et al. 2016), with timm's layout and parameter names."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from stallscan.models._inception import (
    Branches,
    Conv,
    InceptionNetwork,
    avg_pool,
    max_pool,
)
from stallscan.models._layers import Axes, Layers
from stallscan.models._stage import Stage
from stallscan.models.options import NetworkOptions

Row = Sequence[tuple[int | Axes, int]]
"""Kernels and channels of convolutions, in the order of computing."""


def in_a_row(make: Layers, n_in: int, row: Row, stride: Axes | None = None) -> nn.Module:
    """Convolutions one after the other; the last one has the stride, and lies inside the plane."""
    convs = []
    for place, (kernel, n_out) in enumerate(row, 1):
        if stride is not None and place == len(row):
            convs.append(Conv(make, n_in, n_out, kernel, stride, valid=True))
        else:
            convs.append(Conv(make, n_in, n_out, kernel))
        n_in = n_out
    return convs[0] if len(convs) == 1 else nn.Sequential(*convs)


class Mixed(Branches):
    """Rows of convolutions, and a branch that pools.

    Args:
        make: layers of the network's rank.
        n_in: channels of the input.
        rows: of convolutions.
        pool: the other branch,
        n_pooled: and its channels.
        stride: of all branches; None: there is none.
    """

    def __init__(
        self,
        make: Layers,
        n_in: int,
        rows: Sequence[Row],
        pool: nn.Module,
        n_pooled: int,
        stride: Axes | None = None,
    ) -> None:
        super().__init__()
        self.channels = sum(row[-1][1] for row in rows) + n_pooled
        modules = [*(in_a_row(make, n_in, row, stride) for row in rows), pool]
        self.branches = _named(self, modules)


class Residual(Branches):
    """Branches whose joined outputs, by a 1×1 and scaled down, are added to their input.

    Args:
        make: layers of the network's rank.
        channels: of input and output.
        rows: of convolutions.
        scale: of what is added.
        relu: end with one.
    """

    def __init__(
        self,
        make: Layers,
        channels: int,
        rows: Sequence[Row],
        scale: float,
        *,
        relu: bool = True,
    ) -> None:
        super().__init__()
        self.branches = _named(self, [in_a_row(make, channels, row) for row in rows])
        self.conv2d = make.conv(sum(row[-1][1] for row in rows), channels, 1, bias=True)
        self.scale = scale
        self.act = nn.ReLU() if relu else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """``(n, c, [z,] y, x)`` → the same shape."""
        new: Tensor = self.act(x + self.scale * self.conv2d(self.joined(x)))
        return new


def _named(parent: nn.Module, modules: Sequence[nn.Module]) -> tuple[tuple[str], ...]:
    """Give branches timm's names."""
    for number, module in enumerate(modules):
        parent.add_module(f"branch{number}", module)
    return tuple((f"branch{number}",) for number in range(len(modules)))


class InceptionResNetV2(InceptionNetwork):
    """A network whose blocks look at their input at several scales and add to it."""

    head_name = "classif"
    stem_name = "conv2d_1a.conv.weight"

    def __init__(self, options: NetworkOptions) -> None:
        super().__init__(options)
        make, scaled, strides = self.make, options.scaled, self.strides
        self.conv2d_1a = Conv(make, options.in_channels, scaled(32), 3, strides[0], valid=True)
        self.conv2d_2a = Conv(make, scaled(32), scaled(32), 3, valid=True)
        self.conv2d_2b = Conv(make, scaled(32), scaled(64), 3)
        self.maxpool_3a = max_pool(make, strides[1])
        self.conv2d_3b = Conv(make, scaled(64), scaled(80))
        self.conv2d_4a = Conv(make, scaled(80), scaled(192), 3, valid=True)
        self.maxpool_5a = max_pool(make, strides[2])
        means = nn.Sequential(
            avg_pool(make, count_padding=False), Conv(make, scaled(192), scaled(64))
        )
        rows: list[Row] = [
            [(1, scaled(96))],
            [(1, scaled(48)), (5, scaled(64))],
            [(1, scaled(64)), (3, scaled(96)), (3, scaled(96))],
        ]
        self.mixed_5b = Mixed(make, scaled(192), rows, means, scaled(64))
        n35 = self.mixed_5b.channels
        rows = [
            [(1, scaled(32))],
            [(1, scaled(32)), (3, scaled(32))],
            [(1, scaled(32)), (3, scaled(48)), (3, scaled(64))],
        ]
        self.repeat = Stage(*(Residual(make, n35, rows, 0.17) for _ in range(10)))
        rows = [[(3, scaled(384))], [(1, scaled(256)), (3, scaled(256)), (3, scaled(384))]]
        self.mixed_6a = Mixed(make, n35, rows, max_pool(make, strides[3]), n35, strides[3])
        n17 = self.mixed_6a.channels
        rows = [
            [(1, scaled(192))],
            [(1, scaled(128)), ((1, 7), scaled(160)), ((7, 1), scaled(192))],
        ]
        self.repeat_1 = Stage(*(Residual(make, n17, rows, 0.1) for _ in range(20)))
        rows = [
            [(1, scaled(256)), (3, scaled(384))],
            [(1, scaled(256)), (3, scaled(288))],
            [(1, scaled(256)), (3, scaled(288)), (3, scaled(320))],
        ]
        self.mixed_7a = Mixed(make, n17, rows, max_pool(make, strides[4]), n17, strides[4])
        n8 = self.mixed_7a.channels
        rows = [
            [(1, scaled(192))],
            [(1, scaled(192)), ((1, 3), scaled(224)), ((3, 1), scaled(256))],
        ]
        self.repeat_2 = Stage(*(Residual(make, n8, rows, 0.2) for _ in range(9)))
        self.block8 = Residual(make, n8, rows, 1.0, relu=False)
        self.conv2d_7b = Conv(make, n8, scaled(1536))
        self.finish(
            [
                ("conv2d_2b", scaled(64), 1),
                ("conv2d_4a", scaled(192), 2),
                ("repeat", n35, 3),
                ("repeat_1", n17, 4),
                ("conv2d_7b", scaled(1536), 5),
            ]
        )
