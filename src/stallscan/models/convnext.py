"""ConvNeXt (Liu et al. 2022), with torchvision's layout and parameter names.

Its first layer cuts the input into patches, and so has two of the five reductions of the other
networks, one after the other. Stochastic depth, which it was trained with on ImageNet, is left out.
"""

from __future__ import annotations

from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn import functional

from stallscan.models._layers import Axes, Layers, Steps, Window
from stallscan.models._network import Network
from stallscan.models._stage import Stage
from stallscan.models.options import NetworkOptions

EXPANSION = 4
"""How much wider the middle of a block is."""
LAYER_SCALE = 1e-6
"""What a new block's output is multiplied by."""
NORM_EPS = 1e-6


class Permute(nn.Module):
    """Axes in another order.

    Args:
        axes: where each one comes from.
    """

    def __init__(self, axes: Axes) -> None:
        super().__init__()
        self.axes = axes

    def forward(self, x: Tensor) -> Tensor:
        """As many axes as there are numbers."""
        return x.permute(self.axes)


def channels_last(rank: int) -> Permute:
    """``(n, c, [z,] y, x)`` → ``(n, [z,] y, x, c)``."""
    return Permute((0, *range(2, rank + 2), 1))


def channels_first(rank: int) -> Permute:
    """``(n, [z,] y, x, c)`` → ``(n, c, [z,] y, x)``."""
    return Permute((0, rank + 1, *range(1, rank + 1)))


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels at each place.

    Args:
        make: layers of the network's rank.
        channels: of the input.
    """

    def __init__(self, make: Layers, channels: int) -> None:
        super().__init__(channels, eps=NORM_EPS)
        self.last, self.first = channels_last(make.rank), channels_first(make.rank)

    def forward(self, x: Tensor) -> Tensor:
        """``(n, c, [z,] y, x)`` → the same shape."""
        normed: Tensor = self.first(super().forward(self.last(x)))
        return normed


class _Patches:
    """Padding of a convolution that cuts patches.

    Attributes:
        before: voxels before the first patch, per axis,
        after: and after the last one, where patches overlap.
        repeat_depth: repeat the first and last slice instead of zeros.
    """

    before: Axes
    after: Axes
    repeat_depth: bool

    def padded(self, x: Tensor) -> Tensor:
        """``(n, c, [z,] y, x)`` with what the patches need around it."""
        if not any((*self.before, *self.after)):
            return x
        pairs = list(zip(self.before, self.after, strict=True))
        if self.repeat_depth and any(pairs[0]):
            x = functional.pad(x, (0, 0, 0, 0, *pairs[0]), mode="replicate")
            pairs[0] = (0, 0)
        return functional.pad(x, tuple(chain.from_iterable(reversed(pairs))))


class PatchConv2d(nn.Conv2d, _Patches):
    """Patches of an image."""

    def forward(self, x: Tensor) -> Tensor:
        """``(n, c, y, x)`` → the same rank, strided."""
        return super().forward(self.padded(x))


class PatchConv3d(nn.Conv3d, _Patches):
    """Patches of a volume."""

    def forward(self, x: Tensor) -> Tensor:
        """``(n, c, z, y, x)`` → the same rank, strided."""
        return super().forward(self.padded(x))


def patches(
    make: Layers, in_channels: int, out_channels: int, kernel: int, stride: Axes
) -> PatchConv2d | PatchConv3d:
    """A convolution whose windows do not overlap where the stride is the kernel's extent.

    With a smaller stride they do, and zeros around the input keep as many windows as strides fit
    into it. Along z they are one slice deep where the stride is 1.
    """
    windows = [patch_window(kernel, step) for step in stride]
    kernels = [kernel] * make.rank
    if make.rank == 3 and stride[0] == 1:
        kernels[0], windows[0] = 1, Window(1, 0)
    kind = PatchConv3d if make.rank == 3 else PatchConv2d
    conv = kind(in_channels, out_channels, tuple(kernels), stride)  # type: ignore[arg-type]
    conv.before = tuple(window.padding for window in windows)
    conv.after = tuple(window.after or 0 for window in windows)
    conv.repeat_depth = make.depth_padding == "replicate"
    return conv


def patch_window(kernel: int, stride: int) -> Window:
    """A window with the padding that it needs."""
    overlap = max(0, kernel - stride)
    return Window(kernel, overlap // 2, after=overlap - overlap // 2)


class Block(nn.Module):
    """A depthwise 7×7, normalisation, two layers at each place, and a shortcut.

    Args:
        make: layers of the network's rank.
        channels: of input and output.
    """

    def __init__(self, make: Layers, channels: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            make.conv(channels, channels, 7, groups=channels, bias=True),
            channels_last(make.rank),
            nn.LayerNorm(channels, eps=NORM_EPS),
            nn.Linear(channels, EXPANSION * channels),
            nn.GELU(),
            nn.Linear(EXPANSION * channels, channels),
            channels_first(make.rank),
        )
        self.layer_scale = nn.Parameter(torch.empty(channels, 1, 1))
        self.rank = make.rank

    def forward(self, x: Tensor) -> Tensor:
        """``(n, c, [z,] y, x)`` → the same shape."""
        scale = self.layer_scale.view(-1, *(1,) * self.rank)
        new: Tensor = scale * self.block(x)
        return x + new


class ConvNeXt(Network):
    """A convolutional network in the manner of transformers.

    Args:
        options: rank, channels, strides, head.
        layers: blocks in each of the four stages.
        channels: of each stage.
    """

    head_name = "classifier.2"
    stem_name = "features.0.0.weight"

    def __init__(
        self,
        options: NetworkOptions,
        *,
        layers: tuple[int, int, int, int],
        channels: tuple[int, int, int, int],
    ) -> None:
        super().__init__(options)
        make = self.make
        rows: list[nn.Module] = []
        levels = []
        n_in = options.in_channels
        for stage, (n_blocks, width) in enumerate(zip(layers, channels, strict=True)):
            n_out = options.scaled(width)
            if stage == 0:
                cut = patches(make, n_in, n_out, 4, self._strides[0])
                rows.append(nn.Sequential(cut, ChannelNorm(make, n_out)))
            else:
                cut = patches(make, n_in, n_out, 2, self._strides[stage])
                rows.append(nn.Sequential(ChannelNorm(make, n_in), cut))
            rows.append(Stage(*(Block(make, n_out) for _ in range(n_blocks))))
            levels.append((f"features.{len(rows) - 1}", n_out, stage + 2))
            n_in = n_out
        self.features = nn.Sequential(*rows)
        self.classifier = nn.Sequential(nn.LayerNorm(n_in, eps=NORM_EPS), nn.Identity())
        self.finish(levels)

    @property
    def _strides(self) -> list[Axes]:
        """Of the four places where it shrinks."""
        first, second, *others = self.strides
        return [tuple(a * b for a, b in zip(first, second, strict=True)), *others]

    def steps(self, axis: int) -> Steps:
        """What shrinks an axis."""
        kernels = (4, 2, 2, 2)
        strides = [stride[axis] for stride in self._strides]
        return [
            (patch_window(kernel, stride), stride)
            for kernel, stride in zip(kernels, strides, strict=True)
            if stride > 1
        ]

    def init_weights(self) -> None:
        """Truncated normal of 0.02, biases 0, as the authors do."""
        super().init_weights()
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv2d | nn.Conv3d):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, Block):
                nn.init.constant_(module.layer_scale, LAYER_SCALE)

    def extract(self, x: Tensor) -> Tensor:
        """``(n, c, [z,] y, x)`` → the last feature volume."""
        features: Tensor = self.features(x)
        return features

    def pooled(self, x: Tensor) -> Tensor:
        """Last feature volume → ``(n, num_features)``, normalised."""
        norm: Tensor = self.classifier[0](super().pooled(x))
        return norm
