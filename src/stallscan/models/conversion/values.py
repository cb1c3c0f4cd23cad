"""Rules for what treats each value by itself: arithmetic, activations, types, dropout."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.fx.node import map_aggregate
from torch.nn import functional

from stallscan.models.conversion.known import Known, Stand
from stallscan.models.conversion.recorder import NO_TRANSFORMERS, Recorder, Rule

# Functions and methods, with and without the underscore of "in place".
ARITHMETIC = (
    *("abs", "add", "addcdiv", "addcmul", "bernoulli", "bitwise_and", "bitwise_not", "bitwise_or"),
    *("ceil", "clamp", "clamp_max", "clamp_min", "clip", "clone", "cos", "cosh", "detach", "div"),
    *("divide", "eq", "erf", "exp", "exp2", "expm1", "fill", "floor", "floor_divide", "fmod"),
    *("full_like", "ge", "gt", "isfinite", "isnan", "le", "lerp", "log", "log10", "log1p", "log2"),
    *("logical_and", "logical_not", "logical_or", "logit", "lt", "masked_fill", "maximum"),
    *("minimum", "mul", "multiply", "nan_to_num", "ne", "neg", "negative", "normal", "ones_like"),
    *("pow", "rand_like", "randn_like", "reciprocal", "remainder", "round", "rsqrt", "rsub"),
    *("sign", "sin", "sinh", "sqrt", "square", "sub", "subtract", "tan", "true_divide", "trunc"),
    *("uniform", "where", "zero", "zeros_like"),
)
ACTIVATIONS = (
    *("celu", "elu", "gelu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu"),
    *("logsigmoid", "mish", "relu", "relu6", "selu", "sigmoid", "silu", "softplus", "softshrink"),
    *("softsign", "tanh", "tanhshrink", "threshold"),
)
OPERATORS = (
    *("abs", "add", "and_", "eq", "floordiv", "ge", "gt", "invert", "le", "lt", "mod", "mul", "ne"),
    *("neg", "or_", "pos", "pow", "sub", "truediv"),
)
CASTS = (
    "bfloat16",
    "contiguous",
    "cpu",
    "cuda",
    "double",
    "float",
    "half",
    "to",
    "type",
    "type_as",
)
"""Methods that leave the values as they are."""

LAYERS = (
    *(nn.CELU, nn.ELU, nn.GELU, nn.Hardshrink, nn.Hardsigmoid, nn.Hardswish, nn.Hardtanh),
    *(nn.Identity, nn.LeakyReLU, nn.LogSigmoid, nn.Mish, nn.ReLU, nn.ReLU6, nn.RReLU, nn.SELU),
    *(nn.Sigmoid, nn.SiLU, nn.Softplus, nn.Softshrink, nn.Softsign, nn.Tanh, nn.Tanhshrink),
    *(nn.Threshold, nn.Dropout, nn.AlphaDropout),
)

FORMATS = {torch.channels_last: torch.channels_last_3d}
"""Memory formats of volumes."""

# --- Arithmetic -----------------------------------------------------------------------------------


def elementwise(target: Any) -> Rule:
    """Each value by itself, or with the one at its place in other tensors."""

    def rule(trace: Recorder, *arguments: Any, **how: Any) -> Stand:
        stands: list[Stand] = []
        _each_stand((arguments, how), stands.append)
        computed = [stand for stand in stands if stand.known.constant is None] or stands
        main = max(computed, key=lambda stand: len(stand.known.axes)).known

        def beside(x: Stand) -> Stand:
            return _beside(trace, x, main)

        arguments, how = _each_stand((arguments, how), beside)
        known = main
        for stand in stands:
            known = _broadcast(known, stand.known)
        raw = all(stand.known.raw or stand.known.constant is not None for stand in stands)
        return trace.emit(target, *arguments, **how, known=replace(known, raw=raw))

    return rule


def expand_as(trace: Recorder, input: Stand, other: Stand) -> Stand:
    """Repeated to the shape of another tensor."""
    x = _beside(trace, input, other.known)
    return trace.emit(
        "expand_as", x, other, known=other.known.made(other.known.axes, other.known.sizes)
    )


def cast(target: str) -> Rule:
    """Another type, device or memory format."""

    def rule(trace: Recorder, input: Stand, *others: Any, **how: Any) -> Stand:
        if how.get("memory_format") in FORMATS:
            how["memory_format"] = FORMATS[how["memory_format"]]
        return trace.emit(target, input, *others, **how, known=input.known)

    return rule


def _each_stand(arguments: Any, change: Callable[[Stand], Any]) -> Any:
    return map_aggregate(arguments, lambda one: change(one) if isinstance(one, Stand) else one)


def _beside(trace: Recorder, x: Stand, main: Known) -> Stand:
    """An operand, with an axis for z where it has one left of y."""
    known, rank = x.known, len(x.known.axes)
    if known.axes in (main.axes, "") and known.constant is None:
        return x
    if known.is_flat and main.is_flat:
        return x
    if _is_per_sample(known) and _is_like(known, main):
        return x
    if known.constant is None:
        trace.refuse("it takes tensors of different axes together")
    covered = main.axes[max(len(main.axes) - rank, 0) :]
    sizes = known.sizes[rank - len(covered) :]
    if rank > len(main.axes) or any(
        letter != "." and extent != 1 for letter, extent in zip(covered, sizes, strict=True)
    ):
        trace.refuse("it takes a parameter that has a value for each position", NO_TRANSFORMERS)
    if "y" not in covered[1:]:
        return x
    return trace.emit("unsqueeze", x, covered.index("y") - len(covered) - 1, known=known)


def _is_per_sample(known: Known) -> bool:
    """Whether it has one value for each sample, as stochastic depth does."""
    return known.axes[:1] == "." and all(extent == 1 for extent in known.sizes[1:])


def _is_like(a: Known, b: Known) -> bool:
    """Whether two have as many axes, in 2D and in 3D, and the same first one."""
    same_rank = len(a.axes) == len(b.axes) and ("y" in a.axes) == ("y" in b.axes)
    return same_rank and a.axes[:1] == b.axes[:1]


def _broadcast(a: Known, b: Known) -> Known:
    """Of the result of two tensors."""
    if len(b.axes) > len(a.axes):
        a, b = b, a
    sizes = list(a.sizes)
    for place in range(1, len(b.sizes) + 1):
        one, other = sizes[-place], b.sizes[-place]
        if one == 1 or (one is None and other != 1):
            sizes[-place] = other
    return Known(a.axes, tuple(sizes))


# --- Dropout and checks ---------------------------------------------------------------------------


def layer(trace: Recorder, layer: nn.Module, x: Stand) -> Stand:
    """A layer of torch's for any number of axes."""
    return trace.layer(layer, x, x.known.same())


def dropout(target: Callable[..., Any]) -> Rule:
    """Dropout by a function; what it is told of the mode is compared between the runs."""

    def rule(
        trace: Recorder, input: Stand, p: float = 0.5, training: bool = True, inplace: bool = False
    ) -> Stand:
        how = {"p": p, "training": bool(training), "inplace": inplace}
        return trace.emit(target, input, **how, known=input.known.same())

    return rule


def dropout2d_layer(trace: Recorder, layer: nn.Dropout2d, x: Stand) -> Stand:
    """The layer for whole channels."""
    if not x.known.is_picture:
        trace.refuse("its input is not a picture (n, c, y, x)", "use nn.Dropout")
    return trace.layer(nn.Dropout3d(layer.p, layer.inplace), x, x.known.same())


def checked(trace: Recorder, condition: Any, message: str) -> None:
    """An assertion about extents, which stays one."""
    trace.emit(torch._assert, condition, message, known=Known("", ()))


def _targets() -> set[Any]:
    targets: set[Any] = {getattr(operator, name) for name in OPERATORS}
    for name in (*ARITHMETIC, *ACTIVATIONS):
        for spelling in (name, f"{name}_"):
            places = [place for place in (torch, functional) if hasattr(place, spelling)]
            targets |= {getattr(place, spelling) for place in places}
            targets |= {spelling} if hasattr(torch.Tensor, spelling) else set()
    return targets


VALUES: Mapping[Any, Rule] = {
    **{target: elementwise(target) for target in _targets()},
    **{name: cast(name) for name in CASTS},
    "expand_as": expand_as,
    **dict.fromkeys(LAYERS, layer),
    **dict.fromkeys((functional.dropout, torch.dropout), dropout(functional.dropout)),
    functional.dropout2d: dropout(functional.dropout3d),
    functional.alpha_dropout: dropout(functional.alpha_dropout),
    functional.feature_alpha_dropout: dropout(functional.feature_alpha_dropout),
    nn.Dropout2d: dropout2d_layer,
    torch._assert: checked,
}
"""By function, by the name of a tensor's method, and by class of torch's layers."""
