"""AUC with each artefact alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from audits.auc import auc_of
from audits.parallel import in_order
from audits.table import show_and_write

from shipping.artefacts import Artefact, artefacts
from shipping.ask import ROBUSTNESS_SEED, SCORE, about, answers
from stallscan.simulate.phantom import render_roi
from stallscan.simulate.scene import sample_scene
from stallscan.types import Label

_Job = tuple[int, int, tuple[str, ...], int]
"""Number of the artefact, of the phantom, the models, and copies of each."""


def robustness(
    *, models: Sequence[str], n: int, flips: int, workers: int, results: Path
) -> pd.DataFrame:
    """A row for each strength of each artefact, a column for each model.

    The phantoms of all rows have the same seeds: what differs is the artefact.
    """
    all_of_them = artefacts()
    jobs: list[_Job] = [
        (which, number, tuple(models), flips)
        for which in range(len(all_of_them))
        for number in range(n)
    ]
    table = pd.DataFrame(in_order(_ask, jobs, workers=workers, what="robustness"))
    rows = []
    for which, artefact in enumerate(all_of_them):
        part = table[table["which"] == which]
        row: dict[str, object] = {"artefact": artefact.name, "strength": artefact.strength, "n": n}
        for name in (*models, SCORE):
            found = auc_of(part["stalled"].to_numpy(), part[name].to_numpy())
            row |= {name: found.value, f"{name} low": found.low, f"{name} high": found.high}
        rows.append(row)
    found_rows = pd.DataFrame(rows)
    title = f"AUC of {n} ROIs for each artefact alone, half of them stalled; flips: {flips}"
    show_and_write(found_rows, results / "shipped-robustness-cpu.csv", title)
    return found_rows


def _ask(job: _Job) -> dict[str, object]:
    which, number, models, flips = job
    artefact: Artefact = artefacts()[which]
    seed = (ROBUSTNESS_SEED, number)
    rng = np.random.default_rng(seed)
    scene = sample_scene(rng, Label(number % 2), artefact.settings)
    if artefact.drawing is not None:
        scene = dataclasses.replace(scene, defects=artefact.drawing(scene.defects))
    truth = scene.truth()
    volume = render_roi(scene, truth, rng)
    if artefact.change is not None:
        volume = artefact.change(volume, np.random.default_rng((*seed, 1)))
    return {"which": which, **about(truth), **answers(volume, models, flips=flips)}
