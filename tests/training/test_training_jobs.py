"""Runs that belong together: folds and ensembles, all at once or job by job."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import matthews_corrcoef, roc_auc_score

from noise_set import Noise, tiny_recipe
from stallscan.errors import OptionError, OutputConflictError
from stallscan.models.ensemble import flat_members, read_ensemble
from stallscan.training import TrainOptions, engine, jobs, train_all
from stallscan.training import run as run_file
from stallscan.training.jobs import plan_jobs
from stallscan.training.recipe import EnsembleRecipe, Member, Recipe

pytestmark = pytest.mark.usefixtures("quick_runs")
OPTIONS = TrainOptions(seed=3, workers=0, device="cpu")
TINY = {"augmentation": None, "stop.patience": None, "folds.n": 2, "stop.max_epochs": 1}
FOLDS = tiny_recipe("folds.n=2", "stop.max_epochs=1")
TABLES = ("out_of_fold.csv", "labels.csv", "ensemble.json")


@pytest.fixture(autouse=True)
def no_tensorboard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_logger", lambda run: False)


def ensemble(*members: Member, combine: Any = "probability") -> EnsembleRecipe:
    return EnsembleRecipe(name="several", about="Several.", members=members, combine=combine)


def tiny(name: str, folds: tuple[int, ...] | None = None, **more: Any) -> Member:
    keys = {key.replace("__", "."): value for key, value in more.items()}
    return Member(recipe="smoke", name=name, set=TINY | keys, folds=folds)


def all_of(out: Path, recipe: Recipe | EnsembleRecipe = FOLDS, **more: Any) -> Path:
    options = more.pop("options", OPTIONS)
    return train_all(out, recipe, options, source=Noise(), progress=False, **more)


@pytest.fixture(scope="module")
def folds_dir(tmp_path_factory: pytest.TempPathFactory, quick_runs: None) -> Path:
    """Two folds, trained by one call."""
    return all_of(tmp_path_factory.mktemp("folds") / "all")


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def validation(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "validation.csv")


# --- Folds ------------------------------------------------------------------------------------


def test_every_video_is_predicted_once_by_the_run_that_held_it_out(folds_dir: Path) -> None:
    table = pd.read_csv(folds_dir / "out_of_fold.csv")
    assert list(table.columns) == ["filename", "label", "probability", "fold", "n_runs"]
    assert table["filename"].is_unique and set(table["n_runs"]) == {1}
    for fold in (0, 1):
        mine = table[table["fold"] == fold].reset_index(drop=True)
        held_out = validation(folds_dir / f"fold{fold}")
        assert list(mine["filename"]) == [f"v{fold}{number}.mp4" for number in range(8)]
        pd.testing.assert_frame_equal(
            mine[["filename", "label", "probability"]],
            held_out[["filename", "label", "probability"]],
        )


def test_the_labels_beside_them_are_the_truth(folds_dir: Path) -> None:
    table = pd.read_csv(folds_dir / "labels.csv")
    assert list(table.columns) == ["filename", "stalled"]
    assert list(table["stalled"]) == [0, 1] * 8
    names = pd.read_csv(folds_dir / "out_of_fold.csv")["filename"]
    assert list(table["filename"]) == list(names)


def test_the_ensemble_is_scored_out_of_fold(folds_dir: Path) -> None:
    card = read_ensemble(folds_dir)
    table = pd.read_csv(folds_dir / "out_of_fold.csv")
    found = card.metrics["out_of_fold"]
    auc = roc_auc_score(table["label"], table["probability"])
    assert found["auc"] == pytest.approx(auc, abs=1e-4)
    assert card.threshold == found["threshold"]
    mcc = matthews_corrcoef(table["label"], table["probability"] >= card.threshold)
    assert found["mcc"] == pytest.approx(mcc, abs=1e-4)
    assert (found["n"], found["stalled"]) == (16, 8)
    members = [(folds_dir / "fold0", 0.5), (folds_dir / "fold1", 0.5)]
    assert flat_members(folds_dir) == members
    assert (card.combine, card.training["recipe"], card.training["runs"]) == (
        "probability", "smoke", 2,
    )  # fmt: skip


def test_job_by_job_and_then_collected_is_the_same(folds_dir: Path, tmp_path: Path) -> None:
    """In any order; collecting trains nothing."""
    out = tmp_path / "all"
    for number in (1, 0):
        assert all_of(out, job=number) == out
        assert not (out / "ensemble.json").exists()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_file, "fit", lambda *_, **__: pytest.fail("trained again"))
        all_of(out)
    for name in TABLES:
        assert (out / name).read_bytes() == (folds_dir / name).read_bytes(), name
    for fold in ("fold0", "fold1"):
        name = f"{fold}/weights.safetensors"
        assert (out / name).read_bytes() == (folds_dir / name).read_bytes()


def test_a_half_finished_set_of_runs_goes_on(
    folds_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in the second fold: the first is not trained again."""

    class Killed(BaseException):
        pass

    trained: list[str] = []
    fit = run_file.fit

    def followed(run: engine.Run, *rest: Any, **more: Any) -> Any:
        trained.append(run.run_dir.name)
        if trained == ["fold0", "fold1"]:
            raise Killed
        return fit(run, *rest, **more)

    monkeypatch.setattr(run_file, "fit", followed)
    out = tmp_path / "all"
    with pytest.raises(Killed):
        all_of(out)
    assert not any((out / name).exists() for name in TABLES)
    all_of(out)
    assert trained == ["fold0", "fold1", "fold1"]
    for name in TABLES:
        assert (out / name).read_bytes() == (folds_dir / name).read_bytes()


def test_a_complete_set_is_left_alone(folds_dir: Path) -> None:
    before = contents(folds_dir)
    assert all_of(folds_dir) == folds_dir
    assert all_of(folds_dir, job=1) == folds_dir
    assert contents(folds_dir) == before


@pytest.mark.parametrize("job", [None, 0])
def test_another_set_is_refused(folds_dir: Path, job: int | None) -> None:
    before = contents(folds_dir)
    with pytest.raises(OutputConflictError) as caught:
        all_of(folds_dir, options=replace(OPTIONS, seed=4), job=job)
    for part in (str(folds_dir), "seed was 3, now 4", "--overwrite"):
        assert part in str(caught.value)
    assert contents(folds_dir) == before


def test_a_foreign_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("mine")
    with pytest.raises(OutputConflictError, match="was not written by"):
        all_of(tmp_path / "out")
    assert (tmp_path / "out" / "thesis.tex").read_text() == "mine"


def test_overwriting_one_job_leaves_the_others(folds_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "all"
    shutil.copytree(folds_dir, out)
    kept = contents(out / "fold1")
    all_of(out, job=0, overwrite=True, options=replace(OPTIONS, seed=4))
    assert contents(out / "fold1") == kept
    assert json.loads((out / "fold0" / "run.json").read_text())["options"]["seed"] == 4


@pytest.mark.parametrize("job", [-1, 2])
def test_a_job_that_there_is_not_is_refused(tmp_path: Path, job: int) -> None:
    with pytest.raises(OptionError) as caught:
        all_of(tmp_path / "out", job=job)
    assert f"--job is {job}, allowed are 0 to 1: fold0, fold1" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_several_devices_share_one_run_at_a_time(tmp_path: Path) -> None:
    with pytest.raises(OptionError) as caught:
        all_of(tmp_path / "out", options=replace(OPTIONS, devices=2))
    for part in ("--devices is 2", "--job 0", "--job 1 (fold0, fold1)", "without --job"):
        assert part in str(caught.value)
    assert not (tmp_path / "out").exists()


# --- Ensembles --------------------------------------------------------------------------------


@pytest.mark.parametrize("combine", ["probability", "logit"])
def test_videos_that_several_members_held_out_are_averaged(tmp_path: Path, combine: str) -> None:
    """Member a has both folds, member b the second alone."""
    recipe = ensemble(tiny("a"), tiny("b", (1,), model__options__width=0.125), combine=combine)
    out = all_of(tmp_path / "out", recipe)
    table = pd.read_csv(out / "out_of_fold.csv").set_index("filename")
    assert table.index.is_unique and len(table) == 16
    assert list(table["n_runs"]) == [1] * 8 + [2] * 8
    a0, a1, b1 = (
        validation(out / path).set_index("filename")["probability"]
        for path in ("a/fold0", "a/fold1", "b/fold1")
    )
    np.testing.assert_allclose(table.loc[a0.index, "probability"], a0, atol=1e-6)
    if combine == "probability":
        expected = (a1 + b1) / 2
    else:
        odds = np.sqrt(a1 / (1 - a1) * b1 / (1 - b1))
        expected = odds / (1 + odds)
    np.testing.assert_allclose(table.loc[a1.index, "probability"], expected, atol=2e-6)
    assert (a1 - b1).abs().max() > 1e-3
    card = read_ensemble(out)
    assert card.combine == combine
    found = [(str(path.relative_to(out)), weight) for path, weight in flat_members(out)]
    assert found == [(path, pytest.approx(1 / 3)) for path in ("a/fold0", "a/fold1", "b/fold1")]


def test_logits_of_certainties_are_averaged_too() -> None:
    """A probability that the table rounded to 1 is no infinite logit."""
    rows = pd.DataFrame(
        {"filename": ["v", "v"], "label": [1, 1], "probability": [1.0, 0.0], "fold": [0, 0]}
    )
    assert jobs._averaged(rows, "logit")["probability"].item() == pytest.approx(0.5)


def test_jobs_are_members_times_folds_in_order() -> None:
    found = plan_jobs(ensemble(tiny("a"), tiny("b", (1,))))
    assert [(job.path, job.fold) for job in found] == [
        ("a/fold0", 0),
        ("a/fold1", 1),
        ("b/fold1", 1),
    ]
    assert [job.path for job in plan_jobs(FOLDS)] == ["fold0", "fold1"]


@pytest.mark.parametrize(
    ("recipe", "parts"),
    [
        (ensemble(tiny("a"), tiny("a")), ("two members are a/fold0", "name of their own")),
        (ensemble(tiny("a", (0, 2))), ("member a has fold 2", "allowed are 0 to 1")),
        (ensemble(tiny("a"), tiny("b", folds__n=3)), ("member b has", "'n': 3", "'n': 2")),
        (ensemble(tiny("a"), tiny("b", folds__seed=1)), ("member b has", "'seed': 1")),
        (ensemble(Member(recipe="ensemble-18")), ("its member ensemble-18 is an ensemble",)),
    ],
)
def test_what_cannot_be_averaged_out_of_fold_is_refused(
    recipe: EnsembleRecipe, parts: tuple[str, ...]
) -> None:
    with pytest.raises(OptionError) as caught:
        plan_jobs(recipe)
    for part in ("recipe several", *parts):
        assert part in str(caught.value)


def test_each_member_starts_from_the_run_of_its_own_name(tmp_path: Path) -> None:
    """And a start without such folders is everybody's."""
    (tmp_path / "a").mkdir()
    first, second = plan_jobs(ensemble(tiny("a", (0,)), tiny("b", (0,))))
    options = replace(OPTIONS, start=tmp_path)
    assert jobs._started(options, first).start == tmp_path / "a"
    assert jobs._started(options, second).start == tmp_path
    assert jobs._started(OPTIONS, first).start is None
