"""The running statistics of batch normalisation, estimated anew."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from stallscan.errors import OptionError


@torch.no_grad()
def recalibrate_bn(
    model: nn.Module,
    loader: Iterable[Tensor | Sequence[Tensor]],
    device: torch.device | str | None = None,
) -> int:
    """Replace the running means and variances by those of the loader's batches.

    Weights inflated from 2D meet other statistics on volumes whose slices differ; unlabelled clips
    are enough to measure them. Every batch counts the same. Weights and modes stay as they are, and
    so do the old statistics if the loader is empty or fails (`torch.optim.swa_utils.update_bn`
    would have lost them).

    Args:
        model: with batch normalisation.
        loader: batches ``(n, c, z, y, x)``, or tuples that begin with one.
        device: to which batches are moved; None leaves them where they are.

    Returns:
        Number of batches seen.

    Raises:
        OptionError: no batch normalisation with running statistics, or no batch.
    """
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    norms = [norm for norm in norms if norm.track_running_stats]
    if not norms:
        raise OptionError(
            f"{type(model).__name__} has no batch normalisation with running statistics; there is "
            "nothing to recalibrate"
        )
    modes = [(module, module.training) for module in model.modules()]
    momenta = [norm.momentum for norm in norms]
    old = [{key: value.clone() for key, value in norm.named_buffers()} for norm in norms]
    n_batches = 0
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over batches
        norm.train()
    try:
        for batch in loader:
            x = batch if isinstance(batch, Tensor) else batch[0]
            model(x if device is None else x.to(device))
            n_batches += 1
        if n_batches == 0:
            raise OptionError("loader has no batch; at least one is needed to measure statistics")
    except BaseException:
        for norm, buffers in zip(norms, old, strict=True):
            norm.load_state_dict(buffers, strict=False)
        raise
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for module, mode in modes:
            module.training = mode
    return n_batches
