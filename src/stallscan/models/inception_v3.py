"""Inception-v3 (Szegedy et al. 2015), with torchvision's layout and parameter names.

Without the second head, which helped to train the first one; published weights of it are skipped.
"""

from __future__ import annotations

from stallscan.models._inception import (
    Branches,
    Conv,
    InceptionNetwork,
    Scaled,
    avg_pool,
    max_pool,
)
from stallscan.models._layers import Axes, Layers
from stallscan.models.options import NetworkOptions


class BlockA(Branches):
    """1×1; 5×5; two of 3×3; means.

    Args:
        make: layers of the network's rank.
        n_in: channels of the input.
        n_pool: published channels after the means.
        scaled: see `Scaled`.
    """

    branches = (
        ("branch1x1",),
        ("branch5x5_1", "branch5x5_2"),
        ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"),
        ("pool", "branch_pool"),
    )

    def __init__(self, make: Layers, n_in: int, n_pool: int, scaled: Scaled) -> None:
        super().__init__()
        self.channels = 2 * scaled(64) + scaled(96) + scaled(n_pool)
        self.branch1x1 = Conv(make, n_in, scaled(64))
        self.branch5x5_1 = Conv(make, n_in, scaled(48))
        self.branch5x5_2 = Conv(make, scaled(48), scaled(64), 5)
        self.branch3x3dbl_1 = Conv(make, n_in, scaled(64))
        self.branch3x3dbl_2 = Conv(make, scaled(64), scaled(96), 3)
        self.branch3x3dbl_3 = Conv(make, scaled(96), scaled(96), 3)
        self.pool = avg_pool(make, count_padding=True)
        self.branch_pool = Conv(make, n_in, scaled(n_pool))


class BlockB(Branches):
    """The first reduction: 3×3; two of 3×3; maxima.

    Args:
        make: layers of the network's rank.
        n_in: channels of the input.
        stride: per axis.
        scaled: see `Scaled`.
    """

    branches = (
        ("branch3x3",),
        ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"),
        ("pool",),
    )

    def __init__(self, make: Layers, n_in: int, stride: Axes, scaled: Scaled) -> None:
        super().__init__()
        self.channels = scaled(384) + scaled(96) + n_in
        self.branch3x3 = Conv(make, n_in, scaled(384), 3, stride, valid=True)
        self.branch3x3dbl_1 = Conv(make, n_in, scaled(64))
        self.branch3x3dbl_2 = Conv(make, scaled(64), scaled(96), 3)
        self.branch3x3dbl_3 = Conv(make, scaled(96), scaled(96), 3, stride, valid=True)
        self.pool = max_pool(make, stride)


class BlockC(Branches):
    """1×1; 7×7 as 1×7 and 7×1; that twice; means.

    Args:
        make: layers of the network's rank.
        n_in: channels of the input.
        width: published channels inside the branches of 7×7.
        scaled: see `Scaled`.
    """

    branches = (
        ("branch1x1",),
        ("branch7x7_1", "branch7x7_2", "branch7x7_3"),
        tuple(f"branch7x7dbl_{number}" for number in range(1, 6)),
        ("pool", "branch_pool"),
    )

    def __init__(self, make: Layers, n_in: int, width: int, scaled: Scaled) -> None:
        super().__init__()
        inner, outer = scaled(width), scaled(192)
        self.channels = 4 * outer
        self.branch1x1 = Conv(make, n_in, outer)
        self.branch7x7_1 = Conv(make, n_in, inner)
        self.branch7x7_2 = Conv(make, inner, inner, (1, 7))
        self.branch7x7_3 = Conv(make, inner, outer, (7, 1))
        self.branch7x7dbl_1 = Conv(make, n_in, inner)
        self.branch7x7dbl_2 = Conv(make, inner, inner, (7, 1))
        self.branch7x7dbl_3 = Conv(make, inner, inner, (1, 7))
        self.branch7x7dbl_4 = Conv(make, inner, inner, (7, 1))
        self.branch7x7dbl_5 = Conv(make, inner, outer, (1, 7))
        self.pool = avg_pool(make, count_padding=True)
        self.branch_pool = Conv(make, n_in, outer)


class BlockD(Branches):
    """The second reduction: 3×3; 7×7 and 3×3; maxima.

    Args:
        make: layers of the network's rank.
        n_in: channels of the input.
        stride: per axis.
        scaled: see `Scaled`.
    """

    branches = (
        ("branch3x3_1", "branch3x3_2"),
        ("branch7x7x3_1", "branch7x7x3_2", "branch7x7x3_3", "branch7x7x3_4"),
        ("pool",),
    )

    def __init__(self, make: Layers, n_in: int, stride: Axes, scaled: Scaled) -> None:
        super().__init__()
        inner = scaled(192)
        self.channels = scaled(320) + inner + n_in
        self.branch3x3_1 = Conv(make, n_in, inner)
        self.branch3x3_2 = Conv(make, inner, scaled(320), 3, stride, valid=True)
        self.branch7x7x3_1 = Conv(make, n_in, inner)
        self.branch7x7x3_2 = Conv(make, inner, inner, (1, 7))
        self.branch7x7x3_3 = Conv(make, inner, inner, (7, 1))
        self.branch7x7x3_4 = Conv(make, inner, inner, 3, stride, valid=True)
        self.pool = max_pool(make, stride)


class BlockE(Branches):
    """1×1; 1×3 beside 3×1; 3×3 and then the two; means.

    Args:
        make: layers of the network's rank.
        n_in: channels of the input.
        scaled: see `Scaled`.
    """

    branches = (
        ("branch1x1",),
        ("branch3x3_1", ("branch3x3_2a", "branch3x3_2b")),
        ("branch3x3dbl_1", "branch3x3dbl_2", ("branch3x3dbl_3a", "branch3x3dbl_3b")),
        ("pool", "branch_pool"),
    )

    def __init__(self, make: Layers, n_in: int, scaled: Scaled) -> None:
        super().__init__()
        inner = scaled(384)
        self.channels = scaled(320) + 4 * inner + scaled(192)
        self.branch1x1 = Conv(make, n_in, scaled(320))
        self.branch3x3_1 = Conv(make, n_in, inner)
        self.branch3x3_2a = Conv(make, inner, inner, (1, 3))
        self.branch3x3_2b = Conv(make, inner, inner, (3, 1))
        self.branch3x3dbl_1 = Conv(make, n_in, scaled(448))
        self.branch3x3dbl_2 = Conv(make, scaled(448), inner, 3)
        self.branch3x3dbl_3a = Conv(make, inner, inner, (1, 3))
        self.branch3x3dbl_3b = Conv(make, inner, inner, (3, 1))
        self.pool = avg_pool(make, count_padding=True)
        self.branch_pool = Conv(make, n_in, scaled(192))


class InceptionV3(InceptionNetwork):
    """A network whose blocks look at their input at several scales at once."""

    head_name = "fc"
    stem_name = "Conv2d_1a_3x3.conv.weight"

    def __init__(self, options: NetworkOptions) -> None:
        super().__init__(options)
        make, scaled, strides = self.make, options.scaled, self.strides
        self.Conv2d_1a_3x3 = Conv(make, options.in_channels, scaled(32), 3, strides[0], valid=True)
        self.Conv2d_2a_3x3 = Conv(make, scaled(32), scaled(32), 3, valid=True)
        self.Conv2d_2b_3x3 = Conv(make, scaled(32), scaled(64), 3)
        self.maxpool1 = max_pool(make, strides[1])
        self.Conv2d_3b_1x1 = Conv(make, scaled(64), scaled(80))
        self.Conv2d_4a_3x3 = Conv(make, scaled(80), scaled(192), 3, valid=True)
        self.maxpool2 = max_pool(make, strides[2])
        self.Mixed_5b = BlockA(make, scaled(192), 32, scaled)
        self.Mixed_5c = BlockA(make, self.Mixed_5b.channels, 64, scaled)
        self.Mixed_5d = BlockA(make, self.Mixed_5c.channels, 64, scaled)
        self.Mixed_6a = BlockB(make, self.Mixed_5d.channels, strides[3], scaled)
        self.Mixed_6b = BlockC(make, self.Mixed_6a.channels, 128, scaled)
        self.Mixed_6c = BlockC(make, self.Mixed_6b.channels, 160, scaled)
        self.Mixed_6d = BlockC(make, self.Mixed_6c.channels, 160, scaled)
        self.Mixed_6e = BlockC(make, self.Mixed_6d.channels, 192, scaled)
        self.Mixed_7a = BlockD(make, self.Mixed_6e.channels, strides[4], scaled)
        self.Mixed_7b = BlockE(make, self.Mixed_7a.channels, scaled)
        self.Mixed_7c = BlockE(make, self.Mixed_7b.channels, scaled)
        self.finish(
            [
                ("Conv2d_2b_3x3", scaled(64), 1),
                ("Conv2d_4a_3x3", scaled(192), 2),
                ("Mixed_5d", self.Mixed_5d.channels, 3),
                ("Mixed_6e", self.Mixed_6e.channels, 4),
                ("Mixed_7c", self.Mixed_7c.channels, 5),
            ]
        )

    def is_head(self, key: str) -> bool:
        """Whether a parameter belongs to a head, of which published files have two."""
        return super().is_head(key) or key.startswith("AuxLogits.")
