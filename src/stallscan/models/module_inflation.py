"""Any 2D PyTorch module, one that this project did not write, as a 3D one.

The module is run on stand-ins for tensors (`conversion.trace`); call by call the rules of
`conversion.rules` write down what to do with volumes, and the graph becomes a module whose
parameters carry the old names (`conversion.graph`). What has no rule is refused.
"""

from __future__ import annotations

import copy
import inspect
from typing import Literal

import torch
from torch import nn
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize

from stallscan.errors import OptionError
from stallscan.models._network import Network
from stallscan.models.conversion.graph import assemble, join
from stallscan.models.conversion.known import Inflation, Known, Parts
from stallscan.models.conversion.rules import RULES
from stallscan.models.conversion.trace import Trace
from stallscan.models.inflation import LoadReport, Mode, check_mode


def inflate_module(
    module: nn.Module,
    *,
    mode: Mode = "center",
    in_channels: int | None = None,
    keep_depth: bool = False,
    depth_padding: Literal["zeros", "replicate"] = "zeros",
) -> tuple[nn.Module, LoadReport]:
    """A 3D module with the weights of a 2D one.

    The depth does as y does: a kernel of 3×3 becomes one of 3×3×3, one of 1×7 (y, x) becomes
    1×1×7, one of 7×1 becomes 7×7×1; its stride, padding, dilation and pooling are those of y. With
    ``keep_depth`` it keeps all of its slices up to the global pooling, for thin volumes.

    With "center" the result is the 2D module on a still clip, and with ``keep_depth`` slice by
    slice on any clip, as far as nothing pools all positions. "average" is it on a still clip with
    ``depth_padding="replicate"``. Explicit and average-pooling padding repeats the edge slice along
    z, since slices of zeros would not be the 2D module on a still clip.

    The module is traced by torch.fx, in training and in evaluation: torch's layers become their
    counterparts, code of other people is followed. What is not known to mean the same in 3D is
    refused. A kernel that ``forward`` computes from parameters, as weight standardisation does, is
    computed once and is an ordinary kernel from then on.

    Args:
        module: takes ``(n, c, y, x)``; stays as it is.
        mode: how kernels are spread over the depth, see `inflate_kernel`.
        in_channels: of the volumes; None keeps those of the pictures. The first kernels are fitted
            as by `fit_channels`, which is exact for a grey picture.
        keep_depth: no stride and no pooling along z; an even kernel then has one slice.
        depth_padding: what convolutions that pad with zeros see beyond the first and last slice;
            where a middle tap would look there it is the edge slice in any case.

    Returns:
        The 3D module, which takes ``(n, c, z, y, x)``, on the device and of the type of the 2D one,
        and a report that names the 2D one's parameters and buffers. ``unexpected`` are those that
        forward does not use, or only to compute a kernel; the 3D module has the others.

    Raises:
        OptionError: a value that is not allowed, or a layer or function that cannot be converted,
            with its name and what to do.

    Example:
        >>> picture = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU())
        >>> volume, report = inflate_module(picture, in_channels=1)
        >>> volume(torch.zeros(2, 1, 5, 32, 32)).shape
        torch.Size([2, 8, 5, 32, 32])
        >>> report.inflated, report.loaded
        (('0.weight',), ('0.bias',))
    """
    _check(module, mode, in_channels, depth_padding)
    inflation = Inflation(
        mode=mode, in_channels=in_channels, keep_depth=keep_depth, depth_padding=depth_padding
    )
    source = copy.deepcopy(module)
    flags = {name: each.training for name, each in source.named_modules(remove_duplicate=False)}
    given = Known("..yx", (None, in_channels, None, None), raw=True)
    evaluation = Trace(RULES, inflation, source, training=False)
    evaluation.run(given)
    training = Trace(RULES, inflation, source, training=True, parts=evaluation.parts)
    parts = evaluation.parts
    try:
        training.run(given)
    except OptionError as error:
        raise OptionError(f"{error}; only training calls it: an auxiliary head can go") from error
    graph = join(evaluation.graph, training.graph, parts)
    deep = assemble(graph, parts, source)
    for name, each in deep.named_modules():
        each.training = flags.get(name, flags.get(name.rpartition(".")[0], module.training))
    return deep, _report(module, deep, parts)


def _check(module: nn.Module, mode: object, in_channels: object, depth_padding: object) -> None:
    """Refuse options that are not, and modules that no graph can hold."""
    check_mode(mode)
    if depth_padding not in ("zeros", "replicate"):
        raise OptionError(
            f"depth_padding is {depth_padding!r}, allowed are 'zeros' and 'replicate'; choose one"
        )
    if in_channels is not None and (not isinstance(in_channels, int) or in_channels < 1):
        raise OptionError(f"in_channels is {in_channels!r}, allowed are whole numbers from 1")
    kind = type(module).__name__
    if isinstance(module, Network):
        raise OptionError(
            f"the module is this library's {kind}; make the 3D one with create_model("
            f"{module.architecture!r}) and fill it with load_weights"
        )
    if isinstance(module, torch.jit.ScriptModule) or not isinstance(module, nn.Module):
        raise OptionError(f"the module is a {kind}; give the nn.Module that it was made of")
    for name, each in module.named_modules():
        where = f"{name or 'the module itself'} ({type(each).__name__})"
        if any(is_lazy(parameter) for parameter in each.parameters(recurse=False)):
            raise OptionError(f"{where}: its weights have no shape yet; run it once on a picture")
        hooks = (each._forward_hooks, each._forward_pre_hooks, each._backward_hooks)
        if any(hooks) or each._backward_pre_hooks or "forward" in each.__dict__:
            raise OptionError(
                f"{where}: it has hooks or a forward of its own, which a graph cannot hold; "
                "remove them"
            )
        if parametrize.is_parametrized(each):
            raise OptionError(
                f"{where}: it computes its weights by torch.nn.utils.parametrize; fix them with "
                "remove_parametrizations(module, name, leave_parametrized=True)"
            )
    try:
        inspect.signature(module.forward).bind(None)
    except TypeError as error:
        raise OptionError(
            f"the module itself ({kind}): its forward takes something else than one picture "
            f"({error}); wrap it in a module whose forward takes one picture"
        ) from error


def _report(module: nn.Module, deep: nn.Module, parts: Parts) -> LoadReport:
    """What became of each tensor of the 2D module."""
    names, taken = list(module.state_dict()), deep.state_dict()
    return LoadReport(
        loaded=tuple(name for name in names if name in taken and name not in parts.inflated),
        inflated=tuple(name for name in names if name in taken and name in parts.inflated),
        skipped=(),
        missing=tuple(name for name in taken if name not in names),
        unexpected=tuple(name for name in names if name not in taken),
    )
