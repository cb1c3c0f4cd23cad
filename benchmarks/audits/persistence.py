"""How far the one-line persistence score gets: a phantom on which it wins is too easy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from audits.auc import auc_of
from audits.parallel import in_order
from audits.table import show_and_write
from stallscan.roi.persistence import persistence_score
from stallscan.simulate.phantom import phantom_roi
from stallscan.simulate.settings import PRESETS
from stallscan.simulate.state import State

SEED = 4_002
STALLED_SHARE = 0.3
AT_MOST = {"clogloss": 0.97, "hard": 0.90}

Job = tuple[str, int, State]


def persistence(*, n: int, presets: Sequence[str], workers: int, results: Path) -> pd.DataFrame:
    """AUC of the score with its interval, and medians by state and by kind of blood."""
    tables = []
    for preset in presets:
        n_stalled = round(STALLED_SHARE * n)
        states = [State.STALLED] * n_stalled + [State.FLOWING] * (n - n_stalled)
        jobs = [(preset, index, state) for index, state in enumerate(states)]
        what = f"ROIs, {preset}"
        table = pd.DataFrame(in_order(_score, jobs, workers=workers, what=what))
        auc = auc_of(
            (table["state"] == State.STALLED).to_numpy(np.int64), table["score"].to_numpy()
        )
        rows = [{"what": "AUC", "n": n, **_bounds(*auc)}]
        for column in ("state", "kind"):
            for (state, word), part in table.groupby(["state", column])["score"]:
                what = word if word == state else f"{state}, {word}"
                quartiles = part.quantile([0.5, 0.25, 0.75])
                rows.append({"what": what, "n": len(part), **_bounds(*quartiles)})
        found = pd.DataFrame(rows)
        title = (
            f"Persistence score on {preset}, {STALLED_SHARE:.0%} stalled: AUC with 95 % interval, "
            "then medians and quartiles"
        )
        show_and_write(found, results / f"phantom-persistence-{preset}-cpu.csv", title)
        if preset in AT_MOST:
            word = "holds" if auc.value <= AT_MOST[preset] else "IS EXCEEDED"
            print(f"AUC {auc}: the limit of {AT_MOST[preset]:.2f} {word}.")
        tables.append(found.assign(preset=preset))
    return pd.concat(tables, ignore_index=True)


def _bounds(value: float, low: float, high: float) -> dict[str, float]:
    return {"value": value, "low": low, "high": high}


def _score(job: Job) -> dict[str, object]:
    preset, index, state = job
    volume, truth = phantom_roi((SEED, index), state, PRESETS[preset])
    return {"state": str(state), "kind": str(truth.kind), "score": persistence_score(volume)}
