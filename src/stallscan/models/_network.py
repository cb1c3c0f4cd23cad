"""What all networks of the zoo share: head, sizes, feature levels, initial weights."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from stallscan.errors import OptionError
from stallscan.models._layers import Axes, Layers, Steps, Window, shrink
from stallscan.models._stage import Blocks
from stallscan.models.options import NetworkOptions

PAPER_HIDDEN = 512
"""Units of the hidden layer of the winner's head."""


@dataclass(frozen=True, slots=True)
class FeatureInfo:
    """A level of features.

    Attributes:
        name: the module whose output it is, for `torch.nn.Module.get_submodule`.
        channels: of that output.
        reduction: how often it is smaller than the input, per axis.
    """

    name: str
    channels: int
    reduction: Axes


class Network(nn.Module):
    """A convolutional network for volumes, or its twin for images.

    A family sets the class attributes, builds its layers with `make`, and ends its constructor with
    `finish`.

    Attributes:
        windows: kernel and padding of its five reductions.
        head_name: where the head is, under torchvision's (timm's) name.
        has_twin: whether there is such a network for images.
        stem_name: parameter of the first convolution, which is fitted to the input's channels.
        options: what it was built with.
        num_features: channels that reach the head.
        feature_info: its levels of features, the last one being what `forward_features` returns.
        architecture: its name in the registry.
        pretrained: where its first weights came from, for model.json; empty if they are random.
    """

    windows: tuple[Window, ...]
    head_name: ClassVar[str]
    has_twin: ClassVar[bool] = True
    stem_name: str = "conv1.weight"
    architecture: str
    num_features: int
    feature_info: list[FeatureInfo]

    def __init__(self, options: NetworkOptions) -> None:
        super().__init__()
        self.options = options
        self.make = Layers(options.rank, options.depth_padding)
        self.strides = options.strides
        self.pretrained: dict[str, Any] = {}

    def finish(self, levels: Sequence[tuple[str, int, int]]) -> None:
        """Add the head and describe the features.

        Args:
            levels: name, channels and number of reductions before each level of features.
        """
        self.feature_info = []
        for name, channels, n_reductions in levels:
            reduction = [1] * self.options.rank
            for stride in self.strides[:n_reductions]:
                reduction = [a * b for a, b in zip(reduction, stride, strict=True)]
            self.feature_info.append(FeatureInfo(name, channels, tuple(reduction)))
        self.num_features = self.feature_info[-1].channels
        self.global_pool = self.make.global_pool(self.options.pool)
        self.dropout = nn.Dropout(
            self.options.dropout_rate if self.options.head == "linear" else 0.0
        )
        self._set_head(self._head(self.options))
        self.set_checkpointing(self.options.checkpointing)

    def _set_head(self, head: nn.Module) -> None:
        parent, _, name = self.head_name.rpartition(".")
        setattr(self.get_submodule(parent), name, head)

    def _head(self, options: NetworkOptions) -> nn.Module:
        """The layers after pooling."""
        n_classes = options.num_classes
        if n_classes == 0:
            return nn.Identity()
        if options.head == "linear":
            return nn.Linear(self.num_features, n_classes)
        return nn.Sequential(
            nn.Linear(self.num_features, PAPER_HIDDEN),
            nn.Sigmoid(),
            nn.Dropout(options.dropout_rate),
            nn.Linear(PAPER_HIDDEN, n_classes),
        )

    def init_weights(self) -> None:
        """Draw all weights from torch's generator, as the families' authors do."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Conv3d):
                self.init_conv(module)
            elif isinstance(module, _BatchNorm | nn.LayerNorm | nn.Linear):
                module.reset_parameters()

    def init_conv(self, module: nn.Conv2d | nn.Conv3d) -> None:
        """He et al. 2015, by the outputs."""
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)

    # --- Sizes ------------------------------------------------------------------------------

    def steps(self, axis: int) -> Steps:
        """What shrinks an axis: the reductions that have a stride there."""
        strides = [stride[axis] for stride in self.strides]
        steps = zip(self.windows, strides, strict=True)
        return [(window, stride) for window, stride in steps if stride > 1]

    def feature_size(self, size: Sequence[int]) -> Axes:
        """Extents of the last feature volume for an input of extents ``size``.

        Raises:
            OptionError: the input is too thin for the strides.
        """
        found = [
            shrink(extent, self.steps(axis))
            for axis, extent in enumerate(size[: self.options.rank])
        ]
        if len(size) != self.options.rank or min(found) < 1:
            least, axes = self.smallest_size(), ("z", "y", "x")[-self.options.rank :]
            raise OptionError(
                f"input is {times(size)}, allowed are {len(least)} axes ({', '.join(axes)}) of at "
                f"least {times(least)} for {type(self).__name__} with strides "
                f"{_strides(self.strides)}; resize the input, or lower the stride of the thin axis"
            )
        return tuple(found)

    def smallest_size(self) -> Axes:
        """Smallest extents that leave at least one voxel of features."""
        least = []
        for axis in range(self.options.rank):
            steps, extent = self.steps(axis), 1
            while shrink(extent, steps) < 1:
                extent += 1
            least.append(extent)
        return tuple(least)

    # --- Forward ----------------------------------------------------------------------------

    @abstractmethod
    def extract(self, x: Tensor) -> Tensor:
        """The family's layers up to the last feature volume."""

    def forward_features(self, x: Tensor) -> Tensor:
        """``(n, c, [z,] y, x)`` → the last feature volume, before pooling.

        Raises:
            OptionError: the input is too thin for the strides, or has another number of channels.
        """
        if x.ndim != self.options.rank + 2 or x.shape[1] != self.options.in_channels:
            raise OptionError(
                f"input has the shape {tuple(x.shape)}, needed are {self.options.rank + 2} axes, "
                f"the second with {self.options.in_channels} channels; give a batch (n, c, "
                f"{'z, ' if self.options.rank == 3 else ''}y, x), or set in_channels"
            )
        self.feature_size(x.shape[2:])
        return self.extract(x)

    def forward_head(self, x: Tensor, *, pre_logits: bool = False) -> Tensor:
        """Last feature volume → logits ``(n, num_classes)``, or the pooled features."""
        x = self.pooled(x)
        return x if pre_logits else self.head(self.dropout(x))

    def pooled(self, x: Tensor) -> Tensor:
        """Last feature volume → ``(n, num_features)``."""
        return torch.flatten(self.global_pool(x), 1)

    def forward(self, x: Tensor) -> Tensor:
        """``(n, c, [z,] y, x)`` float → logits ``(n, num_classes)``."""
        return self.forward_head(self.forward_features(x))

    # --- Changes ----------------------------------------------------------------------------

    @property
    def head(self) -> nn.Module:
        """The layers after pooling."""
        return self.get_submodule(self.head_name)

    @staticmethod
    def upgrade_keys(keys: Iterable[str]) -> dict[str, str]:
        """The present name of each parameter of a file, which may be an older one."""
        return {key: key for key in keys}

    def is_head(self, key: str) -> bool:
        """Whether a parameter belongs to the head."""
        return key.startswith(f"{self.head_name}.")

    def reset_classifier(
        self, num_classes: int, *, head: Literal["linear", "paper"] | None = None
    ) -> None:
        """A new, random head; the rest keeps its weights.

        Args:
            num_classes: logits; 0 leaves the pooled features.
            head: another kind than the present one.
        """
        kind = head if head is not None else self.options.head if num_classes else "linear"
        self.options = dataclasses.replace(self.options, num_classes=num_classes, head=kind)
        device = next(self.parameters())
        new = self._head(self.options).to(device.device, device.dtype)
        self.dropout.p = self.options.dropout_rate if kind == "linear" else 0.0
        self._set_head(new)

    def set_checkpointing(self, enabled: bool) -> None:
        """Compute the blocks twice instead of keeping their activations, or stop doing so."""
        for module in self.modules():
            if isinstance(module, Blocks):
                module.checkpointing = enabled


def times(size: Sequence[int]) -> str:
    """Extents for a message: 96×128×128."""
    return "×".join(map(str, size))


def _strides(strides: Sequence[Axes]) -> str:
    return ", ".join(times(stride) for stride in strides)
