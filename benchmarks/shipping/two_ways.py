"""The same scenes asked about twice: rendered directly, and cut out of decoded videos."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from audits.auc import auc_of
from audits.parallel import in_order
from audits.table import show_and_write
from sklearn.metrics import roc_auc_score

from shipping.ask import TWO_WAYS_SEED, about, answers
from stallscan.errors import OutlineNotFoundError
from stallscan.roi.find import find_roi
from stallscan.simulate.phantom import phantom_clip, phantom_roi
from stallscan.simulate.settings import PRESETS
from stallscan.types import Label
from stallscan.video import read_clip, write_clip

_Job = tuple[str, int, tuple[str, ...]]


def two_ways(
    *, models: Sequence[str], n: int, preset: str, workers: int, results: Path
) -> pd.DataFrame:
    """AUC each way, and by how much they differ; and by the verdict on the video's outline."""
    jobs: list[_Job] = [(preset, number, tuple(models)) for number in range(n)]
    answered = in_order(_both, jobs, workers=workers, what=f"both ways, {preset}")
    table = pd.DataFrame([row for row in answered if row is not None])
    stalled = table["stalled"].to_numpy()
    rng = np.random.default_rng(0)
    rows = []
    for model in models:
        direct, decoded = (table[f"{model} {way}"].to_numpy() for way in ("direct", "decoded"))
        draws = [
            np.concatenate(
                [
                    rng.choice(np.flatnonzero(stalled == label), (stalled == label).sum())
                    for label in (0, 1)
                ]
            )
            for _ in range(300)
        ]
        differences = [
            roc_auc_score(stalled[draw], decoded[draw]) - roc_auc_score(stalled[draw], direct[draw])
            for draw in draws
        ]
        low, high = np.quantile(differences, [0.025, 0.975])
        one, other = auc_of(stalled, direct), auc_of(stalled, decoded)
        rows.append(
            {
                "model": model,
                "n": len(table),
                "direct": one.value,
                "decoded": other.value,
                "difference": other.value - one.value,
                "low": low,
                "high": high,
                "median change of a probability": float(np.median(np.abs(decoded - direct))),
            }
        )
    found = pd.DataFrame(rows)
    title = (
        f"{len(table)} scenes of {preset}, half of them stalled, directly and out of videos; "
        f"{answered.count(None)} without an outline left out"
    )
    show_and_write(found, results / f"shipped-two-ways-{preset}-cpu.csv", title)
    return found


def _both(job: _Job) -> dict[str, object] | None:
    preset, number, models = job
    seed, label = (TWO_WAYS_SEED, number), Label(number % 2)
    volume, truth = phantom_roi(seed, label, PRESETS[preset])
    clip, _ = phantom_clip(seed, label, PRESETS[preset])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        write_clip(path, clip, crf=truth.crf, preset="veryfast")
        stored = read_clip(path)
    try:
        roi = find_roi(stored)
    except OutlineNotFoundError:
        return None
    row = about(truth) | {"outline": str(roi.verdict)}
    for way, seen in (("direct", volume), ("decoded", roi.crop(stored))):
        row |= {f"{name} {way}": answer for name, answer in answers(seen, models).items()}
    return row
