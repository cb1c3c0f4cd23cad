"""The pattern along the vessel, alone and beside the network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from audits.auc import auc_of
from audits.parallel import in_order
from audits.table import show_and_write
from shipping.ask import SCORE, about, answers
from shipping.calibrate import with_score

from stallscan.explain.kymograph import kymograph
from stallscan.explain.physics import MOVES_BELOW, STANDS_FROM
from stallscan.simulate.phantom import phantom_roi
from stallscan.simulate.settings import PRESETS
from stallscan.types import Label

SEED = 6_102

_Job = tuple[int, str, str]


def physics(*, model: str, preset: str, n: int, workers: int, results: Path) -> pd.DataFrame:
    """A row for each score; the network with the physics is a logistic regression, out of fold."""
    jobs: list[_Job] = [(number, model, preset) for number in range(n)]
    table = pd.DataFrame(in_order(_one, jobs, workers=workers, what=f"physics, {preset}"))
    stalled = table["stalled"].to_numpy()
    network = table[model].to_numpy()
    along = table["along the vessel"].to_numpy()
    scores = {
        "persistence in the outline": table[SCORE].to_numpy(),
        "persistence along the vessel": along,
        f"network ({model})": network,
        "network and vessel": with_score(stalled, network, along),
    }
    rows: list[dict[str, Any]] = [
        {"score": name, **auc_of(stalled, values)._asdict()} for name, values in scores.items()
    ]
    found = pd.DataFrame(rows).rename(columns={"value": "auc"})
    found.insert(1, "n", n)
    show_and_write(found, results / f"explain-physics-{preset}-cpu.csv", f"{n} ROIs of {preset}")
    for word, values in (("flowing", along[stalled == 0]), ("stalled", along[stalled == 1])):
        below, above = (values < MOVES_BELOW).mean(), (values >= STANDS_FROM).mean()
        print(f"{word}: {below:.1%} 'moves' (below {MOVES_BELOW}), {above:.1%} 'stands'")
    return found


def _one(job: _Job) -> dict[str, object]:
    number, model, preset = job
    volume, truth = phantom_roi((SEED, number), Label(number % 2), PRESETS[preset])
    return {
        **about(truth),
        **answers(volume, (model,)),
        "along the vessel": kymograph(volume).persistence,
    }
