"""AUC on a phantom of other making: does the network know blood, or our rendering of it?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from audits.auc import auc_of
from audits.parallel import in_order
from audits.table import show_and_write

from shipping.ask import PLAIN_SEED, SCORE, answers
from shipping.plain_phantom import plain_roi
from stallscan.types import Label

_Job = tuple[int, tuple[str, ...]]


def plain(*, models: Sequence[str], n: int, workers: int, results: Path) -> pd.DataFrame:
    """A row for each model, and for the persistence score."""
    jobs: list[_Job] = [(number, tuple(models)) for number in range(n)]
    table = pd.DataFrame(in_order(_ask, jobs, workers=workers, what="plain phantom"))
    stalled = table["stalled"].to_numpy()
    rows = [
        {"who": name, "n": n, **auc_of(stalled, table[name].to_numpy())._asdict()}
        for name in (*models, SCORE)
    ]
    found = pd.DataFrame(rows).rename(columns={"value": "auc"})
    title = f"AUC of {n} ROIs of a phantom that shares nothing with ours, half of them stalled"
    show_and_write(found, results / "shipped-plain-cpu.csv", title)
    return found


def _ask(job: _Job) -> dict[str, object]:
    number, models = job
    label = Label(number % 2)
    return {"stalled": int(label), **answers(plain_roi((PLAIN_SEED, number), label), models)}
