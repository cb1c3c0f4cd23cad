"""Every row of the paper's tables, two steps on noise."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from noise_set import Noise
from stallscan.ablation import results
from stallscan.ablation.run import plan, run_jobs
from stallscan.ablation.table import load_table
from stallscan.training import TrainOptions, engine, history
from stallscan.training import run as run_file

TWO_STEPS = (
    "stop.max_epochs=1",
    "sampler.batches_per_epoch=2",
    "sampler.batch_size=2",
)


@pytest.mark.parametrize("name", ["2", "3", "4"])
def test_all_rows(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "draw_curves", lambda *_: None)
    monkeypatch.setattr(results, "draw", lambda *_: None)
    monkeypatch.setattr(run_file, "require_memory_for", lambda *_, **__: None)
    monkeypatch.setattr(engine, "_logger", lambda run: False)
    table = load_table(name).at("small")
    jobs = plan(table, scale="small", seeds=1, overrides=TWO_STEPS, phantom=True)
    run_jobs(
        tmp_path,
        table,
        jobs,
        source=Noise(),
        test=None,
        options=TrainOptions(workers=0, device="cpu"),
        progress=False,
    )
    found = pd.read_csv(tmp_path / "table.csv")
    assert found["row"].tolist() == [row.name for row in table.rows]
    assert found["seeds"].eq(1).all()
    assert found["val_auc"].between(0, 1).all() and found["test_auc"].isna().all()
    assert found["gmacs"].gt(0.1).all()
