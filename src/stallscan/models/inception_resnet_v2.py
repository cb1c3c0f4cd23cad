"""Inception-ResNet-v2 (Szegedy et al. 2016), with timm's layout and parameter names."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from stallscan.models._inception import Branches, Conv, InceptionNetwork, avg_pool, max_pool
from stallscan.models._layers import Axes, Layers
from stallscan.models._stage import Blocks, Stage
from stallscan.models.inception_v3 import Scaled
from stallscan.models.options import NetworkOptions


class Mixed5b(Branches):
    """1×1; 5×5; two of 3×3; means.

    Args:
        make: layers of the network's rank.
        n_in: channels of the input.
        scaled: a published number of channels → that of the network's width.
    """

    branches = (("branch0",), ("branch1",), ("branch2",), ("branch3",))

    def __init__(self, make: Layers, n_in: int, scaled: Scaled) -> None:
        super().__init__()
        self.channels = 2 * scaled(96) + 2 * scaled(64)
        self.branch0 = Conv(make, n_in, scaled(96))
        self.branch1 = nn.Sequential(
            Conv(make, n_in, scaled(48)), Conv(make, scaled(48), scaled(64), 5)
        )
        self.branch2 = nn.Sequential(
            Conv(make, n_in, scaled(64)),
            Conv(make, scaled(64), scaled(96), 3),
            Conv(make, scaled(96), scaled(96), 3),
        )
        self.branch3 = nn.Sequential(
            avg_pool(make, count_padding=False), Conv(make, n_in, scaled(64))
        )


class Mixed6a(Branches):
    """The first reduction: 3×3; two of 3×3; maxima.

    Args:
        make: layers of the network's rank.
        n_in: channels of the input.
        stride: per axis.
        scaled: a published number of channels → that of the network's width.
    """

    branches = (("branch0",), ("branch1",), ("branch2",))

    def __init__(self, make: Layers, n_in: int, stride: Axes, scaled: Scaled) -> None:
        super().__init__()
        self.channels = 2 * scaled(384) + n_in
        self.branch0 = Conv(make, n_in, scaled(384), 3, stride, valid=True)
        self.branch1 = nn.Sequential(
            Conv(make, n_in, scaled(256)),
            Conv(make, scaled(256), scaled(256), 3),
            Conv(make, scaled(256), scaled(384), 3, stride, valid=True),
        )
        self.branch2 = max_pool(make, stride)


class Mixed7a(Branches):
    """The second reduction: 3×3 in three branches; maxima.

    Args:
        make: layers of the network's rank.
        n_in: channels of the input.
        stride: per axis.
        scaled: a published number of channels → that of the network's width.
    """

    branches = (("branch0",), ("branch1",), ("branch2",), ("branch3",))

    def __init__(self, make: Layers, n_in: int, stride: Axes, scaled: Scaled) -> None:
        super().__init__()
        self.channels = scaled(384) + scaled(288) + scaled(320) + n_in
        self.branch0 = nn.Sequential(
            Conv(make, n_in, scaled(256)),
            Conv(make, scaled(256), scaled(384), 3, stride, valid=True),
        )
        self.branch1 = nn.Sequential(
            Conv(make, n_in, scaled(256)),
            Conv(make, scaled(256), scaled(288), 3, stride, valid=True),
        )
        self.branch2 = nn.Sequential(
            Conv(make, n_in, scaled(256)),
            Conv(make, scaled(256), scaled(288), 3),
            Conv(make, scaled(288), scaled(320), 3, stride, valid=True),
        )
        self.branch3 = max_pool(make, stride)


class Residual(Branches):
    """Branches whose joined outputs, by a 1×1 and scaled down, are added to their input.

    Args:
        make: layers of the network's rank.
        channels: of input and output.
        branches: for each its kernels and channels, in the order of computing.
        scale: of what is added.
        relu: end with one.
    """

    def __init__(
        self,
        make: Layers,
        channels: int,
        branches: Sequence[Sequence[tuple[int | Axes, int]]],
        scale: float,
        *,
        relu: bool = True,
    ) -> None:
        super().__init__()
        for number, layers in enumerate(branches):
            n_in, convs = channels, []
            for kernel, n_out in layers:
                convs.append(Conv(make, n_in, n_out, kernel))
                n_in = n_out
            self.add_module(
                f"branch{number}", convs[0] if len(convs) == 1 else nn.Sequential(*convs)
            )
        self.branches = tuple((f"branch{number}",) for number in range(len(branches)))
        self.conv2d = make.conv(sum(layers[-1][1] for layers in branches), channels, 1, bias=True)
        self.scale = scale
        self.act = nn.ReLU() if relu else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """``(n, c, [z,] y, x)`` → the same shape."""
        new: Tensor = self.act(x + self.scale * self.conv2d(self.joined(x)))
        return new


class InceptionResNetV2(InceptionNetwork, Blocks):
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
        self.mixed_5b = Mixed5b(make, scaled(192), scaled)
        n35 = self.mixed_5b.channels
        first = [
            [(1, scaled(32))],
            [(1, scaled(32)), (3, scaled(32))],
            [(1, scaled(32)), (3, scaled(48)), (3, scaled(64))],
        ]
        self.repeat = Stage(*(Residual(make, n35, first, 0.17) for _ in range(10)))
        self.mixed_6a = Mixed6a(make, n35, strides[3], scaled)
        n17 = self.mixed_6a.channels
        second: list[list[tuple[int | Axes, int]]] = [
            [(1, scaled(192))],
            [(1, scaled(128)), ((1, 7), scaled(160)), ((7, 1), scaled(192))],
        ]
        self.repeat_1 = Stage(*(Residual(make, n17, second, 0.1) for _ in range(20)))
        self.mixed_7a = Mixed7a(make, n17, strides[4], scaled)
        n8 = self.mixed_7a.channels
        third: list[list[tuple[int | Axes, int]]] = [
            [(1, scaled(192))],
            [(1, scaled(192)), ((1, 3), scaled(224)), ((3, 1), scaled(256))],
        ]
        self.repeat_2 = Stage(*(Residual(make, n8, third, 0.2) for _ in range(9)))
        self.block8 = Residual(make, n8, third, 1.0, relu=False)
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

    def extract(self, x: Tensor) -> Tensor:
        """``(n, c, [z,] y, x)`` → the last feature volume."""
        for name, module in self.named_children():
            if name == "global_pool":
                break
            x = module(x) if isinstance(module, Stage) else self.run(module, x)
        return x
