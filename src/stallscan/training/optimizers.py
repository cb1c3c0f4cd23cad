"""A recipe's optimiser, and how its learning rate goes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from stallscan.training.recipe import Adam, AdamW, Constant, Cosine, Cyclic, Plateau, Recipe, Sgd

STATES = {AdamW: 2, Adam: 2, Sgd: 1}
"""Numbers that an optimiser keeps for each parameter."""


def make_optimizer(model: nn.Module, chosen: AdamW | Adam | Sgd) -> torch.optim.Optimizer:
    """Weights decay; biases and the scales of norms do not."""
    groups = [
        {
            "params": [p for p in model.parameters() if p.ndim > 1],
            "weight_decay": chosen.weight_decay,
        },
        {"params": [p for p in model.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if isinstance(chosen, Sgd):
        momentum = chosen.momentum
        return torch.optim.SGD(groups, lr=chosen.lr, momentum=momentum, nesterov=momentum > 0)
    kind = torch.optim.AdamW if isinstance(chosen, AdamW) else torch.optim.Adam
    return kind(groups, lr=chosen.lr)


def make_schedule(optimizer: torch.optim.Optimizer, recipe: Recipe, monitor: str) -> dict[str, Any]:
    """What Lightning wants to know about the learning rate.

    Args:
        optimizer: of the recipe.
        recipe: schedule and length.
        monitor: the logged metric that a plateau is seen by.
    """
    chosen = recipe.schedule
    if isinstance(chosen, Plateau):
        schedule = ReduceLROnPlateau(
            optimizer,
            mode="min" if recipe.validation.metric == "loss" else "max",
            factor=chosen.factor,
            patience=chosen.patience - 1,  # PyTorch lets one more epoch pass than Keras
            threshold=0.0,
            eps=0.0,
        )
        return {"scheduler": schedule, "interval": "epoch", "monitor": monitor}
    return {"scheduler": LambdaLR(optimizer, rate_factor(recipe)), "interval": "step"}


def steps_per_epoch(recipe: Recipe) -> int:
    """Steps of the optimiser in an epoch; what is left of the batches makes a last one."""
    return -(-recipe.sampler.batches_per_epoch // recipe.optimizer.accumulate)


def rate_factor(recipe: Recipe) -> Callable[[int], float]:
    """Step → factor on the learning rate; a plateau's is not known beforehand."""
    chosen, an_epoch = recipe.schedule, steps_per_epoch(recipe)
    n_steps = an_epoch * recipe.stop.max_epochs
    if isinstance(chosen, Cosine):
        warmup = chosen.warmup_epochs * an_epoch
        return lambda step: (
            (step + 1) / warmup
            if step < warmup
            else _fall((step - warmup) / max(n_steps - warmup, 1))
        )
    if isinstance(chosen, Cyclic):
        cycle = n_steps // chosen.cycles
        return lambda step: _fall(step % cycle / cycle)
    assert isinstance(chosen, Constant)
    return lambda step: 1.0


def _fall(progress: float) -> float:
    """Half a cosine from 1 to 0."""
    return 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
