"""Optimisers and learning rates against closed forms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from noise_set import tiny_recipe
from stallscan.training.optimizers import (
    STATES,
    make_optimizer,
    make_schedule,
    rate_factor,
    steps_per_epoch,
)
from stallscan.training.recipe import Adam, AdamW, Recipe, Sgd

KINDS = [
    (AdamW, torch.optim.AdamW),
    (Adam, torch.optim.Adam),
    (Sgd, torch.optim.SGD),
]


def network() -> nn.Module:
    return nn.Sequential(nn.Conv3d(1, 2, 1), nn.BatchNorm3d(2), nn.Flatten(), nn.Linear(2, 1))


def rates(recipe: Recipe, n: int) -> np.ndarray:
    factor = rate_factor(recipe)
    return np.array([factor(step) for step in range(n)])


@pytest.mark.parametrize(("chosen", "kind"), KINDS)
def test_weights_decay_and_biases_and_norms_do_not(
    chosen: type[AdamW], kind: type[torch.optim.Optimizer]
) -> None:
    model = network()
    optimizer = make_optimizer(model, chosen(lr=0.1, weight_decay=0.03))
    assert type(optimizer) is kind
    decayed, plain = optimizer.param_groups
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.03, 0.0)
    assert decayed["lr"] == plain["lr"] == 0.1
    assert [p.shape for p in decayed["params"]] == [model[0].weight.shape, model[3].weight.shape]
    known = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert known == {id(p) for p in model.parameters()}


@pytest.mark.parametrize(("chosen", "kind"), KINDS)
def test_an_optimizer_keeps_as_many_numbers_as_its_memory_is_planned_for(
    chosen: type[AdamW], kind: type[torch.optim.Optimizer]
) -> None:
    model = network()
    optimizer = make_optimizer(model, chosen(lr=0.1))
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    n_kept = sum(
        value.numel()
        for state in optimizer.state.values()
        for name, value in state.items()
        if name != "step" and value is not None
    )
    assert n_kept == STATES[chosen] * sum(p.numel() for p in model.parameters())


def test_descent_is_nesterov_s_unless_without_momentum() -> None:
    """A slope of 1 twice: v = 1, then 0.9 + 1 = 1.9; each step goes by 1 + 0.9 v."""
    for momentum, expected in ((0.9, -(1 + 0.9) - (1 + 0.9 * 1.9)), (0.0, -2.0)):
        model = nn.Linear(1, 1)
        nn.init.zeros_(model.weight)
        optimizer = make_optimizer(model, Sgd(lr=0.1, momentum=momentum))
        for _ in range(2):
            for parameter in model.parameters():
                parameter.grad = torch.ones_like(parameter)
            optimizer.step()
        assert model.weight.item() == pytest.approx(0.1 * expected)


@pytest.mark.parametrize(("batches", "accumulate", "n"), [(10, 1, 10), (10, 5, 2), (10, 4, 3)])
def test_what_is_left_of_an_epoch_s_batches_makes_a_step(
    batches: int, accumulate: int, n: int
) -> None:
    keys = (f"sampler.batches_per_epoch={batches}", f"optimizer.accumulate={accumulate}")
    assert steps_per_epoch(tiny_recipe(*keys)) == n


def test_the_rate_warms_up_and_falls_to_zero() -> None:
    """Two epochs of 5 steps up, eight epochs down."""
    recipe = tiny_recipe(
        "sampler.batches_per_epoch=10", "optimizer.accumulate=2", "stop.max_epochs=10",
        "schedule.warmup_epochs=2",
    )  # fmt: skip
    found = rates(recipe, 52)
    np.testing.assert_allclose(found[:10], np.arange(1, 11) / 10)
    expected = 0.5 * (1 + np.cos(math.pi * np.arange(41) / 40))
    np.testing.assert_allclose(found[10:51], expected, atol=1e-12)
    assert found[51] == found[50]  # Lightning asks once more than there are steps


def test_without_a_warm_up_it_begins_at_its_largest() -> None:
    assert rates(tiny_recipe("schedule.warmup_epochs=0"), 1)[0] == 1


def test_a_run_of_warm_up_alone_has_a_rate() -> None:
    recipe = tiny_recipe("sampler.batches_per_epoch=4", "stop.max_epochs=1")
    np.testing.assert_allclose(rates(recipe, 5), [0.25, 0.5, 0.75, 1, 1])


def test_every_cycle_begins_at_the_full_rate() -> None:
    """Two cycles of 8 steps: the second place's."""
    recipe = tiny_recipe(
        "schedule.name=cyclic", "schedule.cycles=2", "sampler.batches_per_epoch=4",
        "stop.max_epochs=4",
    )  # fmt: skip
    cycle = 0.5 * (1 + np.cos(math.pi * np.arange(8) / 8))
    np.testing.assert_allclose(rates(recipe, 16), [*cycle, *cycle], atol=1e-12)


def test_a_constant_rate_stays() -> None:
    assert set(rates(tiny_recipe("schedule.name=constant"), 100)) == {1.0}


def test_schedules_of_steps_are_told_of_every_step() -> None:
    recipe = tiny_recipe("optimizer.lr=2e-3", "sampler.batches_per_epoch=10")
    optimizer = make_optimizer(network(), recipe.optimizer)
    found = make_schedule(optimizer, recipe, "val_auc")
    assert found["interval"] == "step"
    assert optimizer.param_groups[0]["lr"] == pytest.approx(2e-4)
    assert optimizer.param_groups[1]["lr"] == pytest.approx(2e-4)


# --- The plateau ------------------------------------------------------------------------------


def keras_plateau(values: list[float], factor: float, patience: int, sign: int) -> list[float]:
    """Rates after each epoch as Keras' ReduceLROnPlateau sets them (min_delta 0, no cooldown).

    It counts an epoch without gain, and lowers the rate once the count has reached the patience.
    """
    rate, best, wait, rates = 1.0, -math.inf, 0, []
    for value in values:
        if sign * value > best:
            best, wait = sign * value, 0
        else:
            wait += 1
            if wait >= patience:
                rate, wait = rate * factor, 0
        rates.append(rate)
    return rates


def plateau_rates(values: list[float], *keys: str) -> list[float]:
    recipe = tiny_recipe("schedule.name=plateau", "optimizer.lr=1.0", *keys)
    optimizer = make_optimizer(network(), recipe.optimizer)
    schedule: Any = make_schedule(optimizer, recipe, "val_auc")
    assert (schedule["interval"], schedule["monitor"]) == ("epoch", "val_auc")
    rates = []
    for value in values:
        schedule["scheduler"].step(value)
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


def test_the_winner_s_rate_falls_after_three_epochs_without_gain() -> None:
    found = plateau_rates([0.5] * 8, "schedule.factor=0.95", "schedule.patience=3")
    assert found == pytest.approx([1, 1, 1, 0.95, 0.95, 0.95, 0.95**2, 0.95**2])


@pytest.mark.parametrize(("metric", "sign"), [("auc", 1), ("mcc", 1), ("loss", -1)])
@pytest.mark.parametrize("patience", [1, 2, 3])
def test_a_plateau_is_keras_s(metric: str, sign: int, patience: int) -> None:
    values = np.random.default_rng(patience).random(60).round(2)
    values = np.sort(values)[::sign] * 0.1 + values * 0.9  # gains become rare, not impossible
    found = plateau_rates(
        list(values),
        "schedule.factor=0.9",
        f"schedule.patience={patience}",
        f"validation.metric={metric}",
    )
    expected = keras_plateau(list(values), 0.9, patience, sign)
    assert found == pytest.approx(expected)
    assert len(set(expected)) > 3


def test_the_smallest_gain_is_one() -> None:
    rising = [0.9 + 1e-7 * epoch for epoch in range(6)]
    found = plateau_rates(rising, "schedule.factor=0.5", "schedule.patience=1")
    assert found == [1.0] * 6
