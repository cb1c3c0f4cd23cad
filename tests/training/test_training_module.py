"""The module in Lightning's hands: accumulation, averaged weights, precision, what ends a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import log_loss, matthews_corrcoef, roc_auc_score
from torch import nn

from noise_set import Noise, noise_sample, tiny_recipe
from stallscan.models import create_model
from stallscan.training import engine, module
from stallscan.training.devices import resolve_devices
from stallscan.training.engine import Run, fit
from stallscan.training.module import StallModule
from stallscan.training.options import TrainOptions
from stallscan.training.recipe import Recipe
from stallscan.training.samples import MIX_STREAM, TRAIN_STREAM, SampleKey, collate
from stallscan.types import Label

pytestmark = pytest.mark.usefixtures("quick_runs")
DESCENT = ("optimizer.name=sgd", "optimizer.lr=0.5", "schedule.name=constant")


@pytest.fixture
def linear(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network without batch statistics, in a few numbers, and no TensorBoard."""

    def network(run: Run) -> nn.Module:
        torch.manual_seed(run.options.seed)
        return nn.Sequential(nn.AvgPool3d((16, 16, 16)), nn.Flatten(), nn.Linear(12, 1))

    monkeypatch.setattr(engine, "_network", network)
    monkeypatch.setattr(engine, "_logger", lambda run: False)


def fitted(run_dir: Path, recipe: Recipe, **options: Any) -> StallModule:
    chosen = TrainOptions(workers=0, device="cpu", seed=2, **options)
    run_dir.mkdir(exist_ok=True)
    run = Run(
        run_dir=run_dir,
        recipe=recipe,
        options=chosen,
        start=None,
        devices=resolve_devices(recipe, chosen),
    )
    return fit(run, Noise().open(run_dir, recipe, chosen.seed), progress=False)[0]


def saved(run_dir: Path, name: str = "last") -> dict[str, torch.Tensor]:
    state = torch.load(run_dir / "checkpoints" / f"{name}.ckpt", weights_only=True)
    return dict(state["state_dict"])


def follow(monkeypatch: pytest.MonkeyPatch, hook: str, seen: list[Any]) -> None:
    """Remember the weights whenever a hook is called."""
    original = getattr(StallModule, hook)

    def followed(self: StallModule, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        seen.append(self.model[-1].weight.detach().clone())
        return result

    monkeypatch.setattr(StallModule, hook, followed)


def batch(n: int = 4) -> Any:
    keys = [SampleKey(TRAIN_STREAM, 0, number, Label(number % 2)) for number in range(n)]
    return collate([noise_sample(0, 0, (3, 16, 32, 32), key) for key in keys])


def lone(recipe: Recipe) -> StallModule:
    """A module whose training step can be called without a trainer."""
    torch.manual_seed(1)
    arguments = dict(recipe.network)
    found = StallModule(create_model(arguments.pop("name"), **arguments), recipe, 0)
    found.log = lambda *_, **__: None
    found.batch_number = lambda index: index
    return found


# --- Steps ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("linear")
def test_accumulated_batches_step_as_one_larger_batch(tmp_path: Path) -> None:
    """Of the same samples in the same order."""
    sizes = ("sampler.batch_size=4", "optimizer.accumulate=3", "sampler.batches_per_epoch=6")
    fitted(tmp_path / "many", tiny_recipe(*DESCENT, *sizes))
    sizes = ("sampler.batch_size=12", "optimizer.accumulate=1", "sampler.batches_per_epoch=2")
    fitted(tmp_path / "large", tiny_recipe(*DESCENT, *sizes))
    many, large = saved(tmp_path / "many"), saved(tmp_path / "large")
    for key, value in large.items():
        torch.testing.assert_close(many[key], value, rtol=1e-5, atol=1e-7)
    losses = [pd.read_csv(tmp_path / n / "history.csv")["train_loss"] for n in ("many", "large")]
    # The first epoch's first step sees the same weights; the mean over the epoch need not.
    assert losses[0][0] == pytest.approx(losses[1][0], rel=0.05)


@pytest.mark.usefixtures("linear")
def test_a_step_is_the_mean_gradient_times_the_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logistic regression by hand: the gradient is the mean of (p - y) x."""
    steps: list[torch.Tensor] = []
    batches: list[Any] = []
    follow(monkeypatch, "on_train_batch_end", steps)
    original = StallModule.training_step

    def remember(self: StallModule, batch: Any, index: int) -> torch.Tensor:
        batches.append((batch, self.model[-1].weight.detach().clone()))
        return original(self, batch, index)

    monkeypatch.setattr(StallModule, "training_step", remember)
    keys = ("stop.max_epochs=1", "sampler.batches_per_epoch=1", "optimizer.momentum=0")
    keys += ("optimizer.clip=null", "loss.label_smoothing=0")
    found = fitted(tmp_path / "run", tiny_recipe(*DESCENT, *keys))
    (seen, before), after = batches[0], steps[0]
    x = found.model[:2](seen.inputs)
    torch.manual_seed(2)
    bias = nn.Sequential(nn.Linear(12, 1))[0].bias.detach()
    p = torch.sigmoid(x @ before.T + bias)[:, 0]
    expected = before - 0.5 * ((p - seen.targets)[:, None] * x).mean(dim=0)
    torch.testing.assert_close(after, expected)


@pytest.mark.usefixtures("linear")
@pytest.mark.parametrize("clip", [0.01, None])
def test_gradients_are_clipped_to_their_norm(tmp_path: Path, clip: float | None) -> None:
    keys = ("stop.max_epochs=1", "sampler.batches_per_epoch=1", "optimizer.momentum=0")
    recipe = tiny_recipe(*DESCENT, *keys, f"optimizer.clip={clip or 'null'}")
    after = fitted(tmp_path / "run", recipe).model[-1]
    torch.manual_seed(2)
    before = nn.Linear(12, 1)
    moved = torch.cat([after.weight - before.weight, (after.bias - before.bias)[None]], dim=1)
    norm = moved.norm().item() / 0.5
    assert norm == pytest.approx(0.01, rel=1e-3) if clip else norm > 0.02


@pytest.mark.usefixtures("linear")
def test_validation_and_the_kept_weights_are_the_averaged_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """a1 = w1, then ak = 0.8 a(k-1) + 0.2 wk: the first step's weights are the first average."""
    steps: list[torch.Tensor] = []
    validated: list[torch.Tensor] = []
    follow(monkeypatch, "on_train_batch_end", steps)
    follow(monkeypatch, "validation_step", validated)
    keys = (*DESCENT, "engine.ema=0.8", "sampler.batches_per_epoch=5", "sampler.batch_size=6")
    found = fitted(tmp_path / "run", tiny_recipe(*keys))
    assert len(steps) == 10 and len(validated) == 2
    averages = [steps[0]]
    for weights in steps[1:]:
        averages.append(0.8 * averages[-1] + 0.2 * weights)
    torch.testing.assert_close(validated[0], averages[4])
    torch.testing.assert_close(validated[1], averages[9])
    torch.testing.assert_close(saved(tmp_path / "run")["model.2.weight"], averages[9])
    torch.testing.assert_close(found.model[-1].weight.detach(), averages[9])
    best = torch.load(tmp_path / "run" / "checkpoints" / "best.ckpt", weights_only=True)
    kept = averages[4 if best["epoch"] == 0 else 9]
    torch.testing.assert_close(best["state_dict"]["model.2.weight"], kept)
    assert (averages[9] - steps[9]).abs().max() > 1e-3  # they are not the last step's


# --- What ends a run, and what lowers its rate ------------------------------------------------


def judged(monkeypatch: pytest.MonkeyPatch, aucs: list[float]) -> None:
    """Decide the AUC of each epoch."""
    given = iter(aucs)
    monkeypatch.setattr(module, "roc_auc_score", lambda *_: next(given))


@pytest.mark.usefixtures("linear")
@pytest.mark.parametrize(
    ("patience", "aucs", "n_epochs"),
    [
        (2, [0.9, 0.5, 0.9, 0.99, 0.99], 3),  # as good as the best is no gain
        (2, [0.5, 0.4, 0.6, 0.5, 0.5, 0.9], 5),
        (3, [0.5, 0.4, 0.6, 0.5, 0.5, 0.9], 6),
        (None, [0.9, 0.5, 0.5, 0.5, 0.5, 0.5], 6),
    ],
)
def test_it_stops_after_so_many_epochs_without_gain(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    patience: int | None,
    aucs: list[float],
    n_epochs: int,
) -> None:
    judged(monkeypatch, aucs)
    stop = f"stop.patience={'null' if patience is None else patience}"
    fitted(tmp_path / "run", tiny_recipe(stop, "stop.max_epochs=6", "sampler.batches_per_epoch=1"))
    history = pd.read_csv(tmp_path / "run" / "history.csv")
    assert len(history) == n_epochs
    best = torch.load(tmp_path / "run" / "checkpoints" / "best.ckpt", weights_only=True)
    assert best["epoch"] == int(np.argmax(aucs[:n_epochs]))


@pytest.mark.usefixtures("linear")
def test_a_run_s_rate_falls_after_the_plateau_s_patience(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Epochs 1, 2, 3 are without gain, so epoch 4 goes at 0.95 of the rate: the winner's."""
    judged(monkeypatch, [0.5] * 6)
    rates: list[float] = []
    original = StallModule.training_step

    def remember(self: StallModule, batch: Any, index: int) -> torch.Tensor:
        rates.append(self.optimizers().param_groups[0]["lr"])
        return original(self, batch, index)

    monkeypatch.setattr(StallModule, "training_step", remember)
    keys = ("schedule.name=plateau", "schedule.factor=0.95", "schedule.patience=3")
    recipe = tiny_recipe(*keys, "optimizer.lr=1e-2", "stop.max_epochs=6")
    fitted(tmp_path / "run", recipe)
    assert rates[::2] == pytest.approx([0.01] * 4 + [0.0095] * 2)


@pytest.mark.usefixtures("linear")
@pytest.mark.parametrize("metric", ["auc", "mcc", "loss"])
def test_the_best_epoch_is_the_metric_s(tmp_path: Path, metric: str) -> None:
    recipe = tiny_recipe(
        *DESCENT, f"validation.metric={metric}", "stop.max_epochs=5", "optimizer.lr=5"
    )
    fitted(tmp_path / "run", recipe)
    values = pd.read_csv(tmp_path / "run" / "history.csv")[f"val_{metric}"].to_numpy()
    best = torch.load(tmp_path / "run" / "checkpoints" / "best.ckpt", weights_only=True)
    assert best["epoch"] == (np.argmin(values) if metric == "loss" else np.argmax(values))


# --- How it is computed -----------------------------------------------------------------------


def loss_and_gradients(recipe: Recipe) -> tuple[float, list[torch.Tensor]]:
    one = lone(recipe)
    loss = one.training_step(batch(), 0)
    loss.backward()
    return loss.item(), [parameter.grad for parameter in one.model.parameters()]


@pytest.mark.parametrize(
    ("key", "tolerance"),
    [("engine.channels_last=false", 1e-3), ("model.options.checkpointing=true", 0.0)],
)
def test_neither_layout_nor_checkpointing_changes_the_numbers(key: str, tolerance: float) -> None:
    """Dropout and all; the layout but for the order of sums."""
    loss, gradients = loss_and_gradients(tiny_recipe())
    other, others = loss_and_gradients(tiny_recipe(key))
    assert other == pytest.approx(loss, rel=tolerance)
    for one, two in zip(gradients, others, strict=True):
        scale = one.abs().max().item()
        torch.testing.assert_close(two, one, rtol=tolerance, atol=tolerance * scale)


def test_channels_lie_last_where_the_recipe_says_so() -> None:
    def is_last(recipe: Recipe) -> bool:
        weight = next(p for p in lone(recipe).model.parameters() if p.ndim == 5 and p.shape[1] > 1)
        return weight.is_contiguous(memory_format=torch.channels_last_3d)

    assert is_last(tiny_recipe()) and not is_last(tiny_recipe("engine.channels_last=false"))


def test_dropout_depends_on_the_seed_and_the_batch_alone() -> None:
    one = lone(tiny_recipe())

    def loss(index: int) -> float:
        torch.manual_seed(int(torch.randint(2**31, (1,))))
        return one.training_step(batch(), index).item()

    assert loss(0) == loss(0) and loss(0) != loss(1)


def test_the_step_s_loss_is_the_recipe_s() -> None:
    recipe = tiny_recipe("loss.label_smoothing=0.1", "model.options.dropout=0")
    one = lone(recipe)
    seen = batch()._replace(weights=torch.tensor([1.0, 0.5, 0.0, 2.0]))
    loss = one.training_step(seen, 0).item()
    p = torch.sigmoid(one.model(seen.inputs)[:, 0]).double()
    t = seen.targets.double() * 0.8 + 0.1
    each = -(t * p.log() + (1 - t) * (1 - p).log())
    assert loss == pytest.approx((each * seen.weights).mean().item(), rel=1e-4)


@pytest.mark.parametrize("mix", ["{name: mixup, alpha: 1}", "{name: cutmix, p: 1, axes: [0, 2]}"])
def test_a_mixed_batch_is_judged_by_mixed_labels(mix: str) -> None:
    recipe = tiny_recipe(f"mix={mix}", "model.options.dropout=0", "loss.label_smoothing=0")
    one, seen = lone(recipe), batch()._replace(weights=torch.tensor([1.0, 0.5, 0.0, 2.0]))
    assert one.mix is not None
    mixed = one.mix(
        images=seen.inputs,
        targets=seen.targets,
        weights=seen.weights,
        rng=np.random.default_rng((0, MIX_STREAM, 5)),
    )
    assert not torch.equal(mixed["images"], seen.inputs)
    assert ((mixed["targets"] > 0) & (mixed["targets"] < 1)).any()
    logits = one.model(mixed["images"])[:, 0].double()
    each = torch.nn.functional.binary_cross_entropy_with_logits(
        logits, mixed["targets"].double(), reduction="none"
    )
    expected = (each * mixed["weights"]).mean().item()
    assert one.training_step(seen, 5).item() == pytest.approx(expected, rel=1e-4)
    assert one.training_step(seen, 6).item() != pytest.approx(expected, rel=1e-4)


def test_validation_is_judged_in_the_order_of_the_samples_whoever_asked_about_them() -> None:
    """Two ranks have taken every second batch of two."""
    one = lone(tiny_recipe())
    logged: dict[str, float] = {}
    one.log = lambda name, value, **_: logged.update({name: value})
    numbers = (torch.tensor([0, 1, 4, 5]), torch.tensor([2, 3, 6]))
    labels = torch.tensor([0, 1, 1, 0, 0, 1, 1])
    logits = torch.tensor([-2.0, 1.0, 0.3, 0.4, -1.0, 2.0, -0.5])
    one._of_all_ranks = lambda: [(n, labels[n], logits[n]) for n in numbers]
    one.on_validation_epoch_end()
    assert list(one.labels) == labels.tolist()
    np.testing.assert_allclose(one.probabilities, torch.sigmoid(logits.double()))
    assert logged["val_auc"] == pytest.approx(roc_auc_score(labels, logits))
    assert logged["val_loss"] == pytest.approx(log_loss(labels, torch.sigmoid(logits)), rel=1e-5)
    calls = one.probabilities >= logged["threshold"]
    assert logged["val_mcc"] == pytest.approx(matthews_corrcoef(labels, calls))


@pytest.mark.parametrize(("world", "rank"), [(1, 0), (2, 1), (3, 2)])
def test_a_batch_has_one_number_however_many_ranks_there_are(
    monkeypatch: pytest.MonkeyPatch, world: int, rank: int
) -> None:
    recipe = tiny_recipe("sampler.batches_per_epoch=12")
    numbers: Callable[[int], int] = StallModule.batch_number.__get__(_Ranked(recipe, world, rank))
    assert [numbers(index) for index in range(12 // world)] == list(range(24 + rank, 36, world))


class _Ranked:
    """What the number of a batch is made of, in epoch 2."""

    current_epoch = 2

    def __init__(self, recipe: Recipe, world: int, rank: int) -> None:
        self.recipe = recipe
        self.trainer = type("Trainer", (), {"world_size": world, "global_rank": rank})
