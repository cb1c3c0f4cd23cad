"""2D weights in a 3D network, by name and shape, with a report of what went where.

The article's section 4 spreads a 2D kernel evenly over the depth ("average"). With all of it on the
middle tap ("center") the 3D network is the 2D one: on a still clip, and slice by slice on any clip
where nothing strides or pools along the depth (squeeze-and-excitation, which pools all of it,
excepted). "average" is it on a still clip with ``depth_padding="replicate"``; with zeros, kernels
see less at a border: 2/3 for a kernel of 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from stallscan.errors import CheckpointError, OptionError
from stallscan.models._network import Network

Mode = Literal["center", "average", "gaussian"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReport:
    """What became of every weight; all are names of parameters and buffers.

    Attributes:
        loaded: copied as they were.
        inflated: made from a kernel of lower rank, or of other input channels.
        skipped: of the source: the head, where the network has another.
        missing: of the network: not in the source, or of another shape there. The head keeps its
            random values, a counter of batches starts at 0.
        unexpected: of the source: without a place in the network.
    """

    loaded: tuple[str, ...]
    inflated: tuple[str, ...]
    skipped: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]

    def counts(self) -> dict[str, int]:
        """How many of each, for model.json."""
        return {name: len(getattr(self, name)) for name in self.__dataclass_fields__}


def inflate_kernel(kernel: Tensor, depth: int, mode: Mode = "center") -> Tensor:
    """A 2D kernel as a 3D one whose taps along z add up to it.

    Args:
        kernel: ``(out, in, y, x)``.
        depth: taps along z.
        mode: "center" puts all weight on the middle tap (half on each of two), "average" the same
            on every tap, "gaussian" falls off with a standard deviation of a quarter of the depth.

    Returns:
        ``(out, in, depth, y, x)``.

    Raises:
        OptionError: an unknown mode.
    """
    check_mode(mode)
    away = torch.arange(depth, dtype=torch.float64) - (depth - 1) / 2
    if mode == "center":
        taps = (away.abs() < 1).double()
    elif mode == "average":
        taps = torch.ones(depth, dtype=torch.float64)
    else:
        taps = torch.exp(-0.5 * (away / (depth / 4)) ** 2)
    taps = (taps / taps.sum()).to(kernel)
    return kernel.unsqueeze(2) * taps.view(-1, 1, 1)


def check_mode(mode: object) -> None:
    """Refuse what is not a way to inflate.

    Raises:
        OptionError: an unknown mode.
    """
    if mode not in get_args(Mode):
        allowed = ", ".join(map(repr, get_args(Mode)))
        raise OptionError(f"inflate is {mode!r}, allowed are {allowed}; choose one")


def fit_channels(kernel: Tensor, in_channels: int) -> Tensor:
    """A first kernel for another number of channels, exact for an image of equal channels.

    Each new channel gets the sum over the old ones, divided by the number of new ones; one grey
    channel thus the sum of the RGB kernels.

    Args:
        kernel: ``(out, in, [z,] y, x)``.
        in_channels: wanted.
    """
    if kernel.shape[1] == in_channels:
        return kernel
    summed = kernel.sum(1, keepdim=True) / in_channels
    return summed.expand(-1, in_channels, *kernel.shape[2:]).clone()


def load_weights(
    model: Network,
    source: Mapping[str, Tensor] | nn.Module,
    *,
    mode: Mode = "center",
    source_name: str = "weights",
    strict: bool = True,
) -> LoadReport:
    """Copy weights by name, inflating by shape; all of them or none.

    Args:
        model: takes the weights.
        source: a state dict, or a network, whose epsilons of batch normalisation are copied too.
        mode: see `inflate_kernel`.
        source_name: for messages.
        strict: raise where anything but the head is missing or has no place.

    Raises:
        CheckpointError: strict, and the source does not fit.
        OptionError: an unknown mode.
    """
    weights = source.state_dict() if isinstance(source, nn.Module) else source
    names = model.upgrade_keys(weights)
    given = {names[key]: weight for key, weight in weights.items()}
    wanted = model.state_dict()
    fitted: dict[str, Tensor] = {}
    inflated, misfits = [], []
    for key in wanted.keys() & given.keys():
        kernel = given[key]
        if key == model.stem_name and kernel.ndim >= 4:
            kernel = fit_channels(kernel, model.options.in_channels)
        if kernel.ndim == 4 and wanted[key].ndim == 5:
            kernel = inflate_kernel(kernel, wanted[key].shape[2], mode)
        if kernel.shape != wanted[key].shape:
            misfits.append(key)
            continue
        fitted[key] = kernel
        if kernel is not given[key]:
            inflated.append(key)
    head = [key for key in wanted if model.is_head(key)]
    if not all(key in fitted for key in head):  # whole or not at all
        for key in head:
            fitted.pop(key, None)
    order = list(wanted)
    missing = [key for key in order if key not in fitted]
    not_placed = [key for key in given if key not in fitted and key not in misfits]
    report = LoadReport(
        loaded=tuple(key for key in order if key in fitted and key not in inflated),
        inflated=tuple(key for key in order if key in inflated),
        skipped=tuple(key for key in given if model.is_head(key) and key not in fitted),
        missing=tuple(missing),
        unexpected=tuple(key for key in not_placed if not model.is_head(key)),
    )
    if strict:
        _require_fit(model, given, report, source_name)
    model.load_state_dict(fitted, strict=False)
    if isinstance(source, nn.Module):
        _copy_epsilons(source, model)
    return report


def _require_fit(
    model: Network, given: Mapping[str, Tensor], report: LoadReport, source_name: str
) -> None:
    wanted = model.state_dict()
    wrong = []
    for key in report.missing:
        if model.is_head(key) or key.endswith("num_batches_tracked"):
            continue
        if key in given:
            found, needed = tuple(given[key].shape), tuple(wanted[key].shape)
            wrong.append(f"{key} has the shape {found}, needs {needed}")
        else:
            wrong.append(f"{key} is missing")
    no_place = [f"{key} has no place" for key in report.unexpected]
    if wrong or no_place:
        first = [*wrong[:2], *no_place[:2]]
        raise CheckpointError(
            f"{source_name}: {len(wrong) + len(no_place)} of its weights do not fit "
            f"{type(model).__name__} ({'; '.join(first)}); all but the head must: give weights "
            "of the same network, or build that network with the options of the weights"
        )


def _copy_epsilons(source: nn.Module, model: Network) -> None:
    norms = dict(model.named_modules())
    for name, module in source.named_modules():
        if isinstance(module, _BatchNorm):
            mine = norms.get(name)
            if isinstance(mine, _BatchNorm):
                mine.eps, mine.momentum = module.eps, module.momentum
