"""The matrix: trained, asked, gone on with after a kill, averaged, written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import matthews_corrcoef, roc_auc_score

from drawn_vessels import DrawnVessels
from noise_set import Noise
from stallscan.ablation.run import Job, describe, plan, run_jobs
from stallscan.ablation.table import AblationTable, Published, Row, Small
from stallscan.errors import OptionError, OutputHeldError
from stallscan.manifest import open_output
from stallscan.training import TrainOptions, engine, history

OPTIONS = TrainOptions(workers=0, device="cpu")
SMALL = Small(
    recipe="smoke",
    set={"augmentation": None, "stop.max_epochs": 1, "stop.patience": None},
)
TABLE = AblationTable(
    title="Noise",
    source="Drawn.",
    small=SMALL,
    rows=(
        Row(name="plain", recipe="smoke", paper=Published(auc=0.9)),
        Row(name="fast learner", recipe="smoke", small={"optimizer.lr": 0.1}),
        Row(name="both", of=("plain", "fast learner"), flips=2),
    ),
)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "draw_curves", lambda *_: None)
    monkeypatch.setattr(engine, "_logger", lambda run: False)


def jobs(seeds: int = 2) -> list[Job]:
    return plan(TABLE, scale="small", seeds=seeds)


def run(out: Path, **more: Any) -> list[str]:
    said: list[str] = []
    planned = more.pop("jobs", jobs())
    run_jobs(
        out, TABLE, planned, source=Noise(), test=more.pop("test", DrawnVessels()), options=OPTIONS,
        progress=False, tell=said.append, **more,
    )  # fmt: skip
    return said


def test_every_row_comes_before_the_next_seed() -> None:
    assert [job.path for job in jobs()] == [
        "plain/seed0", "fast-learner/seed0", "plain/seed1", "fast-learner/seed1",
    ]  # fmt: skip
    assert "job  1  fast-learner/seed0: resnet18 at 16×32×32" in describe(jobs())
    with pytest.raises(OptionError, match="--seeds is 0"):
        jobs(0)


def test_a_matrix(tmp_path: Path) -> None:
    """Averaged rows are what their members answered; job by job it is the same."""
    out = tmp_path / "all"
    said = run(out)
    assert said[0] == "run 1 of 4: plain/seed0" and said[3].endswith("min left")
    table = pd.read_csv(out / "table.csv").set_index("row")
    assert table["seeds"].tolist() == [2, 2, 2]
    assert table["paper_auc"].tolist()[0] == 0.9 and table["paper_auc"].isna().sum() == 2
    assert table["val_auc"].isna().tolist() == [False, False, True]
    assert table["parameters"]["both"] == 2 * table["parameters"]["plain"]
    aucs, mccs = [], []
    for seed in (0, 1):
        dirs = [out / row / f"seed{seed}" for row in ("plain", "fast-learner")]
        answers = [pd.read_csv(path / "test-flips2.csv") for path in dirs]
        mean = (answers[0]["probability"] + answers[1]["probability"]) / 2
        labels = answers[0]["label"]
        thresholds = [pd.read_json(path / "model.json", typ="series")["threshold"] for path in dirs]
        aucs.append(roc_auc_score(labels, mean))
        mccs.append(matthews_corrcoef(labels, mean >= np.mean(thresholds)))
    assert table["test_auc"]["both"] == pytest.approx(np.mean(aucs), abs=1e-4)
    assert table["test_mcc"]["both"] == pytest.approx(np.mean(mccs), abs=1e-4)
    assert table["test_auc_low"]["both"] <= table["test_auc"]["both"]
    runs = pd.read_csv(out / "runs.csv")
    assert runs.groupby("row", sort=False).size().tolist() == [2, 2, 2]
    text = (out / "table.md").read_text()
    assert "| plain | 2 | " in text and "AUC (paper)" in text and "MCC (paper)" not in text
    assert (out / "table.png").stat().st_size > 10_000

    apart = tmp_path / "apart"
    for number in (1, 0):
        run(apart, jobs=jobs(1), only=number)
    first = runs[runs["seed"] == 0].reset_index(drop=True)
    pd.testing.assert_frame_equal(pd.read_csv(apart / "runs.csv"), first)
    with pytest.raises(OptionError, match=r"--job is 4, allowed are 0 to 3: plain/seed0"):
        run(apart, only=4)


def test_a_partial_table_and_none_for_the_test(tmp_path: Path) -> None:
    run(tmp_path, jobs=jobs(1), test=None, only=0)
    table = pd.read_csv(tmp_path / "table.csv").set_index("row")
    assert table["seeds"].tolist() == [1, 0, 0]
    assert table["test_auc"].isna().all() and table["val_auc"].notna().tolist() == [1, 0, 0]
    before = (tmp_path / "plain" / "seed0" / "weights.safetensors").stat().st_mtime_ns
    run(tmp_path, jobs=jobs(1))
    assert (tmp_path / "plain" / "seed0" / "weights.safetensors").stat().st_mtime_ns == before
    table = pd.read_csv(tmp_path / "table.csv").set_index("row")
    assert table["seeds"].tolist() == [1, 1, 1] and table["test_auc"].notna().all()


def test_a_run_that_another_process_holds_is_left_to_it(tmp_path: Path) -> None:
    held = tmp_path / "plain" / "seed0"
    with open_output(held, command="train", options={}):
        said = run(tmp_path, jobs=jobs(1))
        assert said[1] == "plain/seed0: another process is at it; left to that one"
        with pytest.raises(OutputHeldError, match="another stallscan process is writing"):
            run(tmp_path, jobs=jobs(1), only=0)
    table = pd.read_csv(tmp_path / "table.csv").set_index("row")
    assert table["seeds"].tolist() == [0, 1, 0]
