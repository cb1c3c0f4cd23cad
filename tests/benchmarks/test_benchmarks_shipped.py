"""The models in the box: the script runs, and its measures measure what they say."""

from __future__ import annotations

import csv
import dataclasses
import importlib
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from stallscan.models.box import find_model
from stallscan.models.card import read_card
from stallscan.roi import Volume
from stallscan.simulate import PRESETS, phantom_roi
from stallscan.simulate.phantom import render_roi
from stallscan.simulate.scene import sample_scene
from stallscan.types import Label

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.fixture
def few_resamples(monkeypatch: pytest.MonkeyPatch, _importable: None) -> None:
    """Of the intervals, whose ends are not looked at."""
    monkeypatch.setattr(importlib.import_module("shipping.evaluate"), "_RESAMPLES", 100)


def run(monkeypatch: pytest.MonkeyPatch, script: str, *arguments: object) -> None:
    """As from the command line; here, for to start takes longer than the little that is done."""
    monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
    importlib.import_module(script.removesuffix(".py")).main()


def test_help(run_script: Callable[..., str]) -> None:
    printed = run_script("shipped.py", "--help")
    for word in ("calibrate", "evaluate", "robustness", "plain", "two-ways", "real", "figure"):
        assert word in printed


def test_evaluate(
    few_resamples: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(
        monkeypatch,
        *("shipped.py", "evaluate", "--model", "fast", "--preset", "clean", "--n", 10),
        *("--workers", 0, "--results", tmp_path),
    )
    assert "10 ROIs of each preset, 30% stalled" in capsys.readouterr().out
    with (tmp_path / "shipped-evaluate-cpu.csv").open(newline="") as file:
        rows = {(row["who"], row["what"]): row for row in csv.DictReader(file)}
    for who in ("fast", "persistence"):
        assert 0 <= float(rows[who, "AUC"]["low"]) <= float(rows[who, "AUC"]["high"]) <= 1
        kinds = [what for name, what in rows if name == who and what.startswith("AUC, ")]
        assert sum(int(rows[who, kind]["n"]) for kind in kinds) == 10
    assert (tmp_path / "shipped-roc.png").stat().st_size > 10_000


def test_calibrate_writes_what_it_found_into_the_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "model"
    shutil.copytree(find_model("fast"), model)
    few = ("--n", 10, "--workers", 0, "--preset", "clean")
    run(monkeypatch, "shipped.py", "calibrate", "--model", model, *few)
    before, after = read_card(find_model("fast")), read_card(model)
    found = after.metrics["calibration"]
    assert after.calibration is not None and after.calibration.stalled_share == 0.5
    assert (found["n"], found["stalled"], found["phantom"]) == (10, 5, "clean")
    assert after.threshold == found["thresholds"]["30 %"]
    assert (after.architecture, after.preprocessing) == (before.architecture, before.preprocessing)
    assert 0 <= found["auc with the persistence score beside"] <= 1
    assert "calibration" in json.loads((model / "model.json").read_text())


def test_the_same_scenes_both_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = ("--n", 2, "--workers", 0, "--preset", "clean", "--results", tmp_path)
    run(monkeypatch, "shipped.py", "two-ways", "--model", "fast", *few)
    row = pd.read_csv(tmp_path / "shipped-two-ways-clean-cpu.csv").iloc[0]
    assert (row["model"], row["n"]) == ("fast", 2)
    assert row["median change of a probability"] < 0.2


def test_another_phantom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = ("--n", 12, "--workers", 0, "--results", tmp_path)
    run(monkeypatch, "shipped.py", "plain", "--model", "fast", *few)
    table = pd.read_csv(tmp_path / "shipped-plain-cpu.csv").set_index("who")
    assert table["auc"]["fast"] > 0.8


def test_robustness_has_a_row_for_each_strength(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shipping import robustness
    from shipping.artefacts import artefacts

    chosen = [one for one in artefacts() if one.name in ("none", "frames")]
    monkeypatch.setattr(robustness, "artefacts", lambda: chosen)
    few = ("--n", 2, "--workers", 0, "--results", tmp_path)
    run(monkeypatch, "shipped.py", "robustness", "--model", "fast", *few)
    table = pd.read_csv(tmp_path / "shipped-robustness-cpu.csv")
    assert table["artefact"].tolist() == ["none", *["frames"] * 3]
    assert table[["fast", "persistence"]].isin([0, 1]).all(axis=None)  # one pair of ROIs


@pytest.mark.parametrize("name", ["missing", "elsewhere"])
def test_outlines_that_are_gone(name: str) -> None:
    from shipping.artefacts import artefacts

    (found,) = [one for one in artefacts() if name in one.name and one.name.startswith("outline")][
        -1:
    ]
    rng = np.random.default_rng(3)
    scene = sample_scene(rng, Label.FLOWING, found.settings)
    assert found.drawing is not None
    scene = dataclasses.replace(scene, defects=found.drawing(scene.defects))
    volume = render_roi(scene, scene.truth(), rng)
    red, blue = (volume.array[..., channel].astype(int) for channel in (0, 2))
    orange = ((red - blue > 60) & volume.line).sum(axis=(1, 2))
    gone = round(float(found.strength.rstrip("%")) / 100 * volume.n_frames)
    assert orange[: volume.n_frames - gone].min() > 0.5 * volume.line.sum()
    assert orange[volume.n_frames - gone :].max() < 0.3 * volume.line.sum()


def test_a_score_that_knows_more_helps() -> None:
    from shipping.calibrate import with_score

    rng = np.random.default_rng(0)
    stalled = np.arange(400) % 2
    said = np.clip(0.5 + 0.1 * (stalled - 0.5) + rng.normal(0, 0.2, 400), 0.01, 0.99)
    knows, noise = stalled + rng.normal(0, 0.3, 400), rng.normal(0, 1, 400)
    assert roc_auc_score(stalled, with_score(stalled, said, knows)) > 0.95
    assert roc_auc_score(stalled, with_score(stalled, said, noise)) < 0.75


def test_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from shipping import figure

    monkeypatch.setattr(figure, "SEEDS", figure.SEEDS[:2])
    run(monkeypatch, "shipped.py", "figure", "--out", tmp_path / "view.png")
    assert (tmp_path / "view.png").stat().st_size > 20_000


def test_real_needs_the_clips_to_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This test leaves them closed: they are for the end."""
    with pytest.raises(SystemExit, match="holds no folder clips"):
        run(monkeypatch, "shipped.py", "real", "--data", tmp_path, "--results", tmp_path)


def test_a_calibrated_probability_is_as_often_right_as_it_says() -> None:
    from shipping.calibrate import fitted

    rng = np.random.default_rng(0)
    true = rng.uniform(0.02, 0.98, 20_000)
    stalled = (rng.random(20_000) < true).astype(np.int64)
    odds = true / (1 - true)
    said = (odds * np.e) ** (1 / 2.5) / (1 + (odds * np.e) ** (1 / 2.5))  # too timid, and too high
    line = fitted(stalled, said)
    assert line.slope == pytest.approx(2.5, rel=0.05)
    assert line.intercept == pytest.approx(-1, abs=0.1)


def test_a_threshold_for_few_stalls_is_higher() -> None:
    from shipping.calibrate import best_threshold

    rng = np.random.default_rng(1)
    stalled = np.repeat([0, 1], 4000)
    logits = rng.normal(np.where(stalled, 2.0, -2.0), 1.5)
    scores = 1 / (1 + np.exp(-logits))
    usual, rare = (best_threshold(stalled, scores, share) for share in (0.5, 0.01))
    assert usual == pytest.approx(0.5, abs=0.1)
    assert rare > usual + 0.2


def test_measures_of_a_table(few_resamples: None) -> None:
    from shipping.ask import SCORE
    from shipping.evaluate import _by_kind, _sensitivity, _whole

    rng = np.random.default_rng(2)
    n = 400
    stalled = np.repeat([1, 0], [120, 280])
    scores = stalled + 0.6 * rng.standard_normal(n)
    kinds = np.where(stalled, "rbc", np.where(np.arange(n) < 380, "flow", "creep"))
    table = pd.DataFrame({"stalled": stalled, "kind": kinds, SCORE: scores})
    rows = {row["what"]: row for row in _whole(table, SCORE)}
    order = scores[stalled == 1][:, None] > scores[stalled == 0]
    assert rows["AUC"]["value"] == pytest.approx(order.mean())
    assert rows["AUC"]["low"] < order.mean() < rows["AUC"]["high"]
    threshold = np.sort(scores[stalled == 0])[-14]  # 5 % of 280
    assert _sensitivity(stalled, scores) == pytest.approx(
        (scores[stalled == 1] > threshold).mean(), abs=0.03
    )
    assert rows["MCC at 30 %"]["value"] > rows["MCC at 4.6 %"]["value"] > 0
    by_kind = {row["what"]: row for row in _by_kind(table, SCORE)}
    assert set(by_kind) == {
        "AUC, stalled: rbc",
        "AUC, flowing: flow",
        "AUC, flowing: creep",
    }
    assert by_kind["AUC, flowing: creep"]["n"] == 20
    assert by_kind["AUC, stalled: rbc"]["value"] == pytest.approx(order.mean())


def roi() -> Volume:
    return phantom_roi((5, 1), Label.STALLED, PRESETS["clean"], codec=False)[0]


def test_each_artefact_has_three_strengths_and_is_alone() -> None:
    from shipping.artefacts import FLAWLESS, artefacts

    found = artefacts()
    assert found[0].settings == FLAWLESS and found[0].change is None
    names = [artefact.name for artefact in found[1:]]
    assert all(names.count(name) == 3 for name in names) and len(set(names)) >= 20
    _, truth = phantom_roi((5, 1), Label.STALLED, FLAWLESS, codec=False)
    assert truth.artefacts == ()
    seen = set()
    for artefact in found[1:]:
        changed = [
            field
            for field in artefact.settings.__dataclass_fields__
            if getattr(artefact.settings, field) != getattr(FLAWLESS, field)
        ]
        otherwise = artefact.change is not None or artefact.drawing is not None
        assert len(changed) <= 2 and (bool(changed) or otherwise)
        assert not (changed and artefact.change)
        seen.add((artefact.name, artefact.strength))
    assert len(seen) == len(found) - 1


def test_changes_of_a_roi() -> None:
    from shipping.artefacts import artefacts

    volume = roi()
    changes = {(a.name, a.strength): a.change for a in artefacts() if a.change is not None}
    rng = np.random.default_rng(0)
    repeated = changes["frames repeated", "30%"](volume, rng)  # type: ignore[misc]
    same = (repeated.array[1:] == repeated.array[:-1]).all(axis=(1, 2, 3)).mean()
    assert 0.1 < same < 0.5
    masked = changes["hand mask over the target", "40%"](volume, rng)  # type: ignore[misc]
    black = (masked.array == 0).all(axis=(0, 3))[volume.mask].mean()
    assert black == pytest.approx(0.4, abs=0.05)
    few = changes["frames", "17"](volume, rng)  # type: ignore[misc]
    assert few.n_frames == 17 == few.box.size[0]
    assert (few.array == volume.array[(volume.n_frames - 17) // 2 :][:17]).all()


def test_decisions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Arms one after another; what was measured before stays in the table."""
    tiny = ("data.scenes=2", "sampler.batches_per_epoch=1", "sampler.batch_size=2")
    quick = ("stop.max_epochs=1", "schedule.warmup_epochs=0", "validation.n=2")
    command = ("--seeds", 1, "--jobs", 1, "--work", tmp_path, "--out", tmp_path / "out.csv")
    overrides = ("--set", *tiny, *quick, "data.phantom=clean", "validation.phantom=clean")
    for arm in ("no twins", "box"):
        run(monkeypatch, "decisions.py", "--arms", arm, *command, *overrides)
        assert f"'arm': '{arm}', 'seed': 0, 'auc': " in capsys.readouterr().out
    table = pd.read_csv(tmp_path / "out.csv")
    assert table["arm"].tolist() == ["no twins", "box"]
    assert table["auc"].between(0, 1).all()


def test_decisions_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a network costs; what was measured before stays in the table."""
    command = ("--times", "--rounds", 1, "--out", tmp_path / "out.csv")
    run(monkeypatch, "decisions.py", "--arms", "vessel", "depth 96", *command)
    run(monkeypatch, "decisions.py", "--arms", "depth 48", *command)
    table = pd.read_csv(tmp_path / "out.csv").set_index("arm")
    assert table.index.tolist() == ["vessel", "depth 96", "depth 48"]
    assert table.loc["vessel", "ratio"] == 1
    assert table.loc["depth 96", "size"] == "96x80x16"
    assert table.loc["depth 96", "gmacs"] == pytest.approx(1.5 * table.loc["vessel", "gmacs"], 0.01)
    assert (table["cpu_ms"] > 0).all()


def test_arms_change_what_they_say() -> None:
    from decisions import ARMS, recipe_of

    base = recipe_of("vessel", []).to_dict()
    for arm, keys in ARMS.items():
        found = recipe_of(arm, []).to_dict()
        changed = {section for section in base if base[section] != found[section]}
        assert changed <= {key.partition(".")[0] for key in keys}
        assert changed or arm == "vessel"
