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

Activation = type[nn.ReLU] | type[nn.ReLU6] | type[nn.SiLU]
"""What can work in place."""


class EdgeConv3d(nn.Conv3d):
    """A convolution that repeats the first and last slice where it looks past them."""

    def forward(self, x: Tensor) -> Tensor:
        """``(n, c, z, y, x)`` → the same, strided."""
        depth = self.kernel_size[0] // 2
        x = functional.pad(x, (0, 0, 0, 0, depth, depth), mode="replicate")
        return functional.conv3d(
            x,
            self.weight,
            self.bias,
            self.stride,
            (0, *self.padding[1:]),
            self.dilation,
            self.groups,
        )


@dataclass(frozen=True, slots=True)
class Layers:
    """Makes the layers of one network.

    Attributes:
        rank: 3 for volumes, 2 for images.
        depth_padding: "zeros" or "replicate", of convolutions along z.
        norm_eps: what batch normalisation adds to a variance.
        norm_momentum: weight of a batch in its running statistics.
    """

    rank: Literal[2, 3]
    depth_padding: Literal["zeros", "replicate"] = "zeros"
    norm_eps: float = 1e-5
    norm_momentum: float = 0.1

    def conv(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int | Axes,
        stride: int | Axes = 1,
        *,
        groups: int = 1,
        bias: bool = False,
        valid: bool = False,
    ) -> nn.Conv2d | nn.Conv3d:
        """A convolution, padded so that stride 1 keeps the size.

        Args:
            in_channels: of the input.
            out_channels: of the output.
            kernel: odd extents: of all axes, ``(z, y, x)``, or ``(y, x)``, of which the depth
                takes that of y: 1×7 looks along x alone, 7×1 along y and z.
            stride: of all axes, or of each.
            groups: of channels.
            bias: add one.
            valid: windows lie inside the plane, which shrinks by what they reach over.
        """
        kernels = (kernel,) * self.rank if isinstance(kernel, int) else tuple(kernel)
        if len(kernels) < self.rank:
            kernels = (kernels[0], *kernels)
        padding = [extent // 2 for extent in kernels]
        if valid:
            padding[-2:] = 0, 0
        if self.rank == 2:
            kind: type[nn.Conv2d] | type[nn.Conv3d] = nn.Conv2d
        elif self.depth_padding == "replicate" and kernels[0] > 1:
            kind = EdgeConv3d
        else:
            kind = nn.Conv3d
        return kind(
            in_channels,
            out_channels,
            kernels,  # type: ignore[arg-type]
            stride,  # type: ignore[arg-type]
            tuple(padding),  # type: ignore[arg-type]
            groups=groups,
            bias=bias,
        )

    def batch_norm(self, channels: int) -> nn.BatchNorm2d | nn.BatchNorm3d:
        """Batch normalisation."""
        kind = nn.BatchNorm3d if self.rank == 3 else nn.BatchNorm2d
        return kind(channels, self.norm_eps, self.norm_momentum)

    def conv_norm(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int | Axes = 1,
        *,
        groups: int = 1,
        activation: Activation | None = None,
    ) -> nn.Sequential:
        """Convolution, normalisation, activation."""
        layers: list[nn.Module] = [
            self.conv(in_channels, out_channels, kernel, stride, groups=groups),
            self.batch_norm(out_channels),
        ]
        return nn.Sequential(*layers, *([activation(inplace=True)] if activation else []))

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
        activation: class of what is between them.
    """

    def __init__(
        self,
        make: Layers,
        channels: int,
        squeezed: int,
        activation: Activation = nn.ReLU,
    ) -> None:
        super().__init__()
        self.pool = make.global_pool("avg")
        self.fc1 = make.conv(channels, squeezed, 1, bias=True)
        self.activation = activation(inplace=True)
        self.fc2 = make.conv(squeezed, channels, 1, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """``(n, c, [z,] y, x)`` → the same shape."""
        gate = torch.sigmoid(self.fc2(self.activation(self.fc1(self.pool(x)))))  # (n, c, 1, …)
        return x * gate


@dataclass(frozen=True, slots=True)
class Window:
    """How a convolution or pooling shrinks an axis.

    Attributes:
        kernel: extent of the window.
        padding: voxels added before the first one,
        after: and after the last one; None: as many.
        ceil_mode: a last window may hang over the end, as in PyTorch's pooling.
    """

    kernel: int
    padding: int
    ceil_mode: bool = False
    after: int | None = None

    def output(self, extent: int, stride: int) -> int:
        """Windows that fit; below 1 where none does."""
        after = self.padding if self.after is None else self.after
        room = extent + self.padding + after - self.kernel
        if not self.ceil_mode:
            return room // stride + 1
        n_windows = -(-room // stride) + 1
        starts_inside = (n_windows - 1) * stride < extent + self.padding
        return n_windows if starts_inside else n_windows - 1


Steps = Sequence[tuple[Window, int]]
"""What shrinks an axis, in the order of computing: windows and their strides."""


def shrink(extent: int, steps: Steps) -> int:
    """Extent of an axis after all steps; 0 where one of them finds too little."""
    for window, stride in steps:
        extent = window.output(extent, stride)
        if extent < 1:
            return 0
    return extent


def in_eights(channels: float) -> int:
    """The nearest multiple of 8, at least 8, not more than a tenth below (MobileNet's rule)."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels else rounded + 8
