"""Small 2D networks in the idioms that people use, for tests of `inflate_module`."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class Functional(nn.Module):
    """Functions for all that has no weights."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(8, 12, 3, padding="same", bias=False)
        self.bn = nn.BatchNorm2d(12)
        self.fc = nn.Linear(12, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(functional.relu(self.conv1(x)), 3, 2, padding=1)
        x = functional.silu(self.bn(self.conv2(x)), inplace=True)
        x = functional.avg_pool2d(x, 2, ceil_mode=True).mean((2, 3))
        return self.fc(functional.dropout(x, 0.5, self.training))


class BatchNormAct(nn.BatchNorm2d):
    """Batch normalisation with what comes after it, and a look at the input."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.drop = nn.Identity()
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        torch._assert(x.ndim == 4, f"expected four axes, got {x.ndim}")
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        bn_training = True if self.training else self.running_mean is None
        x = functional.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            bn_training,
            self.momentum,
            self.eps,
        )
        return self.act(self.drop(x))


class Squeeze(nn.Module):
    """Squeeze-and-excitation as in the authors' code."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Sequential(nn.Linear(channels, 3), nn.ReLU(), nn.Linear(3, channels))

    def forward(self, x: Tensor) -> Tensor:
        b, c, _, _ = x.size()
        gate = self.fc(functional.adaptive_avg_pool2d(x, 1).view(b, c)).sigmoid()
        return x * gate.view(b, c, 1, 1).expand_as(x)


class DropPath(nn.Module):
    """Stochastic depth for each sample."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if self.rate == 0.0 or not self.training:
            return x
        shape = (x.shape[0],) + (1,) * (x.ndim - 1)
        mask = torch.rand(shape, dtype=x.dtype, device=x.device) + (1 - self.rate)
        return x.div(1 - self.rate) * mask.floor_()


class Residual(nn.Module):
    """Residual blocks; the shortcut is padded with channels."""

    def __init__(self, rate: float = 0.0) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 7, 2, 3, bias=False)
        self.bn1 = BatchNormAct(8)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.conv2 = nn.Conv2d(8, 12, 3, 2, 1, groups=4, bias=False)
        self.bn2 = BatchNormAct(12)
        self.se = Squeeze(12)
        self.scale = nn.Parameter(torch.full((1, 12, 1, 1), 0.7))
        self.drop_path = DropPath(rate)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(12, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.bn1(self.conv1(x)))
        shortcut = functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2))
        out = self.drop_path(self.se(self.bn2(self.conv2(x))) * self.scale)
        out += shortcut
        return self.fc(self.avgpool(out).view(out.size(0), -1))


class Inception(nn.Module):
    """Branches with long kernels and pooling, joined."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, stride=2)
        self.bn = nn.BatchNorm2d(6, eps=0.001)
        self.long = nn.Sequential(
            nn.Conv2d(6, 5, (1, 7), padding=(0, 3)),
            nn.ReLU(),
            nn.Conv2d(5, 5, (7, 1), padding=(3, 0)),
        )
        self.pool = nn.Sequential(
            nn.AvgPool2d(3, 1, 1, count_include_pad=False), nn.Conv2d(6, 4, 1)
        )
        self.counted = nn.AvgPool2d(3, 1, 1)
        self.head = nn.Conv2d(15, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn(self.stem(x))
        x = torch.cat([self.long(x), self.pool(x), self.counted(x)], dim=1)
        x = self.head(x)
        return torch.flatten(functional.avg_pool2d(x, x.size()[2:]), 1)


class Mobile(nn.Module):
    """Depthwise, dilated and reflecting convolutions, and attention over neighbouring channels."""

    def __init__(self) -> None:
        super().__init__()
        self.expand = nn.Conv2d(3, 8, 1, 2)
        self.depthwise = nn.Conv2d(8, 8, 5, padding="same", groups=8, padding_mode="reflect")
        self.dilated = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=2)
        self.attention = nn.Conv1d(1, 1, 3, padding=1, bias=False)
        self.norm = nn.GroupNorm(2, 8)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Hardswish(), nn.Linear(8, 4))

    def forward(self, x: Tensor) -> Tensor:
        x = functional.hardswish(self.depthwise(self.expand(x)))
        x = self.norm(self.dilated(x))
        y = x.mean((-2, -1), keepdim=True).squeeze(-1).transpose(-1, -2)  # (n, 1, c)
        y = self.attention(y).transpose(-1, -2).unsqueeze(-1)
        x = x * torch.sigmoid(y)
        return self.classifier(x.flatten(2).mean(-1))


class StandardConv(nn.Conv2d):
    """A convolution with standardised weights."""

    def __init__(self, *sizes: int, padding: int = 0) -> None:
        super().__init__(*sizes, padding=padding)
        self.gain = nn.Parameter(torch.linspace(0.5, 1.5, self.out_channels).view(-1, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        weight = functional.batch_norm(
            self.weight.reshape(1, self.out_channels, -1),
            None,
            None,
            weight=self.gain.view(-1),
            training=True,
            momentum=0.0,
        ).reshape_as(self.weight)
        return functional.conv2d(x, weight, self.bias, self.stride, self.padding)


class Standardised(nn.Module):
    """Weight standardisation."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = StandardConv(3, 6, 3, 2, padding=1)
        self.conv2 = StandardConv(6, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(functional.gelu(self.conv1(x))).amax((2, 3))


class ChannelsLast(nn.Module):
    """As ConvNeXt: patches, layers over the last axis, a scale for each channel."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 4, 4)
        self.dwconv = nn.Conv2d(8, 8, 7, padding=3, groups=8)
        self.norm = nn.LayerNorm(8)
        self.mlp = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))
        self.gamma = nn.Parameter(torch.linspace(0.1, 1, 8))
        self.drop_path = DropPath(0.3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y = self.norm(self.dwconv(x).permute(0, 2, 3, 1))
        y = self.drop_path(self.gamma * self.mlp(y))
        return (x + y.permute(0, 3, 1, 2)).mean([-2, -1])


class Shuffle(nn.Module):
    """Channels split, shuffled and weighed."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, 2, 1)
        self.branch = nn.Conv2d(4, 4, 3, 1, 1)
        self.fc = nn.Linear(4, 8)

    def forward(self, x: Tensor) -> Tensor:
        left, right = self.conv(x).chunk(2, dim=1)
        x = torch.cat((left, self.branch(right)), 1)
        b, c, h, w = x.shape
        x = x.view(b, 2, c // 2, h, w).transpose(1, 2).contiguous().view(b, c, h, w)
        parts = torch.stack(torch.split(x, [4, 4], 1), dim=1)  # (n, 2, 4, y, x)
        weights = self.fc(parts.sum(1).mean((2, 3))).view(b, 2, 4).softmax(1)
        x = (parts * weights[:, :, :, None, None]).sum(dim=1)
        x = torch.cat([x, x.max(dim=1, keepdim=True)[0]], 1)
        return x.flatten(2).mean(2)


class SamePadding(nn.Conv2d):
    """TensorFlow's padding, which follows from the extents."""

    def forward(self, x: Tensor) -> Tensor:
        pads = []
        for extent, kernel, stride in zip(
            x.size()[-2:], self.kernel_size, self.stride, strict=True
        ):
            total = max((math.ceil(extent / stride) - 1) * stride + kernel - extent, 0)
            pads = [total // 2, total - total // 2, *pads]
        x = functional.pad(x, pads)
        return functional.conv2d(x, self.weight, self.bias, self.stride, 0, self.dilation)


class Blur(nn.Module):
    """Blurred downsampling with a kernel that is no parameter."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        row = torch.tensor([1.0, 2.0, 1.0]) / 4
        kernel = torch.outer(row, row).expand(channels, 1, 3, 3).clone()
        self.register_buffer("kernel", kernel, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.pad(x, (1, 1, 1, 1), mode="reflect")
        return functional.conv2d(x, self.kernel, stride=2, groups=x.shape[1])


class UNet(nn.Module):
    """Down and up again, with what the sizes need; crops and padding of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(SamePadding(3, 6, 3, 2), nn.InstanceNorm2d(6, affine=True))
        self.deeper = nn.Sequential(nn.ZeroPad2d(1), nn.Conv2d(6, 6, 3, 2), nn.PReLU(6), Blur(6))
        self.up = nn.Upsample(scale_factor=2, mode="bilinear")
        self.out = nn.Conv2d(15, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        first = self.down(x)
        y = self.up(self.deeper(first))
        dy, dx = first.size(2) - y.size(2), first.size(3) - y.size(3)
        y = functional.pad(y, [dx // 2, dx - dx // 2, dy // 2, dy - dy // 2])
        y = torch.cat([first, y], 1)
        y = functional.interpolate(y, size=x.shape[2:], mode="nearest")
        return self.out(torch.cat([y, x], 1))[:, :, 1:, 1:]


class Trunk(nn.Module):
    """Layers of all kinds that pool no more than a window."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 7, 2, 3, bias=False)
        self.bn1 = BatchNormAct(8)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.dilated = nn.Conv2d(8, 8, 3, 1, 2, dilation=2, groups=8)
        self.patches = nn.Conv2d(8, 8, 2, 2)
        self.valid = nn.Conv2d(8, 8, 3, padding_mode="replicate")
        self.rest = nn.Sequential(
            SamePadding(8, 8, 3, 2), nn.Dropout2d(0.3), nn.AvgPool2d(3, 1, 1), Blur(8)
        )
        self.unused = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.bn1(self.conv1(x)))
        return self.rest(functional.elu(self.valid(self.patches(self.dilated(x)))))


CLASSIFIERS = (Functional, Residual, Inception, Mobile, Standardised, ChannelsLast, Shuffle)
"""They pool all positions."""

NETWORKS = (*CLASSIFIERS, UNet, Trunk)


def network(kind: type[nn.Module], *options: float) -> nn.Module:
    """One of them in double precision, its norms away from the identity, in evaluation."""
    torch.manual_seed(0)
    made = kind(*options).double().eval()
    for name, tensor in (*made.named_parameters(), *made.named_buffers()):
        if tensor.ndim == 1 and name.endswith(("weight", "running_var")):
            nn.init.uniform_(tensor, 0.5, 1.5)
        elif name.endswith(("bias", "running_mean")):
            nn.init.normal_(tensor, std=0.2)
    return made
