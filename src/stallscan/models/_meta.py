"""A network without its numbers, for looking at shapes."""

from __future__ import annotations

import copy
from itertools import chain
from typing import TypeVar

import torch
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)


def meta_copy(model: M) -> M:
    """The same modules on the meta device, in the same modes, without hooks.

    Nothing of the size of the weights is allocated, and the model stays as it is.
    """
    memo: dict[int, Tensor] = {}
    for tensor in chain(model.parameters(), model.buffers()):
        shape = torch.empty_like(tensor, device="meta")
        if isinstance(tensor, nn.Parameter):
            shape = nn.Parameter(shape, requires_grad=tensor.requires_grad)
        memo[id(tensor)] = shape
    for parameter in model.parameters():
        if parameter.grad is not None:  # a gradient is copied with its parameter's module
            memo[id(parameter.grad)] = torch.empty_like(parameter.grad, device="meta")
    twin = copy.deepcopy(model, memo)
    for module in twin.modules():  # hooks may hold what has no place on the meta device
        for name, hooks in vars(module).items():
            if name.endswith("_hooks") and hooks:
                hooks.clear()
    return twin
