"""Rules for what makes one value of many: means, extremes, softmax, matrices, norms.

What would not give the 2D module on a still clip, as a sum over positions, is refused.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from stallscan.models.conversion.axes import KEEP_CHANNELS, settled
from stallscan.models.conversion.known import Known, Stand
from stallscan.models.conversion.recorder import NO_TRANSFORMERS, Recorder, Rule

# --- Reductions -----------------------------------------------------------------------------------


class Extremes(NamedTuple):
    """What torch.max and torch.min return; over positions they have no indices here."""

    values: Stand
    indices: Stand | None


def reduction(target: Callable[..., Any], *, counts: bool = False) -> Rule:
    """One value of many; ``counts`` where equal values add up, as in a sum."""

    def rule(
        trace: Recorder, input: Stand, dim: Any = None, keepdim: bool = False, **how: Any
    ) -> Stand:
        known = input.known
        dims = _dims(known, how.pop("axis", dim))
        if counts and any(known.axes[one] in "ytf" for one in dims):
            trace.refuse("it adds up over positions, of which a volume has more", "use a mean")
        if len(dims) == len(known.axes) and not keepdim:
            return trace.emit(target, input, **how, known=Known("", ()))
        deep, left = known.deep_axes(dims), _reduced(known, dims, keepdim)
        return settled(trace, trace.emit(target, input, deep, keepdim=keepdim, **how, known=left))

    return rule


def variance(target: Callable[..., Any], *, with_mean: bool) -> Rule:
    """A variance or deviation, which over positions must be that of the whole population."""

    def rule(
        trace: Recorder,
        input: Stand,
        dim: Any = None,
        unbiased: bool = True,
        keepdim: bool = False,
        *,
        correction: int | None = None,
    ) -> Any:
        known = input.known
        dims = _dims(known, dim)
        correction = int(unbiased) if correction is None else correction
        if correction and any(known.axes[one] in "ytf" for one in dims):
            trace.refuse("it counts positions, of which a volume has more", "use correction=0")
        left = _reduced(known, dims, keepdim)
        how = {"correction": correction, "keepdim": keepdim}
        x = trace.emit(target, input, known.deep_axes(dims), **how, known=left)
        return _pair(trace, x) if with_mean else settled(trace, x)

    return rule


def extreme(
    target: Callable[..., Any], values: Callable[..., Any], of_two: Callable[..., Any]
) -> Rule:
    """torch.max or torch.min: over all, over one axis, or of two tensors."""

    def rule(trace: Recorder, input: Stand, dim: Any = None, keepdim: bool = False) -> Any:
        known = input.known
        if dim is None:
            return reduction(target)(trace, input)
        if not isinstance(dim, int):
            return trace.rules[of_two](trace, input, dim)
        if known.axes[dim] != ".":
            return Extremes(reduction(values)(trace, input, dim, keepdim), None)
        left = _reduced(known, [known.axis(dim)], keepdim)
        x = trace.emit(target, input, known.deep_axis(dim), keepdim=keepdim, known=left)
        return Extremes(*_pair(trace, x))

    return rule


def _pair(trace: Recorder, x: Stand) -> tuple[Stand, Stand]:
    """The two tensors that a call returns."""
    first, second = (trace.emit(operator.getitem, x, one, known=x.known) for one in (0, 1))
    return settled(trace, first), settled(trace, second)


def _dims(known: Known, dim: Any) -> list[int]:
    """Axes counted from the front; all where none is named."""
    dims = dim if isinstance(dim, Sequence) else () if dim is None else (dim,)
    return [known.axis(one) for one in dims] or list(range(len(known.axes)))


def _reduced(known: Known, dims: Sequence[int], keepdim: bool) -> Known:
    if not keepdim:
        return known.without(dims)
    pairs = list(enumerate(zip(known.axes, known.sizes, strict=True)))
    axes = "".join(
        "." if axis in dims and letter in "tf" else letter for axis, (letter, _) in pairs
    )
    return known.made(axes, tuple(1 if axis in dims else extent for axis, (_, extent) in pairs))


# --- Along channels -------------------------------------------------------------------------------


def along(target: Any, default: int | None = None) -> Rule:
    """What acts along channels, as a softmax."""

    def rule(
        trace: Recorder, input: Stand, dim: int | None = default, *others: Any, **how: Any
    ) -> Any:
        known = input.known
        if dim is None or known.axes[dim] != ".":
            trace.refuse("it acts along positions, or does not say along which axis")
        axis, changed = known.axis(dim), known.same()
        if target is functional.glu:
            extent = known.sizes[axis]
            changed = known.with_size(axis, None if extent is None else extent // 2)
        return trace.emit(target, input, *others, dim=known.deep_axis(dim), **how, known=changed)

    return rule


def along_layer(target: Any) -> Rule:
    """The layer that does so."""

    def rule(trace: Recorder, layer: Any, x: Stand) -> Any:
        return along(target)(trace, x, layer.dim)

    return rule


# --- Norms ----------------------------------------------------------------------------------------


def channelwise(target: Any) -> Rule:
    """A function that takes the second axis for channels, whatever comes behind it."""

    def rule(trace: Recorder, input: Stand, *others: Any, **how: Any) -> Stand:
        _require_channels(trace, input)
        return trace.emit(target, input, *others, **how, known=input.known.same())

    return rule


def channelwise_layer(trace: Recorder, layer: nn.Module, x: Stand) -> Stand:
    """A layer that does so."""
    _require_channels(trace, x)
    return trace.layer(layer, x, x.known.same())


def norm_layer(kind: type[nn.BatchNorm3d] | type[nn.InstanceNorm3d]) -> Rule:
    """The layer for volumes, with the parameters and buffers of the one for pictures."""

    def rule(trace: Recorder, layer: Any, x: Stand) -> Stand:
        _require_channels(trace, x, layer.num_features)
        if isinstance(layer, nn.SyncBatchNorm):
            return trace.layer(layer, x, x.known.same())
        options = (layer.eps, layer.momentum, layer.affine, layer.track_running_stats)
        made = kind(layer.num_features, *options, device="meta")
        for held in ("_parameters", "_buffers"):
            own, given = getattr(made, held), getattr(layer, held)
            own.update({name: given[name] for name in own})
        return trace.layer(made, x, x.known.same())

    return rule


def batch_norm(
    trace: Recorder,
    input: Stand,
    running_mean: Stand | None,
    running_var: Stand | None,
    weight: Stand | None = None,
    bias: Stand | None = None,
    training: bool = False,
    **how: Any,
) -> Any:
    """The function; a layer where a subclass of nn.BatchNorm2d calls it with what is its own."""
    owner, given = trace.module, (running_mean, running_var, weight, bias)
    own = {**owner._parameters, **owner._buffers}
    names = ("running_mean", "running_var", "weight", "bias")
    is_own = isinstance(owner, _BatchNorm) and all(
        own.get(name) is (None if one is None else one.known.constant)
        for name, one in zip(names, given, strict=True)
    )
    if is_own and bool(training) == (trace.training or running_mean is None):
        return norm_layer(nn.BatchNorm3d)(trace, owner, input)
    return channelwise(functional.batch_norm)(trace, input, *given, training=training, **how)


def _require_channels(trace: Recorder, x: Stand, n_channels: int | None = None) -> None:
    known = x.known
    if not (known.is_picture or (known.is_flat and len(known.axes) > 1)):
        trace.refuse("its input is neither a picture (n, c, y, x) nor pooled to (n, c)")
    if n_channels is not None and known.sizes[1] not in (None, n_channels):
        trace.refuse(f"it takes {n_channels} channels and gets {known.sizes[1]}", KEEP_CHANNELS)


# --- The last axis --------------------------------------------------------------------------------


def linear(trace: Recorder, input: Stand, weight: Stand, bias: Stand | None = None) -> Stand:
    """A matrix for the last axis, which must not hold positions."""
    _require_last(trace, input)
    known = input.known.with_size(len(input.known.axes) - 1, trace.shape(weight)[0])
    return trace.emit(functional.linear, input, weight, bias, known=known)


def linear_layer(trace: Recorder, layer: nn.Linear, x: Stand) -> Stand:
    """The layer."""
    _require_last(trace, x)
    return trace.layer(layer, x, x.known.with_size(len(x.known.axes) - 1, layer.out_features))


def last_norm(target: Any) -> Rule:
    """A norm over the last axis."""

    def rule(
        trace: Recorder, input: Stand, normalized_shape: Any, *others: Any, **how: Any
    ) -> Stand:
        _require_last(trace, input, normalized_shape)
        known = input.known.same()
        return trace.emit(target, input, normalized_shape, *others, **how, known=known)

    return rule


def last_norm_layer(trace: Recorder, layer: Any, x: Stand) -> Stand:
    """The layer."""
    _require_last(trace, x, layer.normalized_shape)
    return trace.layer(layer, x, x.known.same())


def _require_last(trace: Recorder, x: Stand, shape: Sequence[int] = (0,)) -> None:
    letter = x.known.axes[-1:]
    if letter == "f":
        trace.refuse(
            "it has weights for each position of a picture of one size, which a volume is not",
            "pool to one position before it (nn.AdaptiveAvgPool2d(1)) and train a new head",
        )
    if letter != "." or len(shape) > 1:
        trace.refuse("it has weights for each position", NO_TRANSFORMERS)


# --- Pooled features ------------------------------------------------------------------------------


def matmul(trace: Recorder, input: Stand, other: Stand) -> Stand:
    """A product of matrices without positions."""
    ranks = [len(each.known.axes) for each in (input, other)]
    if not (input.known.is_flat and other.known.is_flat and min(ranks) > 1):
        trace.refuse("it sums over positions, as attention does", NO_TRANSFORMERS)
    axes = "." * max(ranks)
    return trace.emit(torch.matmul, input, other, known=Known(axes, (None,) * len(axes)))


def conv1d(trace: Recorder, input: Stand, weight: Stand, *others: Any, **how: Any) -> Stand:
    """Over pooled channels, as efficient channel attention does."""
    known = _of_conv1d(trace, input, trace.shape(weight)[0])
    return trace.emit(torch.conv1d, input, weight, *others, **how, known=known)


def conv1d_layer(trace: Recorder, layer: nn.Conv1d, x: Stand) -> Stand:
    """The layer."""
    return trace.layer(layer, x, _of_conv1d(trace, x, layer.out_channels))


def _of_conv1d(trace: Recorder, x: Stand, channels: int) -> Known:
    if x.known.axes != "...":
        trace.refuse("its input is not pooled to (n, 1, c)")
    return x.known.made("...", (x.known.sizes[0], channels, None))


SUMS: Mapping[Any, Rule] = {
    **{
        key: reduction(target, counts=target is torch.sum)
        for target in (torch.mean, torch.amax, torch.amin, torch.sum)
        for key in (target, target.__name__)
    },
    **{
        key: variance(target, with_mean="mean" in target.__name__)
        for target in (torch.var, torch.std, torch.var_mean, torch.std_mean)
        for key in (target, target.__name__)
    },
    **dict.fromkeys((torch.max, "max"), extreme(torch.max, torch.amax, torch.maximum)),
    **dict.fromkeys((torch.min, "min"), extreme(torch.min, torch.amin, torch.minimum)),
    **{
        target: along(target)
        for target in (
            *(torch.softmax, functional.softmax, "softmax"),
            *(torch.log_softmax, functional.log_softmax, "log_softmax"),
        )
    },
    functional.normalize: along(functional.normalize, 1),
    functional.glu: along(functional.glu, -1),
    nn.Softmax: along_layer(functional.softmax),
    nn.LogSoftmax: along_layer(functional.log_softmax),
    nn.GLU: along_layer(functional.glu),
    functional.batch_norm: batch_norm,
    **{
        target: channelwise(target)
        for target in (
            *(functional.instance_norm, functional.group_norm, functional.local_response_norm),
            *(torch.prelu, torch.channel_shuffle),
        )
    },
    **dict.fromkeys(
        (nn.GroupNorm, nn.BatchNorm1d, nn.PReLU, nn.LocalResponseNorm, nn.ChannelShuffle),
        channelwise_layer,
    ),
    nn.FeatureAlphaDropout: channelwise_layer,
    **dict.fromkeys((nn.BatchNorm2d, nn.SyncBatchNorm), norm_layer(nn.BatchNorm3d)),
    nn.InstanceNorm2d: norm_layer(nn.InstanceNorm3d),
    functional.linear: linear,
    nn.Linear: linear_layer,
    **{target: last_norm(target) for target in (functional.layer_norm, functional.rms_norm)},
    **dict.fromkeys((nn.LayerNorm, nn.RMSNorm), last_norm_layer),
    **dict.fromkeys((torch.matmul, torch.bmm, operator.matmul, "matmul", "bmm"), matmul),
    torch.conv1d: conv1d,
    nn.Conv1d: conv1d_layer,
}
"""By function, by the name of a tensor's method, and by class of torch's layers."""
