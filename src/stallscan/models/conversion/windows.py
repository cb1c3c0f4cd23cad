"""Rules for what looks at a window of the picture: convolution, pooling, padding, resizing.

The depth does as y does: its kernel, stride, padding, dilation and target size are those of y. With
``keep_depth`` it keeps its slices: kernels are centred on every one of them, and all else works
within slices.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from stallscan.models.conversion.axes import KEEP_CHANNELS
from stallscan.models.conversion.known import Known, Number, Stand
from stallscan.models.conversion.recorder import Recorder, Rule

Sides = tuple[Any, Any]
"""What is added before and after an axis."""

# --- Convolution ----------------------------------------------------------------------------------


def conv2d(
    trace: Recorder,
    input: Stand,
    weight: Stand,
    bias: Stand | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
) -> Stand:
    """A convolution; a layer where a subclass of nn.Conv2d makes it with its own parameters."""
    known = require_picture(trace, input)
    if not isinstance(weight, Stand) or weight.known.constant is None:
        trace.refuse("its kernel depends on the input", "use kernels that are parameters")
    flat = weight.known.constant
    out_channels, in_channels = flat.shape[0], _fitting_channels(trace, known, flat, groups)
    taps, strides, dilations, sides = _windows(trace, flat, stride, padding, dilation)
    replicate = trace.inflation.depth_padding == "replicate"
    reach = dilations[0] * ((taps - 1) // 2)  # of the middle taps, which must not see zeros
    x = input
    if padding_mode == "zeros" and max(sides[0]) > (0 if replicate else reach):
        x = _pad(trace, x, (sides[0], (0, 0), (0, 0)), "replicate")
        sides[0] = (0, 0)
    if any(before != after for before, after in sides):
        x = _pad(trace, x, sides, "constant" if padding_mode == "zeros" else padding_mode)
        sides, padding_mode = [(0, 0)] * 3, "zeros"
    paddings = tuple(before for before, _ in sides)
    name, deep = trace.kernel(weight, in_channels, taps)
    same_size = tuple(flat.shape[2:]) == (1, 1) and not any(map(any, sides))
    extents = known.sizes[2:] if same_size else (None, None)  # a single position stays one
    known = known.made("..yx", (known.sizes[0], out_channels, *extents))
    owner = trace.module
    if not _is_own(trace, owner, name, bias):
        kernel = trace.found(name, deep)
        return trace.emit(
            *(functional.conv3d, x, kernel, bias, strides, paddings, dilations, groups), known=known
        )
    kind: Any = nn.Conv3d
    layer = kind(
        *(in_channels * groups, out_channels, tuple(deep.shape[2:]), strides, paddings, dilations),
        *(groups, bias is not None, padding_mode),
        device="meta",
    )
    layer._parameters.update(weight=deep, bias=owner._parameters["bias"])
    return trace.layer(layer, x, known)


def conv2d_layer(trace: Recorder, layer: nn.Conv2d, x: Stand) -> Stand:
    """torch's layer."""
    weight, bias = trace.parameter("weight"), trace.parameter("bias")
    assert weight is not None
    geometry = (layer.stride, layer.padding, layer.dilation, layer.groups, layer.padding_mode)
    return conv2d(trace, x, weight, bias, *geometry)


def _fitting_channels(trace: Recorder, known: Known, flat: Any, groups: int) -> int:
    """Channels for each group of a kernel; those of the input where that is the module's."""
    wanted, given = flat.shape[1] * groups, known.sizes[1]
    if given is None or given == wanted:
        return int(flat.shape[1])
    if known.raw and groups == 1:
        return given
    trace.refuse(
        f"it takes {wanted} channels and gets {given}",
        f"{KEEP_CHANNELS}, or give the module a first convolution without groups",
    )


def _windows(
    trace: Recorder, flat: Any, stride: Any, padding: Any, dilation: Any
) -> tuple[int, tuple[int, int, int], tuple[int, int, int], list[Sides]]:
    """Taps along z; and of z, y and x stride, dilation and padding."""
    keep = trace.inflation.keep_depth
    kernel, stride, dilation = tuple(flat.shape[2:]), pair(stride), pair(dilation)
    reach = [step * (extent - 1) for step, extent in zip(dilation, kernel, strict=True)]
    if isinstance(padding, str):
        sides = [(one // 2, -(-one // 2)) if padding == "same" else (0, 0) for one in reach]
    else:
        sides = [(one, one) for one in pair(padding)]
    taps, along_z = kernel[0], sides[0]
    if keep:
        taps = taps if taps % 2 else 1
        along_z = (dilation[0] * (taps // 2),) * 2
    strides = (1 if keep else stride[0], *stride)
    return taps, strides, (dilation[0], *dilation), [along_z, *sides]


def _is_own(trace: Recorder, owner: nn.Module, name: str, bias: Stand | None) -> bool:
    if not isinstance(owner, nn.Conv2d) or name != f"{trace.path}.weight":
        return False
    own = owner._parameters["bias"]
    return own is (None if bias is None else bias.known.constant)


# --- Pooling --------------------------------------------------------------------------------------


def max_pool2d(
    trace: Recorder,
    input: Stand,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Stand:
    """Maximum pooling."""
    if _is_all(trace, input, kernel_size):
        return adaptive_max_pool2d(trace, input, 1, return_indices)
    if return_indices:
        trace.refuse("it returns where the maxima were", "pool without return_indices")
    windows = (triple(trace, kernel_size, 1), triple(trace, stride or kernel_size, 1))
    return trace.emit(
        *(functional.max_pool3d, input, *windows),
        *(triple(trace, padding, 0), triple(trace, dilation, 1), ceil_mode),
        known=input.known.resized(),
    )


def avg_pool2d(
    trace: Recorder,
    input: Stand,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Stand:
    """Average pooling; its padding along z repeats the edge, as zeros would count as slices."""
    if _is_all(trace, input, kernel_size):
        return adaptive_avg_pool2d(trace, input, 1)
    kernels, strides = triple(trace, kernel_size, 1), triple(trace, stride or kernel_size, 1)
    how, known = (ceil_mode, count_include_pad, divisor_override), input.known.resized()
    if divisor_override is None and pair(padding) == (0, 0):
        return trace.emit(functional.avg_pool3d, input, kernels, strides, 0, ceil_mode, known=known)
    slices = trace.emit("flatten", input, 1, 2, known=known)  # (n, c·z, y, x)
    slices = trace.emit(
        functional.avg_pool2d, slices, kernels[1:], strides[1:], padding, *how, known=known
    )
    x = trace.emit("unflatten", slices, 1, (trace.size(input, 1), -1), known=known)
    if trace.inflation.keep_depth:
        return x
    x = _pad(trace, x, ((pair(padding)[0],) * 2, (0, 0), (0, 0)), "replicate")
    windows = ((kernels[0], 1, 1), (strides[0], 1, 1))
    return trace.emit(functional.avg_pool3d, x, *windows, 0, ceil_mode, known=known)


def adaptive_max_pool2d(
    trace: Recorder, input: Stand, output_size: Any, return_indices: bool = False
) -> Stand:
    """Maximum pooling to a size."""
    if return_indices:
        trace.refuse("it returns where the maxima were", "pool without return_indices")
    return _adaptive(trace, functional.adaptive_max_pool3d, input, output_size)


def adaptive_avg_pool2d(trace: Recorder, input: Stand, output_size: Any) -> Stand:
    """Average pooling to a size."""
    return _adaptive(trace, functional.adaptive_avg_pool3d, input, output_size)


def _adaptive(trace: Recorder, call: Callable[..., Any], x: Stand, output_size: Any) -> Stand:
    """To 1×1 the depth is pooled, too, even if it is to be kept."""
    known = require_picture(trace, x).resized()
    if pair(output_size) != (1, 1):
        return trace.emit(call, x, triple(trace, output_size, None), known=known)
    return trace.emit(call, x, 1, known=replace(known, sizes=(*known.sizes[:2], 1, 1), raw=False))


def _is_all(trace: Recorder, x: Stand, kernel_size: Any) -> bool:
    """Whether a window is the whole picture."""
    require_picture(trace, x)
    sizes = [one for one in pair(kernel_size) if isinstance(one, Number)]
    return [(one.extent, one.of) for one in sizes] == [("y", x.node), ("x", x.node)]


# --- Padding and resizing -------------------------------------------------------------------------


def pad(
    trace: Recorder, input: Stand, pad: Sequence[Any], mode: str = "constant", value: Any = None
) -> Stand:
    """Padding or cropping; constant padding repeats the first and last slice instead."""
    if input.known.is_flat:
        known = input.known.made(input.known.axes, (None,) * len(input.known.axes))
        return trace.emit(functional.pad, input, pad, mode, value, known=known)
    known = require_picture(trace, input)
    sides = [(pad[place], pad[place + 1]) for place in range(0, len(pad), 2)]
    sides += [(0, 0)] * (4 - len(sides))
    in_plane, beside = [sides[1], sides[0]], sides[2:]
    x = input
    if _any(beside):
        numbers = [one for side in beside for one in side]
        x = trace.emit(
            *(functional.pad, x, (*[0] * 6, *numbers), mode, value),
            known=known.made("..yx", (None, None, *known.sizes[2:])),
        )
    if not _any(in_plane):
        return x
    keep = trace.inflation.keep_depth
    along_z = (0, 0) if keep else tuple(trace.depth_of(one) for one in in_plane[0])
    if mode != "constant":
        return _pad(trace, x, (along_z, *in_plane), mode)
    if _any([along_z]):
        x = _pad(trace, x, (along_z, (0, 0), (0, 0)), "replicate")
    return _pad(trace, x, ((0, 0), *in_plane), mode, value)


def _any(sides: Sequence[Sides]) -> bool:
    """Whether something may be added."""
    return any(isinstance(one, Number) or one != 0 for side in sides for one in side)


def _pad(trace: Recorder, x: Stand, sides: Sequence[Sides], mode: str, value: Any = None) -> Stand:
    """Pad z, y and x."""
    numbers = tuple(one for side in reversed(sides) for one in side)
    return trace.emit(functional.pad, x, numbers, mode, value, known=x.known.resized())


def interpolate(
    trace: Recorder,
    input: Stand,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Stand:
    """Resizing."""
    known = require_picture(trace, input).resized()
    deep_mode = {"bilinear": "trilinear"}.get(mode, mode)
    if deep_mode not in ("nearest", "nearest-exact", "area", "trilinear") or antialias:
        trace.refuse(
            f"mode {mode!r}{' with antialias' if antialias else ''} has no counterpart for volumes",
            "use 'nearest', 'area' or 'bilinear', without antialias",
        )
    own_depth = trace.depth_of(trace.size(input, 2)) if size is not None else None
    return trace.emit(
        *(functional.interpolate, input),
        size=None if size is None else triple(trace, size, own_depth),
        scale_factor=None if scale_factor is None else triple(trace, scale_factor, 1),
        mode=deep_mode,
        align_corners=align_corners,
        recompute_scale_factor=recompute_scale_factor,
        known=known,
    )


# --- Of use to all --------------------------------------------------------------------------------


def pair(value: Any) -> tuple[Any, Any]:
    """Of y and x, from one number for both or one for each."""
    return (value[0], value[-1]) if isinstance(value, Sequence) else (value, value)


def triple(trace: Recorder, value: Any, kept: Any) -> tuple[Any, Any, Any]:
    """Of z, y and x; ``kept`` is z's where the depth is to stay, unless it is all of y."""
    y, x = pair(value)
    is_all = isinstance(y, Number) and y.extent == "y"
    return (trace.depth_of(y) if is_all or not trace.inflation.keep_depth else kept, y, x)


def require_picture(trace: Recorder, x: Any) -> Known:
    """Refuse what is not ``(n, c, y, x)``."""
    if not (isinstance(x, Stand) and x.known.is_picture):
        trace.refuse("its input is not a picture (n, c, y, x)")
    return x.known


def _of_layer(rule: Rule, *options: str, **fixed: Any) -> Rule:
    """A layer's rule, from that of the function which it calls with these of its attributes."""

    def layer_rule(trace: Recorder, layer: nn.Module, x: Stand) -> Any:
        return rule(trace, x, **{name: getattr(layer, name) for name in options}, **fixed)

    return layer_rule


def _pad_layer(mode: str) -> Rule:
    def layer_rule(trace: Recorder, layer: Any, x: Stand) -> Any:
        return pad(trace, x, layer.padding, mode, getattr(layer, "value", None))

    return layer_rule


def _upsample_layer(trace: Recorder, layer: nn.Upsample, x: Stand) -> Stand:
    recompute = getattr(layer, "recompute_scale_factor", None)
    how = (layer.size, layer.scale_factor, layer.mode, layer.align_corners, recompute)
    return interpolate(trace, x, *how)


_MAX = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
_AVG = (*_MAX[:3], "ceil_mode", "count_include_pad", "divisor_override")

WINDOWS: Mapping[Any, Rule] = {
    torch.conv2d: conv2d,
    nn.Conv2d: conv2d_layer,
    functional.max_pool2d: max_pool2d,
    torch.max_pool2d: max_pool2d,
    nn.MaxPool2d: _of_layer(max_pool2d, *_MAX),
    functional.avg_pool2d: avg_pool2d,
    nn.AvgPool2d: _of_layer(avg_pool2d, *_AVG),
    functional.adaptive_max_pool2d: adaptive_max_pool2d,
    nn.AdaptiveMaxPool2d: _of_layer(adaptive_max_pool2d, "output_size", "return_indices"),
    functional.adaptive_avg_pool2d: adaptive_avg_pool2d,
    nn.AdaptiveAvgPool2d: _of_layer(adaptive_avg_pool2d, "output_size"),
    functional.pad: pad,
    nn.ZeroPad2d: _pad_layer("constant"),
    nn.ConstantPad2d: _pad_layer("constant"),
    nn.ReflectionPad2d: _pad_layer("reflect"),
    nn.ReplicationPad2d: _pad_layer("replicate"),
    nn.CircularPad2d: _pad_layer("circular"),
    functional.interpolate: interpolate,
    nn.Upsample: _upsample_layer,
    nn.UpsamplingNearest2d: _upsample_layer,
    nn.UpsamplingBilinear2d: _upsample_layer,
}
"""Rules of functions and layers."""
