"""Layers by rank, so that every 3D network has a 2D twin of the same class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Axes = tuple[int, ...]
"""A number per axis: ``(z, y, x)``, or ``(y, x)`` in a twin."""


class EdgeConv3d(nn.Conv3d):
    """A convolution that repeats the first and last slice where it looks past them."""

    def forward(self, x: Tensor) -> Tensor:
        """``(n, c, z, y, x)`` → the same, strided."""
        depth, height, width = (extent // 2 for extent in self.kernel_size)
        x = functional.pad(x, (0, 0, 0, 0, depth, depth), mode="replicate")
        return functional.conv3d(
            x,
            self.weight,
            self.bias,
            self.stride,
            (0, height, width),
            self.dilation,
            self.groups,
        )


@dataclass(frozen=True, slots=True)
class Layers:
    """Makes the layers of one network.

    Attributes:
        rank: 3 for volumes, 2 for images.
        depth_padding: "zeros" or "replicate", of convolutions along z.
    """

    rank: Literal[2, 3]
    depth_padding: Literal["zeros", "replicate"] = "zeros"

    def conv(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int | Axes = 1,
        *,
        groups: int = 1,
        bias: bool = False,
    ) -> nn.Conv2d | nn.Conv3d:
        """A convolution with an odd kernel, padded so that stride 1 keeps the size."""
        if self.rank == 2:
            kind: type[nn.Conv2d] | type[nn.Conv3d] = nn.Conv2d
        elif self.depth_padding == "replicate" and kernel > 1:
            kind = EdgeConv3d
        else:
            kind = nn.Conv3d
        return kind(
            in_channels,
            out_channels,
            kernel,
            stride,  # type: ignore[arg-type]
            kernel // 2,
            groups=groups,
            bias=bias,
        )

    def batch_norm(self, channels: int) -> nn.BatchNorm2d | nn.BatchNorm3d:
        """Batch normalisation."""
        return nn.BatchNorm3d(channels) if self.rank == 3 else nn.BatchNorm2d(channels)

    def max_pool(
        self, kernel: int, stride: Axes, padding: int, *, ceil_mode: bool = False
    ) -> nn.MaxPool2d | nn.MaxPool3d:
        """Maximum pooling of the axes that have a stride; the others keep their values."""
        kernels = tuple(kernel if step > 1 else 1 for step in stride)
        paddings = tuple(padding if step > 1 else 0 for step in stride)
        kind = nn.MaxPool3d if self.rank == 3 else nn.MaxPool2d
        return kind(kernels, stride, paddings, ceil_mode=ceil_mode)

    def avg_pool(self, kernel: int, stride: Axes) -> nn.AvgPool2d | nn.AvgPool3d:
        """Average pooling of the axes that have a stride; the others keep their values."""
        kernels = tuple(kernel if step > 1 else 1 for step in stride)
        return (nn.AvgPool3d if self.rank == 3 else nn.AvgPool2d)(kernels, stride)  # type: ignore[arg-type]

    def global_pool(self, pool: Literal["avg", "max"]) -> nn.Module:
        """Pooling of the whole volume to one voxel."""
        if pool == "avg":
            return nn.AdaptiveAvgPool3d(1) if self.rank == 3 else nn.AdaptiveAvgPool2d(1)
        return nn.AdaptiveMaxPool3d(1) if self.rank == 3 else nn.AdaptiveMaxPool2d(1)


class SqueezeExcite(nn.Module):
    """Channels weighted by what the whole volume holds (Hu et al. 2018).

    Args:
        make: layers of the network's rank.
        channels: of the input.
        squeezed: channels between the two layers.
    """

    def __init__(self, make: Layers, channels: int, squeezed: int) -> None:
        super().__init__()
        self.pool = make.global_pool("avg")
        self.fc1 = make.conv(channels, squeezed, 1, bias=True)
        self.relu = nn.ReLU(inplace=True)
        self.fc2 = make.conv(squeezed, channels, 1, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """``(n, c, [z,] y, x)`` → the same shape."""
        gate = torch.sigmoid(self.fc2(self.relu(self.fc1(self.pool(x)))))  # (n, c, 1, …)
        return x * gate


@dataclass(frozen=True, slots=True)
class Window:
    """How one reduction shrinks an axis: kernel and padding of its strided convolution or pooling.

    Attributes:
        kernel: extent of the window.
        padding: voxels added on either side.
        ceil_mode: a last window may hang over the end, as in PyTorch's pooling.
    """

    kernel: int
    padding: int
    ceil_mode: bool = False

    def output(self, extent: int, stride: int) -> int:
        """Windows that fit; below 1 where none does. An axis of stride 1 keeps its extent."""
        if stride == 1:
            return extent
        room = extent + 2 * self.padding - self.kernel
        if not self.ceil_mode:
            return room // stride + 1
        n_windows = -(-room // stride) + 1
        starts_inside = (n_windows - 1) * stride < extent + self.padding
        return n_windows if starts_inside else n_windows - 1


def shrink(extent: int, windows: Sequence[Window], strides: Sequence[int]) -> int:
    """Extent of an axis after all reductions; 0 where one of them finds too little."""
    for window, stride in zip(windows, strides, strict=True):
        extent = window.output(extent, stride)
        if extent < 1:
            return 0
    return extent
