"""A run end to end: its files, the same command again, kill -9 and resume, a loss that diverges."""

import json
import math
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import matthews_corrcoef, roc_auc_score

from stallscan import augment
from stallscan.errors import OutputConflictError, TrainingError
from stallscan.models import load_checkpoint
from stallscan.training import RECIPES, TrainOptions, train
from stallscan.training.history import History
from stallscan.training.module import StallModule
from stallscan.training.phantom_data import PhantomRois, validation_keys
from stallscan.training.samples import SampleKey

OPTIONS = TrainOptions(recipe="smoke", seed=6, workers=0, device="cpu")
SMOKE = RECIPES["smoke"]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Sums in one order, so that runs can be compared to the last digit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An undisturbed run of two epochs."""
    return train(tmp_path_factory.mktemp("runs") / "whole", OPTIONS, progress=False)


def history_of(run_dir: Path) -> pd.DataFrame:
    return pd.read_csv(run_dir / "history.csv").drop(columns="seconds")


def snapshot(run_dir: Path) -> dict[str, tuple[int, bytes]]:
    files = (path for path in run_dir.rglob("*") if path.is_file())
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


# --- What a run leaves ------------------------------------------------------------------------


def test_history_has_a_row_for_each_epoch(run_dir: Path) -> None:
    history = pd.read_csv(run_dir / "history.csv")
    assert list(history.columns) == [
        *("epoch", "train_loss", "val_loss", "val_auc", "val_mcc", "threshold", "seconds")
    ]
    assert list(history["epoch"]) == [0, 1]
    assert np.isfinite(history.to_numpy()).all()
    assert history["val_auc"].between(0, 1).all()
    assert (run_dir / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_the_augmentation_is_kept_beside_the_weights(run_dir: Path) -> None:
    assert SMOKE.augmentation is not None
    kept = augment.from_yaml((run_dir / "augmentation.yaml").read_text())
    assert kept == augment.preset(SMOKE.augmentation)
    assert load_checkpoint(run_dir)[1].training["augmentation"] == SMOKE.augmentation


def test_the_folder_is_a_checkpoint_of_the_best_epoch(run_dir: Path) -> None:
    _, card = load_checkpoint(run_dir)
    history = history_of(run_dir)
    best = history.loc[history["val_auc"].idxmax()]
    assert card.architecture == SMOKE.architecture
    assert card.options == SMOKE.model_options
    assert card.preprocessing == json.loads(json.dumps(asdict(SMOKE.preprocessing)))
    assert card.training["best_epoch"] == best["epoch"]
    assert card.training["seed"] == OPTIONS.seed and card.training["recipe"] == "smoke"
    assert card.training["phantom"] == "randomised"
    assert card.training["validation_phantom"] == "clogloss"
    samples = (best["epoch"] + 1) * SMOKE.batch_size * SMOKE.batches_per_epoch
    assert card.training["samples"] == samples
    assert card.threshold == pytest.approx(best["threshold"], abs=1e-4)
    assert card.metrics["validation"]["val_auc"] == pytest.approx(best["val_auc"], abs=1e-4)
    assert card.metrics["validation"]["n"] == 8
    assert "synthetic" in card.notes and "not a medical device" in card.notes


def random_sample(self: PhantomRois, key: SampleKey) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise in the place of a phantom: quick, another one for every key."""
    noise = torch.Generator().manual_seed(1000 * key.stream + 100 * key.epoch + key.number)
    return torch.rand(3, 16, 32, 32, generator=noise), torch.tensor(float(key.label))


def test_the_best_epoch_is_kept_not_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    falling = iter([0.9, 0.4, 0.9])  # two epochs, then the best one once more for the card
    monkeypatch.setattr(PhantomRois, "__getitem__", random_sample)
    monkeypatch.setitem(
        StallModule.on_validation_epoch_end.__globals__, "roc_auc_score", lambda *_: next(falling)
    )
    train(tmp_path / "run", OPTIONS, progress=False)
    model, card = load_checkpoint(tmp_path / "run")
    assert card.training["best_epoch"] == 0
    assert card.training["samples"] == SMOKE.batch_size * SMOKE.batches_per_epoch
    best = torch.load(tmp_path / "run/checkpoints/best.ckpt", weights_only=True)
    assert best["epoch"] == 0
    for key, value in model.named_parameters():  # but for float16
        torch.testing.assert_close(value, best["state_dict"][f"model.{key}"], rtol=1e-3, atol=1e-6)


def test_validation_csv_holds_the_predictions_behind_the_metrics(run_dir: Path) -> None:
    table = pd.read_csv(run_dir / "validation.csv")
    _, card = load_checkpoint(run_dir)
    assert list(table["label"]) == [0, 1] * 4
    known = card.metrics["validation"]
    auc = roc_auc_score(table["label"], table["probability"])
    assert known["val_auc"] == pytest.approx(auc, abs=1e-4)
    calls = table["probability"] >= card.threshold
    assert known["val_mcc"] == pytest.approx(matthews_corrcoef(table["label"], calls), abs=1e-4)


def test_the_saved_network_gives_the_validation_s_probabilities(run_dir: Path) -> None:
    """But for float16, of weights and of stored inputs."""
    model, _ = load_checkpoint(run_dir)
    dataset = PhantomRois(OPTIONS.seed, SMOKE)
    inputs = torch.stack([dataset[key][0] for key in validation_keys(8)])
    with torch.no_grad():
        found = torch.sigmoid(model(inputs))[:, 0].numpy()
    expected = pd.read_csv(run_dir / "validation.csv")["probability"]
    np.testing.assert_allclose(found, expected, atol=2e-3)


# --- The same command again -------------------------------------------------------------------


def test_a_complete_run_is_left_alone(run_dir: Path) -> None:
    before = snapshot(run_dir)
    assert train(run_dir, OPTIONS, progress=False) == run_dir
    # Where the work is done decides nothing about the result.
    train(run_dir, replace(OPTIONS, workers=2, device="auto"), progress=False)
    assert snapshot(run_dir) == before


@pytest.mark.parametrize(
    ("changes", "difference"),
    [({"seed": 7}, "seed was 6, now 7"), ({"max_epochs": 7}, "'max_epochs': 7")],
)
def test_other_options_are_refused(run_dir: Path, changes: dict[str, int], difference: str) -> None:
    before = snapshot(run_dir)
    with pytest.raises(OutputConflictError) as caught:
        train(run_dir, replace(OPTIONS, **changes), progress=False)
    for part in (str(run_dir), difference, "--overwrite"):
        assert part in str(caught.value)
    assert snapshot(run_dir) == before


KILLED_IN_EPOCH_2 = """
import os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from stallscan.training import TrainOptions, train
from stallscan.training.module import StallModule

step = StallModule.training_step

def killed(self, batch, index):
    if (self.current_epoch, index) == (1, 1):
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, batch, index)

StallModule.training_step = killed
options = TrainOptions(recipe="smoke", seed=6, workers=2, device="cpu")
train(Path(sys.argv[1]), options, progress=False)
"""


def test_a_killed_run_ends_as_an_undisturbed_one(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_dir = tmp_path / "killed"
    process = subprocess.run([sys.executable, "-c", KILLED_IN_EPOCH_2, str(killed_dir)])
    assert process.returncode == -signal.SIGKILL
    assert list(history_of(killed_dir)["epoch"]) == [0]
    assert not (killed_dir / "model.json").exists()
    steps, step = [], StallModule.training_step

    def counted(self: StallModule, batch: Any, index: int) -> torch.Tensor:
        steps.append((self.current_epoch, index))
        return step(self, batch, index)

    monkeypatch.setattr(StallModule, "training_step", counted)
    train(killed_dir, OPTIONS, progress=False)
    assert steps == [(1, 0), (1, 1)]  # the first epoch is not trained again
    pd.testing.assert_frame_equal(history_of(killed_dir), history_of(run_dir), rtol=1e-5)
    for name in ("weights.safetensors", "validation.csv"):
        assert (killed_dir / name).read_bytes() == (run_dir / name).read_bytes()


class Killed(BaseException):
    """Stands for a kill where the process need not really end."""


@pytest.mark.parametrize("when", ["before the history's row", "before the export"])
def test_killed_at_awkward_moments(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """The epoch's checkpoint is there and its row is not; training is over, the export is not."""

    def killed(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        if when == "before the history's row":
            patch.setattr(History, "on_train_epoch_end", killed)
        else:
            patch.setitem(train.__globals__, "_export", killed)
        with pytest.raises(Killed):
            train(tmp_path / "run", OPTIONS, progress=False)
    assert not (tmp_path / "run/model.json").exists()
    train(tmp_path / "run", OPTIONS, progress=False)
    pd.testing.assert_frame_equal(history_of(tmp_path / "run"), history_of(run_dir), rtol=1e-5)
    found = (tmp_path / "run/weights.safetensors").read_bytes()
    assert found == (run_dir / "weights.safetensors").read_bytes()


def test_history_drops_the_rows_of_epochs_that_are_repeated(tmp_path: Path) -> None:
    pd.DataFrame({"epoch": [0, 1, 2], "train_loss": [0.7, 0.6, 0.5], "val_auc": 0.9}).to_csv(
        tmp_path / "history.csv", index=False
    )
    trainer = SimpleNamespace(
        current_epoch=1,
        callback_metrics={"train_loss": torch.tensor(0.4), "val_auc": 0.8, "other": 1},
    )
    History(tmp_path).on_train_epoch_end(trainer, None)
    expected = pd.DataFrame({"epoch": [0, 1], "train_loss": [0.7, 0.4], "val_auc": [0.9, 0.8]})
    pd.testing.assert_frame_equal(history_of(tmp_path), expected)


# --- The module -------------------------------------------------------------------------------


def test_a_loss_that_is_not_finite_ends_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def poisoned(self: PhantomRois, key: object) -> tuple[torch.Tensor, torch.Tensor]:
        _, epoch, number, label = key
        value = float("nan") if (epoch, number) == (1, 6) else float(number)
        return torch.full((3, 16, 32, 32), value), torch.tensor(float(label))

    monkeypatch.setattr(PhantomRois, "__getitem__", poisoned)
    with pytest.raises(TrainingError) as caught:
        train(tmp_path / "run", OPTIONS, progress=False)
    for part in ("loss is nan in epoch 1, batch 1", "checkpoints/last.ckpt", "learning rate"):
        assert part in str(caught.value)
    assert (tmp_path / "run/checkpoints/last.ckpt").is_file()
    assert json.loads((tmp_path / "run/run.json").read_text())["state"] == "partial"


def test_the_loss_is_cross_entropy_against_smoothed_labels() -> None:
    options = {**SMOKE.model_options, "dropout": 0.0}  # two forward passes are compared
    recipe = replace(SMOKE, label_smoothing=0.1, model_options=options)
    module = StallModule(replace(recipe, max_epochs=2), 0)
    module.log = lambda *_, **__: None
    inputs, labels = torch.randn(4, 3, 16, 32, 32), torch.tensor([0.0, 1.0, 1.0, 0.0])
    torch.manual_seed(0)
    loss = module.training_step((inputs, labels), 0).item()
    probability = torch.sigmoid(module.model(inputs)[:, 0]).double()
    target = torch.tensor([0.1, 0.9, 0.9, 0.1])
    expected = -(target * probability.log() + (1 - target) * (1 - probability).log()).mean()
    assert loss == pytest.approx(expected.item(), rel=1e-4)


def test_the_rate_warms_up_for_an_epoch_and_falls_to_zero() -> None:
    recipe = replace(SMOKE, batches_per_epoch=10, learning_rate=2e-3)
    configured = StallModule(replace(recipe, max_epochs=5), 0).configure_optimizers()
    optimizer = configured["optimizer"]
    scheduler = configured["lr_scheduler"]["scheduler"]
    assert configured["lr_scheduler"]["interval"] == "step"
    rates = []
    for _ in range(51):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    np.testing.assert_allclose(rates[:10], 2e-4 * np.arange(1, 11))
    progress = np.arange(41) / 40
    np.testing.assert_allclose(rates[10:], 1e-3 * (1 + np.cos(math.pi * progress)), atol=1e-12)


def test_weights_decay_and_biases_do_not() -> None:
    module = StallModule(replace(SMOKE, weight_decay=0.03, max_epochs=2), 0)
    decayed, plain = module.configure_optimizers()["optimizer"].param_groups
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.03, 0.0)
    assert all(p.ndim > 1 for p in decayed["params"]) and all(p.ndim == 1 for p in plain["params"])
    n_groups = len(decayed["params"]) + len(plain["params"])
    assert n_groups == len(list(module.model.parameters()))
