"""What all maps need of a network: its features at a level, its mode left as it was, sizes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stallscan.errors import OptionError
from stallscan.models._layers import shrink
from stallscan.models._network import Network

Float32 = NDArray[np.float32]

_LEAST_VOXELS = 4


@contextmanager
def as_it_answers(model: Network) -> Iterator[None]:
    """In evaluation mode, and afterwards in the mode of before, without gradients left behind."""
    modes = [(module, module.training) for module in model.modules()]
    wanted = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    model.eval()
    for parameter, _ in wanted:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for parameter, want in wanted:
            parameter.requires_grad_(want)


@contextmanager
def output_of(layer: nn.Module) -> Iterator[list[Tensor]]:
    """A list that holds what the layer has put out last; the hook goes with the block."""
    held: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        held[:] = [output]

    handle = layer.register_forward_hook(keep)
    try:
        yield held
    finally:
        handle.remove()


def layer_of(model: Network, name: str | None, size: Sequence[int]) -> nn.Module:
    """A module by its name; without one, the deepest level that leaves something to be seen.

    Args:
        model: the network.
        name: a level of `Network.feature_info`, or any other module.
        size: ``(z, y, x)`` of the input; of its deepest levels one with at least four voxels along
            each axis is taken, or the first level where there is none.

    Raises:
        OptionError: the network has no such module.
    """
    levels = [level.name for level in model.feature_info]
    if name is None:
        deep = [
            level.name
            for level in model.feature_info
            if all(
                extent >= _LEAST_VOXELS * reduction
                for extent, reduction in zip(size, level.reduction, strict=True)
            )
        ]
        name = (deep or levels)[-1 if deep else 0]
    try:
        return model.get_submodule(name)
    except AttributeError as error:
        raise OptionError(
            f"layer is {name!r}, {model.architecture} has the levels {', '.join(levels)}; choose "
            "one of them, or a module inside one"
        ) from error


def batch_of(model: Network, inputs: Float32) -> Tensor:
    """``(c, z, y, x)`` → a batch of one, on the network's device.

    Raises:
        OptionError: the input is too thin for the network, or has another shape.
    """
    if inputs.ndim != model.options.rank + 1:
        raise OptionError(
            f"inputs have the shape {inputs.shape}, needed are (c, z, y, x); give one volume as "
            "the network sees it"
        )
    model.feature_size(inputs.shape[1:])
    like = next(model.parameters())
    return torch.from_numpy(np.ascontiguousarray(inputs))[None].to(like.device, like.dtype)


def enlarged(maps: Tensor, size: Sequence[int], model: Network) -> Float32:
    """Maps of a level of features, trilinear to the extents of the input.

    Each voxel is put where it looks: with odd, padded kernels the first one is centred on the
    input's first voxel, not on the middle of as many as the stride. Beyond the outermost their
    values are repeated.

    Args:
        maps: ``(channels, z, y, x)``.
        size: ``(z, y, x)`` of the input.
        model: whose features they are of.
    """
    found = maps.float().cpu().numpy()
    for axis, extent in enumerate(size):
        places = _places(model, axis, extent, found.shape[1 + axis])
        weights = [np.interp(np.arange(extent), places, one) for one in np.eye(len(places))]
        found = np.moveaxis(np.tensordot(found, np.stack(weights), (1 + axis, 0)), -1, 1 + axis)
    return np.ascontiguousarray(found, np.float32)


def _places(model: Network, axis: int, extent: int, n: int) -> NDArray[np.float64]:
    """Where along an axis of the input the voxels of a level are centred."""
    first, step = 0.0, 1
    steps = model.steps(axis)
    for n_steps in range(len(steps) + 1):
        if shrink(extent, steps[:n_steps]) == n:
            return first + step * np.arange(n, dtype=np.float64)
        if n_steps < len(steps):
            window, stride = steps[n_steps]
            first += step * ((window.kernel - 1) / 2 - window.padding)
            step *= stride
    # Not a level of this network: evenly.
    return (np.arange(n) + 0.5) * extent / n - 0.5
