"""Blocks in a row, whose activations may be computed twice instead of kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


class Blocks(nn.Module):
    """A module that holds blocks and calls them by `run`.

    Attributes:
        checkpointing: keep the blocks' inputs alone for the backward pass, which computes them
            again.
    """

    checkpointing = False

    def run(self, block: nn.Module, *inputs: Tensor) -> Tensor:
        """Call a block."""
        output: Tensor
        if not (self.checkpointing and torch.is_grad_enabled()):
            output = block(*inputs)
        else:
            output = checkpoint(
                block, *inputs, use_reentrant=False, context_fn=lambda: _contexts(block)
            )
        return output


class Stage(nn.Sequential, Blocks):
    """A row of blocks."""

    def forward(self, x: Tensor) -> Tensor:
        """``(n, c, [z,] y, x)`` through each block."""
        for block in self:
            x = self.run(block, x)
        return x


def _contexts(
    block: nn.Module,
) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Around the first computation, and around the second."""
    return nullcontext(), _statistics_kept(block)


@contextmanager
def _statistics_kept(block: nn.Module) -> Iterator[None]:
    """The running statistics of batch normalisation see each batch once, not twice."""
    norms = [module for module in block.modules() if isinstance(module, _BatchNorm)]
    before = [(norm, norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:  # the same operations as in the first computation, of which torch makes sure
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, momentum, n_batches in before:
            norm.momentum, norm.num_batches_tracked = momentum, n_batches
