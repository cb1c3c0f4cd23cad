"""What every network of the zoo can be asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeGuard

from stallscan.errors import OptionError

N_REDUCTIONS = 5
"""Places at which a network of the paper's families shrinks its volume: the stem, the pooling after
it, and three between the stages."""

WIDEST = 64
"""Largest factor on the channel counts: thousands of times the parameters."""

_CHOICES = {
    "rank": (2, 3),
    "pool": ("avg", "max"),
    "head": ("linear", "paper"),
    "depth_padding": ("zeros", "replicate"),
    "checkpointing": (False, True),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkOptions:
    """Options of `stallscan.models.create_model`.

    Attributes:
        rank: 3 for volumes, 2 for the twin that images and ImageNet weights fit.
        in_channels: channels of the input.
        num_classes: logits; 0 leaves the pooled features.
        pool: global average, or maximum as the paper's heatmap networks have it (section 5).
        head: "linear", or the "paper": Dense 512, sigmoid, dropout, Dense, as the winner had it.
        dropout: probability before the last layer; None is 0 for the linear head and 0.5 for the
            paper's.
        stride: at each of the five reductions: a number, one per axis ``(z, y, x)``, or a list of
            five of those. Where an axis has stride 1, pooling leaves it alone. The default of the
            networks of videos is their authors'.
        depth_padding: what convolutions see before the first slice and after the last; with
            "replicate" and weights inflated by "average", a still clip is treated as the 2D network
            treats its image.
        width: factor on the channel counts.
        checkpointing: keep the blocks' inputs alone and compute each block again in the backward
            pass: less memory for 1.1 to 1.5 times the time.

    Raises:
        OptionError: a value outside what is allowed.
    """

    rank: Literal[2, 3] = 3
    in_channels: int = 3
    num_classes: int = 1
    pool: Literal["avg", "max"] = "avg"
    head: Literal["linear", "paper"] = "linear"
    dropout: float | None = None
    stride: int | Sequence[int | Sequence[int]] = 2
    depth_padding: Literal["zeros", "replicate"] = "zeros"
    width: float = 1.0
    checkpointing: bool = False

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            value = getattr(self, name)
            if type(value) is not type(allowed[0]) or value not in allowed:
                choices = " and ".join(map(repr, allowed))
                raise OptionError(f"{name} is {value!r}, allowed are {choices}; choose one")
        for name, least in (("in_channels", 1), ("num_classes", 0)):
            value = getattr(self, name)
            if not _is_count(value) or value < least:
                raise OptionError(f"{name} is {value!r}, allowed are whole numbers from {least}")
        if not _is_number(self.width) or not 0 < self.width <= WIDEST:
            raise OptionError(
                f"width is {self.width!r}, allowed are factors above 0, up to {WIDEST}"
            )
        if self.dropout is not None and not (_is_number(self.dropout) and 0 <= self.dropout < 1):
            raise OptionError(f"dropout is {self.dropout!r}, allowed are 0 up to, not with, 1")
        if self.rank == 2 and self.depth_padding != "zeros":
            raise OptionError(
                f"depth_padding is {self.depth_padding!r}, but an image (rank 2) has no depth; "
                "leave it out"
            )
        if self.num_classes == 0 and self.head != "linear":
            raise OptionError(f"head is {self.head!r}, but num_classes=0 leaves no head; drop one")
        _ = self.strides  # checks them

    @property
    def strides(self) -> tuple[tuple[int, ...], ...]:
        """Stride at each of the five reductions, per axis.

        Raises:
            OptionError: not a stride.
        """
        same_for_all = _is_count(self.stride) or (
            isinstance(self.stride, Sequence) and len(self.stride) == self.rank
        )
        each = [self.stride] * N_REDUCTIONS if same_for_all else self.stride
        if isinstance(each, Sequence) and len(each) == N_REDUCTIONS:
            axes = [[one] * self.rank if _is_count(one) else one for one in each]
            if all(_is_stride(one, self.rank) for one in axes):
                return tuple(tuple(one) for one in axes)  # type: ignore[arg-type]
        raise OptionError(
            f"stride is {self.stride!r}, allowed are a whole number from 1, {self.rank} of them "
            f"(one per axis), or a list of {N_REDUCTIONS} of those (one per reduction)"
        )

    @property
    def dropout_rate(self) -> float:
        """Dropout before the last layer, with the head's default filled in."""
        if self.dropout is not None:
            return self.dropout
        return 0.5 if self.head == "paper" else 0.0

    def scaled(self, channels: float) -> int:
        """A channel count of the published network, times the width, at least 1."""
        return max(1, round(channels * self.width))

    def differences(self, other: NetworkOptions) -> list[str]:
        """Names of the options in which two networks differ; checkpointing is no difference."""
        mine, theirs = (
            dataclasses.replace(each, stride=each.strides, dropout=each.dropout_rate)
            for each in (self, other)
        )
        return [
            field.name
            for field in dataclasses.fields(self)
            if field.name != "checkpointing"
            and getattr(mine, field.name) != getattr(theirs, field.name)
        ]

    def twin(self) -> NetworkOptions:
        """The 2D twin's options: the same network for one slice."""
        if self.rank == 2:
            return self
        in_plane = [one[1:] for one in self.strides]
        return dataclasses.replace(self, rank=2, stride=in_plane, depth_padding="zeros")


def without_first_weights(options: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `create_model` for a network whose weights come from elsewhere."""
    return {key: value for key, value in options.items() if key not in ("pretrained", "inflate")}


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_stride(value: object, rank: int) -> TypeGuard[Sequence[int]]:
    return (
        isinstance(value, Sequence)
        and len(value) == rank
        and all(_is_count(one) and one >= 1 for one in value)
    )
