"""The examples of training go their whole way; the page on training says what the recipes are."""

from __future__ import annotations

import csv
import importlib.util
import json
import re
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest
import torch
import yaml

from labelled import METADATA
from stallscan.cli import main as stallscan_command
from stallscan.data import STALLED_BY_SCORE, RoiStore
from stallscan.models.card import read_card
from stallscan.simulate import phantom_roi
from stallscan.simulate.settings import load_settings
from stallscan.training import RECIPES, Recipe, history, load_recipe
from stallscan.training import run as run_file

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
Write = Callable[..., Path]


def example(name: str) -> ModuleType:
    """A script of examples/, imported and not run."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", ROOT / f"examples/{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def drawn_data_set(write: Write, n_train: int, n_test: int) -> None:
    """What simulate would write, of clips that cost nothing; every other vessel is stalled."""
    folder = write("out/data/train/000.mp4", seed=0).parents[1]
    names = {"train": range(n_train), "test": range(n_train, n_train + n_test)}
    for split, numbers in names.items():
        rows = [(f"{number:03d}.mp4", number % 2) for number in numbers]
        for name, stalled in rows:
            write(f"out/data/{split}/{name}", seed=stalled)
        lines = ["filename,stalled", *(f"{name},{stalled}" for name, stalled in rows)]
        (folder / f"{split}_labels.csv").write_text("\n".join(lines) + "\n")
    blank = re.sub(r",\d$", ",0", "\n".join(lines), flags=re.MULTILINE)
    (folder / "submission_format.csv").write_text(blank + "\n")
    # The last two are not of the first tier, so that the third stage has fewer videos.
    rows = [
        f"{n:03d}.mp4,u,A,8,{n % 2 * 0.8},{n < n_train - 2},False,False" for n in range(n_train)
    ]
    (folder / "train_metadata.csv").write_text("\n".join([METADATA, *rows]) + "\n")


def test_three_stages_over_folds_to_a_submission(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    write_drawn_clip: Write,
) -> None:
    script = example("stages")
    typed: list[list[str]] = []

    def command(arguments: list[str]) -> int:
        typed.append(arguments)
        if arguments[0] == "simulate":
            drawn_data_set(write_drawn_clip, int(arguments[3]), int(arguments[5]))
            return 0
        return stallscan_command(arguments)

    monkeypatch.setattr(script, "stallscan_command", command)
    # Tested elsewhere, and here for six networks.
    monkeypatch.setattr(history, "draw_curves", lambda *_: None)
    monkeypatch.setattr(run_file, "require_memory_for", lambda *_, **__: None)
    out = tmp_path / "out"
    network = ("model.architecture=resnet18", "model.options.width=0.0625", "input.size=[32,32,32]")
    smaller = (*network, "sampler.batches_per_epoch=2", "sampler.batch_size=2")
    options = ["--videos", "12", "--epochs", "1", "--set", "folds.n=2", *smaller]
    monkeypatch.setattr(sys, "argv", ["stages.py", "--out", str(out), *options])
    script.main()

    verbs = ["simulate", "extract", "train", "train", "train", "predict", "evaluate"]
    assert [arguments[0] for arguments in typed] == verbs
    starts = [" ".join(arguments).partition(" --start ")[2].split(" ")[0] for arguments in typed]
    assert starts[2:5] == ["", str(out / "stage1"), str(out / "stage2")]
    assert str(out / "stage3") in typed[5]
    metadata = str(out / "data" / "train_metadata.csv")
    assert all(metadata in arguments for arguments in typed[2:5])
    for number, n_videos in ((1, 12), (2, 12), (3, 10)):
        held_out = pd.read_csv(out / f"stage{number}" / "out_of_fold.csv")
        assert len(held_out) == n_videos and held_out["filename"].is_unique
        for fold in (0, 1):
            training = read_card(out / f"stage{number}" / f"fold{fold}").training
            assert training["recipe"] == f"winner-stage{number}"
            assert training.get("start") == (f"fold{fold}" if number > 1 else None)
    with (out / "submission.csv").open() as file:
        submission = list(csv.reader(file))
    assert [row[0] for row in submission] == ["filename", "012.mp4", "013.mp4", "014.mp4"]
    assert {row[1] for row in submission[1:]} <= {"0", "1"}
    said = capsys.readouterr().out
    found = json.loads((out / "stage3" / "ensemble.json").read_text())["metrics"]["out_of_fold"]
    assert f"stage3  AUC {found['auc']:.3f}  MCC {found['mcc']:.3f}  10 videos" in said
    assert re.search(r"test +AUC \d\.\d{3}  MCC -?\d\.\d{3}  3 videos", said)


def test_the_winners_recipes_are_narrowed_by_keys_alone() -> None:
    narrow = example("stages").NARROW
    for stage in (1, 2, 3):
        recipe, whole = (
            load_recipe(f"winner-stage{stage}", narrow),
            load_recipe(f"winner-stage{stage}"),
        )
        assert isinstance(recipe, Recipe) and isinstance(whole, Recipe)
        assert recipe.must_model.architecture == whole.must_model.architecture
        for section in ("augmentation", "data", "validation", "folds", "loss", "schedule", "start"):
            assert getattr(recipe, section) == getattr(whole, section)


def test_fine_tuning_before_and_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = example("finetune")
    monkeypatch.setattr(script, "ProcessPoolExecutor", lambda n, mp_context: ThreadPoolExecutor(n))
    out = tmp_path / "out"
    smaller = ("sampler.batch_size=2", "sampler.batches_per_epoch=1", "stop.max_epochs=1")
    options = ["--train", "8", "--test", "4", "--set", "folds.n=2", *smaller]
    monkeypatch.setattr(sys, "argv", ["finetune.py", "--out", str(out), *options])
    script.main()

    before, after = (pd.read_csv(out / f"{name}.csv") for name in ("before", "after"))
    assert before["filename"].tolist() == after["filename"].tolist() and len(after) == 4
    assert set(before["model"]) == {"fast"} and set(after["model"]) == {"tuned"}
    assert not before["probability"].equals(after["probability"])
    assert read_card(out / "tuned").training["start"] == "fast"
    train, test = (RoiStore(out / f"{name}.lmdb") for name in ("train", "test"))
    assert len(train) == 8 and len(test) == 4
    assert {train.summary(n).box for n in train.names}.isdisjoint(
        test.summary(n).box for n in test.names
    )
    found = json.loads((out / "report-after" / "metrics.json").read_text())["scores"]["roc_auc"]
    assert f"  after   {found:.3f} (" in capsys.readouterr().out


def test_its_training_and_test_vessels_differ_and_are_the_labs() -> None:
    script = example("finetune")
    train, test = script.render((5, 0, 3)), script.render((5, 1, 3))
    assert (
        train.volume.array.shape != test.volume.array.shape
        or (train.volume.array != test.volume.array).any()
    )
    expected, _ = phantom_roi((5, 1, 3), script.label_of(3), load_settings("clogloss", script.LAB))
    assert (expected.array == test.volume.array).all()


# The page


@pytest.mark.parametrize("name", RECIPES)
def test_the_page_has_every_recipe_as_it_is(name: str) -> None:
    (row,) = re.findall(rf"^\| `{name}` \|.*$", PAGE, re.MULTILINE)
    recipe = load_recipe(name)
    if not isinstance(recipe, Recipe):
        return
    sampler = recipe.sampler
    sizes = f"| {sampler.batch_size} × {recipe.optimizer.accumulate}; "
    assert f"{sizes}{sampler.batches_per_epoch:,} |" in row
    if recipe.input is not None and None not in recipe.input.size and recipe.start is None:
        assert "×".join(map(str, recipe.input.size)) in row


def test_the_pages_recipe_file_can_be_read(tmp_path: Path) -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    recipe = load_recipe(str(path))
    assert isinstance(recipe, Recipe)
    given = yaml.safe_load(text)
    assert recipe.sampler.by_project and recipe.must_model.options == given["model"]["options"]
    assert recipe.optimizer.accumulate == given["optimizer"]["accumulate"]


def test_the_pages_table_of_labels_is_the_one_that_weighs_them() -> None:
    for start, column in (
        ("videos that experts looked at", "n"),
        ("stalled by the experts", "stalled"),
    ):
        (row,) = re.findall(rf"^\| {start} \| (.*) \|$", PAGE, re.MULTILINE)
        figures = [int(cell.replace(",", "")) for cell in row.split("|")]
        assert figures == [getattr(entry, column) for entry in STALLED_BY_SCORE]
