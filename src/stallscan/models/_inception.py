"""What the two Inception networks share: convolutions that lie inside the plane, and branches.

In the plane windows do not look beyond the picture, as published weights expect, so that it must be
75 voxels wide; along z, where clips are thin, they do, and a stride of 1 keeps the depth.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from stallscan.models._layers import Axes, Layers, Steps, Window
from stallscan.models._network import Network
from stallscan.models._stage import Blocks
from stallscan.models.options import NetworkOptions

NORM_EPS = 1e-3

Scaled = Callable[[float], int]
"""A published number of channels → that of the network's width."""


class Conv(nn.Module):
    """Convolution, normalisation, ReLU.

    Args:
        make: layers of the network's rank.
        in_channels: of the input.
        out_channels: of the output.
        kernel: see `Layers.conv`.
        stride: per axis.
        valid: windows lie inside the plane.
    """

    def __init__(
        self,
        make: Layers,
        in_channels: int,
        out_channels: int,
        kernel: int | Axes = 1,
        stride: int | Axes = 1,
        *,
        valid: bool = False,
    ) -> None:
        super().__init__()
        self.conv = make.conv(in_channels, out_channels, kernel, stride, valid=valid)
        self.bn = make.batch_norm(out_channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """``(n, c, [z,] y, x)`` → the same rank, strided."""
        x = self.relu(self.bn(self.conv(x)))
        return x


class Branches(nn.Module):
    """What several branches find in the same input, one after the other along the channels.

    Attributes:
        branches: for each branch the names of its modules, in the order of computing; a name may
            be a pair of two, which both see what came before.
    """

    branches: tuple[tuple[Any, ...], ...]

    def joined(self, x: Tensor) -> Tensor:
        """``(n, c, [z,] y, x)`` → the outputs of all branches."""
        found = []
        for branch in self.branches:
            y = x
            for name in branch:
                if isinstance(name, tuple):
                    y = torch.cat([self.get_submodule(one)(y) for one in name], 1)
                else:
                    y = self.get_submodule(name)(y)
            found.append(y)
        return torch.cat(found, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``(n, c, [z,] y, x)`` → the same rank, strided."""
        return self.joined(x)


def max_pool(make: Layers, stride: Axes) -> nn.MaxPool2d | nn.MaxPool3d:
    """Maxima of 3×3 inside the plane, and of three slices where z has a stride."""
    if make.rank == 2:
        return nn.MaxPool2d(3, stride)
    deep = stride[0] > 1
    return nn.MaxPool3d((3 if deep else 1, 3, 3), stride, (1 if deep else 0, 0, 0))


def avg_pool(make: Layers, *, count_padding: bool) -> nn.Module:
    """Means of 3×3, slice by slice."""
    if make.rank == 2:
        return nn.AvgPool2d(3, 1, 1, count_include_pad=count_padding)
    if not count_padding:
        return nn.AvgPool3d((1, 3, 3), 1, (0, 1, 1), count_include_pad=False)
    # PyTorch's pooling of volumes wants a whole window before padding, unlike that of images.
    return nn.Sequential(nn.ZeroPad3d((1, 1, 1, 1, 0, 0)), nn.AvgPool3d((1, 3, 3), 1))


class InceptionNetwork(Network, Blocks):
    """A network of branches, whose modules stand in the order of computing.

    In the plane features are smaller than `FeatureInfo.reduction` says, by what windows reach over.
    """

    windows = (Window(3, 1),) * 5

    def __init__(self, options: NetworkOptions) -> None:
        super().__init__(options)
        self.make = dataclasses.replace(self.make, norm_eps=NORM_EPS)

    def steps(self, axis: int) -> Steps:
        """What shrinks an axis: in the plane also convolutions without a stride."""
        if self.options.rank == 3 and axis == 0:
            return super().steps(axis)
        first, second, *others = (stride[axis] for stride in self.strides)
        return [(Window(3, 0), stride) for stride in (first, 1, second, 1, *others)]

    def extract(self, x: Tensor) -> Tensor:
        """``(n, c, [z,] y, x)`` → the last feature volume."""
        for name, module in self.named_children():
            if name == "global_pool":
                break
            x = module(x) if isinstance(module, Blocks) else self.run(module, x)
        return x
