"""A run end to end: its files, the same command again, awkward moments, a loss that diverges."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import matthews_corrcoef, roc_auc_score

from noise_set import Noise, NoiseSamples, tiny_recipe
from stallscan.errors import OutputConflictError, TrainingError
from stallscan.models import load_checkpoint
from stallscan.models.ensemble import flat_members, read_ensemble
from stallscan.training import TrainOptions, engine, load_recipe, module, train
from stallscan.training import run as run_file
from stallscan.training.history import History, draw_curves
from stallscan.training.module import StallModule
from stallscan.training.recipe import Recipe
from stallscan.training.samples import VALIDATION_STREAM, Sample, SampleKey, collate

pytestmark = pytest.mark.usefixtures("quick_runs")
OPTIONS = TrainOptions(seed=6, workers=0, device="cpu")
RECIPE = tiny_recipe()
COLUMNS = ["epoch", "train_loss", "val_loss", "val_auc", "val_mcc", "threshold", "lr", "seconds"]


def trained(
    run_dir: Path, recipe: Recipe = RECIPE, source: Noise | None = None, **more: Any
) -> Path:
    return train(run_dir, recipe, OPTIONS, source=source or Noise(), progress=False, **more)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory, quick_runs: None) -> Path:
    """An undisturbed run of two epochs."""
    return trained(tmp_path_factory.mktemp("runs") / "whole")


@pytest.fixture
def no_tensorboard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_logger", lambda run: False)


def history_of(run_dir: Path) -> pd.DataFrame:
    return pd.read_csv(run_dir / "history.csv").drop(columns="seconds")


def contents(run_dir: Path) -> dict[str, tuple[int, bytes]]:
    files = (path for path in run_dir.rglob("*") if path.is_file())
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def state_of(run_dir: Path) -> str:
    return str(json.loads((run_dir / "run.json").read_text())["state"])


# --- What a run leaves ------------------------------------------------------------------------


def test_history_has_a_row_for_each_epoch(run_dir: Path) -> None:
    history = pd.read_csv(run_dir / "history.csv")
    assert list(history.columns) == COLUMNS
    assert list(history["epoch"]) == [0, 1]
    assert np.isfinite(history.to_numpy()).all()
    assert history["val_auc"].between(0, 1).all()


def test_the_recipe_beside_the_weights_is_the_run_s(run_dir: Path) -> None:
    assert load_recipe(str(run_dir / "recipe.yaml")) == RECIPE


def test_the_folder_is_a_checkpoint_of_the_best_epoch(run_dir: Path) -> None:
    _, card = load_checkpoint(run_dir)
    history = history_of(run_dir)
    best = history.loc[history["val_auc"].idxmax()]
    assert card.architecture == "resnet18"
    assert card.options["width"] == 0.0625 and card.options["in_channels"] == 3
    assert card.preprocessing == json.loads(json.dumps(asdict(RECIPE.must_input.preprocessing())))
    assert card.training["best_epoch"] == best["epoch"]
    assert card.training["seed"] == 6 and card.training["recipe"] == "smoke"
    assert card.training["data"] == "noise" and card.training["fold"] == "0 of 5"
    assert card.training["precision"] == "float32"
    assert card.training["samples"] == (best["epoch"] + 1) * 4 * 2
    assert card.threshold == pytest.approx(best["threshold"], abs=1e-4)
    assert card.metrics["validation"]["auc"] == pytest.approx(best["val_auc"], abs=1e-4)
    assert (card.metrics["validation"]["n"], card.metrics["held_out"]["n"]) == (6, 8)
    assert card.notes == "Noise."


def test_the_best_epoch_is_kept_not_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    falling = iter([0.9, 0.4])
    monkeypatch.setattr(module, "roc_auc_score", lambda *_: next(falling))
    trained(tmp_path / "run")
    model, card = load_checkpoint(tmp_path / "run")
    assert card.training["best_epoch"] == 0 and card.training["samples"] == 8
    best = torch.load(tmp_path / "run/checkpoints/best.ckpt", weights_only=True)
    assert best["epoch"] == 0
    for key, value in model.named_parameters():  # but for float16
        torch.testing.assert_close(value, best["state_dict"][f"model.{key}"], rtol=1e-3, atol=1e-6)


def test_validation_csv_holds_the_predictions_behind_the_metrics(run_dir: Path) -> None:
    table = pd.read_csv(run_dir / "validation.csv")
    _, card = load_checkpoint(run_dir)
    assert list(table["filename"]) == [f"v0{number}.mp4" for number in range(8)]
    assert list(table["label"]) == [0, 1] * 4
    for name, rows in (("validation", table[table["monitored"]]), ("held_out", table)):
        known = card.metrics[name]
        auc = roc_auc_score(rows["label"], rows["probability"])
        assert known["auc"] == pytest.approx(auc, abs=1e-4)
        calls = rows["probability"] >= known["threshold"]
        assert known["mcc"] == pytest.approx(matthews_corrcoef(rows["label"], calls), abs=1e-4)
    assert card.threshold == card.metrics["validation"]["threshold"]


def test_the_saved_network_gives_the_validation_s_probabilities(
    run_dir: Path, tmp_path: Path
) -> None:
    """But for float16, of weights and of kept inputs."""
    network, _ = load_checkpoint(run_dir)
    data = Noise().open(tmp_path, RECIPE, OPTIONS.seed)
    inputs = collate([data.dataset[key] for key in data.held_out]).inputs
    with torch.no_grad():
        found = torch.sigmoid(network(inputs))[:, 0].numpy()
    expected = pd.read_csv(run_dir / "validation.csv")["probability"]
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_tensorboard_can_read_what_every_epoch_came_to(run_dir: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(run_dir / "tensorboard"))
    events.Reload()
    for name in ("train_loss", "val_auc", "val_mcc"):
        logged = [event.value for event in events.Scalars(name)]
        np.testing.assert_allclose(logged, history_of(run_dir)[name], rtol=1e-6)


def test_without_tensorboard_there_is_a_warning_and_no_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    find = engine.importlib.util.find_spec
    monkeypatch.setattr(
        engine.importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "tensorboard" else find(name, *rest),
    )
    with caplog.at_level(logging.WARNING, "stallscan"):
        trained(tmp_path / "run", tiny_recipe("stop.max_epochs=1"))
    assert "no TensorBoard log is written" in caplog.text and "pip install" in caplog.text
    assert not (tmp_path / "run" / "tensorboard").exists()
    assert state_of(tmp_path / "run") == "complete"


# --- Snapshots --------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_tensorboard")
def test_a_run_of_cycles_is_the_ensemble_of_its_snapshots(tmp_path: Path) -> None:
    recipe = tiny_recipe("schedule.name=cyclic", "schedule.cycles=2", "stop.max_epochs=4")
    out = trained(tmp_path / "run", recipe)
    folders = [out / "snapshots" / name for name in ("cycle1", "cycle2")]
    assert flat_members(out) == [(folder, 0.5) for folder in folders]
    assert not (out / "model.json").exists() and not (out / "checkpoints/best.ckpt").exists()
    data = Noise().open(tmp_path, recipe, OPTIONS.seed)
    inputs = collate([data.dataset[key] for key in data.held_out]).inputs
    with torch.no_grad():
        each = [torch.sigmoid(load_checkpoint(one)[0](inputs))[:, 0].numpy() for one in folders]
    table = pd.read_csv(out / "validation.csv")  # of inputs that were kept in float16
    np.testing.assert_allclose(table["probability"], np.mean(each, axis=0), atol=1e-4)
    assert np.abs(each[0] - each[1]).max() > 1e-3
    card = read_ensemble(out)
    known = table[table["monitored"]]
    auc = roc_auc_score(known["label"], known["probability"])
    assert card.metrics["validation"]["auc"] == pytest.approx(auc, abs=1e-4)
    assert card.threshold == card.metrics["validation"]["threshold"]
    # The last snapshot is of the weights at the run's end.
    last = torch.load(out / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    for key, value in load_checkpoint(folders[1])[0].named_parameters():
        torch.testing.assert_close(value, last[f"model.{key}"], rtol=1e-3, atol=1e-6)


# --- The same command again -------------------------------------------------------------------


def test_a_complete_run_is_left_alone(run_dir: Path) -> None:
    before = contents(run_dir)
    assert trained(run_dir) == run_dir
    # Where the work is done, and what the recipe says about itself, decide nothing.
    elsewhere = replace(OPTIONS, workers=2, device="auto")
    about = replace(RECIPE, about="Another sentence.")
    train(run_dir, about, elsewhere, source=Noise(), progress=False)
    assert contents(run_dir) == before


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (lambda: {"options": replace(OPTIONS, seed=7)}, "seed was 6, now 7"),
        (lambda: {"recipe": tiny_recipe("stop.max_epochs=7")}, "'max_epochs': 7"),
        (lambda: {"source": Noise(1)}, "fold was 0, now 1"),
    ],
)
def test_another_run_is_refused(
    run_dir: Path, change: Callable[[], dict[str, Any]], difference: str
) -> None:
    before = contents(run_dir)
    chosen: dict[str, Any] = {"recipe": RECIPE, "options": OPTIONS, "source": Noise()}
    with pytest.raises(OutputConflictError) as caught:
        train(run_dir, progress=False, **chosen | change())
    for part in (str(run_dir), difference, "--overwrite"):
        assert part in str(caught.value)
    assert contents(run_dir) == before


@pytest.mark.usefixtures("no_tensorboard")
def test_overwriting_begins_anew(run_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(run_dir, tmp_path / "run")
    trained(tmp_path / "run", tiny_recipe("stop.max_epochs=1"), overwrite=True)
    assert list(history_of(tmp_path / "run")["epoch"]) == [0]
    assert not (tmp_path / "run" / "tensorboard").exists()


# --- Awkward moments (see tests/end_to_end/test_kill_train.py for real kills) ------------------


class Killed(BaseException):
    """Stands for a kill where the process need not really end."""


@pytest.mark.usefixtures("no_tensorboard")
@pytest.mark.parametrize("when", ["before the history's row", "before the export"])
def test_a_whole_epoch_is_not_trained_again(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise Killed

    original = History.on_train_epoch_end

    def killed_in_the_second(self: History, trainer: Any, module: Any) -> None:
        if trainer.current_epoch == 1:
            raise Killed
        original(self, trainer, module)

    with monkeypatch.context() as patch:
        if when == "before the history's row":
            patch.setattr(History, "on_train_epoch_end", killed_in_the_second)
        else:
            patch.setattr(run_file, "export", killed)
        with pytest.raises(Killed):
            trained(tmp_path / "run")
    assert not (tmp_path / "run/model.json").exists()
    assert state_of(tmp_path / "run") == "partial"
    steps: list[int] = []
    step = StallModule.training_step

    def counted(self: StallModule, batch: Any, index: int) -> torch.Tensor:
        steps.append(self.current_epoch)
        return step(self, batch, index)

    monkeypatch.setattr(StallModule, "training_step", counted)
    trained(tmp_path / "run")
    assert steps == ([1, 1] if when == "before the history's row" else [])
    pd.testing.assert_frame_equal(history_of(tmp_path / "run"), history_of(run_dir))
    for name in ("weights.safetensors", "validation.csv"):
        assert (tmp_path / "run" / name).read_bytes() == (run_dir / name).read_bytes()


def test_history_drops_the_rows_of_epochs_that_are_repeated(tmp_path: Path) -> None:
    pd.DataFrame(
        {"epoch": [0, 1, 2], "train_loss": [0.7, 0.6, 0.5], "val_auc": 0.9, "lr": 1.0}
    ).to_csv(tmp_path / "history.csv", index=False)
    trainer = SimpleNamespace(
        current_epoch=1,
        is_global_zero=True,
        callback_metrics={"train_loss": torch.tensor(0.4), "val_auc": 0.8, "other": 1},
        optimizers=[SimpleNamespace(param_groups=[{"lr": 0.5}])],
    )
    History(tmp_path, "val_auc").on_train_epoch_end(trainer, None)  # type: ignore[arg-type]
    expected = pd.DataFrame(
        {"epoch": [0, 1], "train_loss": [0.7, 0.4], "val_auc": [0.9, 0.8], "lr": [1.0, 0.5]}
    )
    pd.testing.assert_frame_equal(history_of(tmp_path), expected, check_exact=False, rtol=1e-6)


def test_the_second_of_several_processes_writes_no_history(tmp_path: Path) -> None:
    trainer = SimpleNamespace(is_global_zero=False)
    History(tmp_path, "val_auc").on_train_epoch_end(trainer, None)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_the_curves_are_a_picture(run_dir: Path, tmp_path: Path) -> None:
    draw_curves(pd.read_csv(run_dir / "history.csv"), tmp_path / "curves.png", "val_auc")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


# --- What is not finite -----------------------------------------------------------------------


class Poisoned(NoiseSamples):
    """One sample of the second epoch is not a number."""

    def __getitem__(self, key: SampleKey) -> Sample:
        sample = super().__getitem__(key)
        if (key.stream, key.epoch, key.number) != (0, 1, 2):
            return sample
        return sample._replace(input=torch.full_like(sample.input, float("nan")))


class PoisonedValidation(NoiseSamples):
    """Two held-out samples are not finite."""

    def __getitem__(self, key: SampleKey) -> Sample:
        sample = super().__getitem__(key)
        if key.stream != VALIDATION_STREAM or key.number not in (1, 4):
            return sample
        return sample._replace(input=torch.full_like(sample.input, float("inf")))


@pytest.mark.usefixtures("no_tensorboard")
def test_a_loss_that_is_not_finite_ends_training_and_the_last_good_state_is_kept(
    run_dir: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    with pytest.raises(TrainingError) as caught:
        trained(out, source=Noise(samples=Poisoned))
    last = out / "checkpoints" / "last.ckpt"
    for part in (
        f"{out}: loss is nan in epoch 1, batch 0",
        f"the last good state is {last}",
        "optimizer.lr=0.0003",
        "optimizer.clip=1",
    ):
        assert part in str(caught.value)
    assert torch.load(last, weights_only=True)["epoch"] == 0
    assert state_of(out) == "partial" and not (out / "model.json").exists()
    # Once the cause is gone the same command goes on from there.
    trained(out)
    pd.testing.assert_frame_equal(history_of(out), history_of(run_dir))
    expected = (run_dir / "weights.safetensors").read_bytes()
    assert (out / "weights.safetensors").read_bytes() == expected


@pytest.mark.usefixtures("no_tensorboard")
def test_validation_that_is_not_finite_ends_training(tmp_path: Path) -> None:
    with pytest.raises(TrainingError) as caught:
        trained(tmp_path / "run", source=Noise(samples=PoisonedValidation))
    for part in ("2 of 6 validation logits are not finite", "epoch 0", "no epoch has ended yet"):
        assert part in str(caught.value)
    assert not (tmp_path / "run" / "checkpoints" / "best.ckpt").exists()


# --- The disk ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_tensorboard")
def test_a_full_disk_is_not_mistaken_for_other_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real ones: tests/end_to_end/test_kill_train.py."""

    def lost(*_: object) -> None:
        raise FileNotFoundError(2, "No such file or directory", "rois.lmdb")

    monkeypatch.setattr(run_file, "export", lost)
    with pytest.raises(FileNotFoundError, match=r"rois\.lmdb"):
        trained(tmp_path / "run", tiny_recipe("stop.max_epochs=1"))


@pytest.mark.usefixtures("no_tensorboard")
def test_a_checkpoint_that_found_no_room_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no folder for temporary files is needed, which may be full or on another disk."""
    monkeypatch.setattr("tempfile.mkstemp", lambda *_, **__: pytest.fail("went through /tmp"))
    write = Path.write_bytes

    def full(self: Path, data: Any) -> int:
        if self.name == "last.ckpt.tmp" and (self.parent / "last.ckpt").exists():
            write(self, bytes(data)[:100])
            raise OSError(28, "No space left on device")
        return write(self, data)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(TrainingError, match=r"No space left on device.*free some space"):
            trained(tmp_path / "run")
    folder = tmp_path / "run" / "checkpoints"
    assert sorted(path.name for path in folder.iterdir()) == ["best.ckpt", "last.ckpt"]
    assert torch.load(folder / "last.ckpt", weights_only=True)["epoch"] == 0
