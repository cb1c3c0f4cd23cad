"""``stallscan train`` and ``stallscan recipes``: exit codes, messages, what a dry run says."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd
import pytest

from labelled import Video, plain_volume, write_labelled
from stallscan.cli import main
from stallscan.models.ensemble import read_ensemble
from stallscan.roi.volume import Volume
from stallscan.training import RECIPES, Videos, load_recipe, phantom_data

QUICK = (
    *("--recipe", "smoke", "--set", "stop.max_epochs=1", "validation.n=4", "sampler.batch_size=2"),
    *("--device", "cpu", "--workers", "0"),
)


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


@pytest.fixture
def no_rendering(monkeypatch: pytest.MonkeyPatch) -> None:
    def quick(where: tuple[int, ...], *_: object) -> tuple[Volume, None]:
        return plain_volume(where[-1] + 1), None

    monkeypatch.setattr(phantom_data, "phantom_roi", quick)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Videos:
    videos = [Video(stalled=n % 2) for n in range(12)]
    return write_labelled(tmp_path_factory.mktemp("labelled"), videos)


# --- Runs -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_rendering")
def test_one_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "runs" / "x"
    assert run("train", "phantom", *QUICK, "--out", out) == 0
    captured = capsys.readouterr()
    assert (
        captured.out == f"{out}: validation.csv, history.csv, curves.png; predict --model {out}\n"
    )
    assert "x: epoch 1 of 1" in captured.err  # the bar
    recipe = load_recipe(str(out / "recipe.yaml"))
    assert recipe == load_recipe("smoke", [*QUICK[3:6], "augmentation.device=false"])  # not auto
    # The same again does nothing; quietly, if it is told so; another seed is another run.
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    assert run("train", "phantom", *QUICK, "--out", out, "-q") == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    assert run("train", "phantom", *QUICK, "--out", out, "--seed", "1") == 2
    assert "seed was 0, now 1" in capsys.readouterr().err
    assert run("train", "phantom", *QUICK, "--out", out, "--seed", "1", "--overwrite", "-q") == 0
    assert json.loads((out / "run.json").read_text())["options"]["seed"] == 1


def test_a_fold_of_labelled_videos(labelled: Videos, tmp_path: Path) -> None:
    out = tmp_path / "x"
    tables = ("--labels", labelled.labels, "--metadata", labelled.metadata)
    arguments = ("train", labelled.data, *tables, *QUICK, "--set", "folds.n=3", "--out", out, "-q")
    assert run(*arguments, "--folds", "2") == 0
    options = json.loads((out / "run.json").read_text())["options"]
    assert options["fold"] == 2 and options["recipe"]["folds"]["n"] == 3
    assert len(pd.read_csv(out / "validation.csv")) == 4


def test_all_folds_one_by_one_and_together(
    labelled: Videos, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "x"
    tables = ("--labels", labelled.labels)
    common = ("train", labelled.data, *tables, *QUICK, "--set", "folds.n=2", "--out", out)
    assert run(*common, "--folds", "all", "--job", "1", "-q") == 0
    assert not (out / "fold0").exists() and (out / "fold1" / "model.json").exists()
    assert run(*common, "--folds", "all") == 0
    assert f"ensemble {out}: predict --model {out}" in capsys.readouterr().out
    assert len(pd.read_csv(out / "out_of_fold.csv")) == 12
    assert [member.path for member in read_ensemble(out).members] == ["fold0", "fold1"]
    assert (out / "report").is_dir()


# --- Looking first ----------------------------------------------------------------------------


def test_a_dry_run_writes_nothing(
    labelled: Videos,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(labelled.data.parent.rglob("*"))
    for data in ("phantom", labelled.data):
        tables = () if data == "phantom" else ("--labels", labelled.labels)
        arguments = ("train", data, *tables, *QUICK, "--dry-run")
        assert run(*arguments, "--set", "optimizer.lr=3e-4", "--set", "folds.n=2") == 0
        said = capsys.readouterr().out
        for part in ("lr: 0.0003", "batch_size: 2", "resnet18", "2 samples × 1", "memory"):
            assert part in said
        assert run(*arguments, "--out", tmp_path / "x") == 0
        capsys.readouterr()
    assert not list(tmp_path.iterdir())
    assert sorted(labelled.data.parent.rglob("*")) == before


def test_a_dry_run_of_an_ensemble_lists_its_jobs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("train", "phantom", "--recipe", "ensemble-18", "--dry-run") == 0
    said = capsys.readouterr().out
    assert "job  0  densenet121/fold0" in said and "job 17  densenet201/fold2" in said


def test_recipes_are_listed_and_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("recipes") == 0
    said = capsys.readouterr().out
    for name in RECIPES:
        assert f"{name} " in said and load_recipe(name).about in said
    for name in ("winner-stage3", "ensemble-18"):
        assert run("recipes", name) == 0
        file = tmp_path / f"{name}.yaml"
        file.write_text(capsys.readouterr().out)
        assert load_recipe(str(file)) == load_recipe(name)
    assert run("recipes", "smok") == 2
    assert "did you mean 'smoke'?" in capsys.readouterr().err


def test_the_help_fits_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 45 and max(map(len, lines)) <= 80


# --- Several values of --set ------------------------------------------------------------------


def test_several_values_after_one_set_and_several_sets(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("train", "phantom", "--recipe", "smoke", "--device", "cpu", "--dry-run")
    sets = ("--set", "optimizer.lr=0.5", "stop.max_epochs=3", "--set", "input.size=[8, 16, 16]")
    assert run(*arguments, *sets) == 0
    said = capsys.readouterr().out
    for part in ("lr: 0.5", "max_epochs: 3", "size: [8, 16, 16]"):
        assert part in said


# --- What is refused --------------------------------------------------------------------------

REFUSED = {
    "recipe": (["--recipe", "smok"], ["'smok'", "did you mean 'smoke'?", "give a .yaml file"]),
    "key": (["--set", "optimiser.lr=1"], ["'optimiser'", "did you mean 'optimizer'?"]),
    "value": (["--set", "optimizer.lr=-1"], ["optimizer.lr is -1.0", "above 0"]),
    "no value": (["--set", "optimizer.lr"], ["--set is 'optimizer.lr'", "key=value"]),
    "no folder": ([], ["--out is missing", "name the folder"]),
    "folds": (["--folds", "x"], ["--folds is 'x'", "all, and 0 to 4"]),
    "a negative fold": (["--folds=-1"], ["--folds is '-1'", "all, and 0 to 4"]),
    "a fold too many": (["--folds", "5", "--dry-run"], ["5", "0 to 4"]),
    "job of one run": (["--job", "1"], ["--job is 1", "one run", "--folds all"]),
    "job too many": (
        ["--job", "5", "--folds", "all", "--out", "x"],
        ["--job is 5", "0 to 4", "fold0, fold1"],
    ),
    "folds of an ensemble": (
        ["--recipe", "ensemble-18", "--folds", "1"],
        ["--folds is 1", "ensemble-18", "--job"],
    ),
    "labels of the phantom": (["--labels", "t.csv"], ["--labels is t.csv", "leave it out"]),
    "metadata of the phantom": (["--metadata", "t.csv"], ["--metadata is t.csv", "leave it out"]),
    "device": (["--device", "tpu", "--dry-run"], ["--device is 'tpu'", "auto, cpu and gpu"]),
    "start": (["--set", "start=any", "--dry-run"], ["any run", "pass --start RUN"]),
}


@pytest.mark.parametrize("cause", REFUSED)
def test_wrong_usage(
    cause: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    given, expected = REFUSED[cause]
    recipe = () if "--recipe" in given else ("--recipe", "smoke")
    assert run("train", "phantom", *recipe, *given) == 2
    error = capsys.readouterr().err
    assert error.startswith("stallscan: error: ")
    for part in expected:
        assert part in error
    assert not list(tmp_path.iterdir())


def test_data_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "x"
    assert run("train", tmp_path / "none", "--out", out) == 2
    assert "none: no such store or folder; give one, or 'phantom'" in capsys.readouterr().err
    folder = tmp_path / "videos"
    folder.mkdir()
    assert run("train", folder, "--out", out) == 2
    assert "videos: has no train_labels.csv in it; pass --labels FILE" in capsys.readouterr().err
    assert not out.exists()
    assert run("train", "phantom", "--start", tmp_path / "none", "--out", out) == 3
    assert "none: no such checkpoint folder" in capsys.readouterr().err
    assert not out.exists()


def test_labels_that_are_not_there(
    labelled: Videos, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("train", labelled.data, *QUICK, "--labels", tmp_path / "lost.csv")
    assert run(*arguments, "--out", tmp_path / "x") == 3
    assert "lost.csv" in capsys.readouterr().err


def test_without_the_extra(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("stallscan.training.jobs")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "stallscan.training.run", None)
    assert run("train", "phantom", "--out", "x") == 2
    error = capsys.readouterr().err
    assert "training needs" in error and "pip install 'stallscan[train]'" in error
