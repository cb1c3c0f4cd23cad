"""What the runs came to, beside the paper."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stallscan.ablation.figure import draw
from stallscan.ablation.markdown import to_markdown
from stallscan.ablation.scoring import MEASURES, N_RESAMPLES, Measured, measures
from stallscan.metrics.bootstrap import bootstrap_weights
from stallscan.models.checkpoint import load_checkpoint
from stallscan.models.cost import cost
from stallscan.training.predictions import write_table

if TYPE_CHECKING:
    from stallscan.ablation.run import Job
    from stallscan.ablation.table import AblationTable, Row

RUNS, TABLE = "runs.csv", "table.csv"
"""A line for each run, and one for each row."""


def answers_name(flips: int) -> str:
    """The file of a run's answers about the test set."""
    return f"test-flips{flips}.csv"


def write_results(out: Path, table: AblationTable, jobs: Sequence[Job]) -> pd.DataFrame:
    """runs.csv, table.csv, table.md and table.png of the runs that are done.

    Returns:
        table.csv: for each row the number of its seeds, the mean of each measure over them with
        the 95 % interval of that mean over resamples of the vessels, training seconds, parameters
        and GMACs, and the paper's figures. What there is nothing of is missing.
    """
    found = [_row(out, table, row, jobs) for row in table.rows]
    runs = pd.DataFrame([one for _, per_seed in found for one in per_seed])
    whole = pd.DataFrame([line for line, _ in found])
    write_table(runs, out / RUNS)
    write_table(whole, out / TABLE)
    (out / "table.md").write_text(to_markdown(table, whole), encoding="utf-8")
    draw(out / "table.png", table, whole, runs)
    return whole


def _row(
    out: Path, table: AblationTable, row: Row, jobs: Sequence[Job]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The row, and each of its seeds."""
    names = row.of or (row.name,)
    seeds = sorted({job.seed for job in jobs})
    by_seed = {
        seed: [out / job.path for job in jobs if job.seed == seed and job.row.name in names]
        for seed in seeds
    }
    done = {
        seed: dirs
        for seed, dirs in by_seed.items()
        if all((path / "model.json").exists() for path in dirs)
    }
    validation = [] if row.of else [_Answers.of_validation(dirs) for dirs in done.values()]
    tests = [
        _Answers.of_test(dirs, row.flips)
        for dirs in done.values()
        if all((path / answers_name(row.flips)).exists() for path in dirs)
    ]
    line: dict[str, Any] = {"row": row.name, "seeds": len(done)}
    per_seed: list[dict[str, Any]] = [{"row": row.name, "seed": seed} for seed in done]
    for part, answers in (("val", validation), ("test", tests)):
        values, draws = _means_and_draws(answers) if answers else ([], None)
        for measure in MEASURES:
            name = f"{part}_{measure}"
            figures = (np.nan, np.nan, np.nan)
            if draws is not None:
                mean = np.mean([one[measure] for one in values])
                figures = (mean, *np.nanquantile(draws[measure], [0.025, 0.975]))
            for suffix, figure in zip(("", "_low", "_high"), figures, strict=True):
                line[name + suffix] = round(float(figure), 4)
            for entry, one in zip(per_seed, values, strict=False):
                entry[name] = round(one[measure], 4)
    costs = [_cost(path) for dirs in done.values() for path in dirs]
    n_seeds = max(len(done), 1)
    for name in ("seconds", "parameters", "gmacs"):
        whole = sum(one[name] for one in costs)
        line[name] = round(whole / n_seeds, 3 if name == "gmacs" else 0) if costs else np.nan
    paper = row.paper
    line |= {"paper_auc": paper.auc, "paper_mcc": paper.mcc, "paper_mcc_test": paper.mcc_test}
    return line, per_seed


class _Answers:
    """Labels, probabilities and the threshold of one seed."""

    def __init__(self, table: pd.DataFrame, threshold: float) -> None:
        self.names = table["filename"].tolist()
        self.labels = table["label"].to_numpy()
        self.probabilities = table["probability"].to_numpy()
        self.threshold = threshold

    @classmethod
    def of_validation(cls, dirs: Sequence[Path]) -> _Answers:
        table = pd.read_csv(dirs[0] / "validation.csv", dtype={"filename": str})
        return cls(table[table["monitored"]], _card(dirs[0])["threshold"])

    @classmethod
    def of_test(cls, dirs: Sequence[Path], flips: int) -> _Answers:
        """The mean of several networks, at the mean of their thresholds."""
        tables = [pd.read_csv(path / answers_name(flips), dtype={"filename": str}) for path in dirs]
        mean = np.mean([table["probability"].to_numpy() for table in tables], axis=0)
        threshold = float(np.mean([_card(path)["threshold"] for path in dirs]))
        return cls(tables[0].assign(probability=mean), threshold)

    def measures(self, weights: NDArray[np.float64]) -> Measured:
        """For each row of ``(r, n)`` weights as well."""
        return measures(self.labels, self.probabilities, self.threshold, weights)


def _means_and_draws(
    answers: Sequence[_Answers],
) -> tuple[list[dict[str, float]], dict[str, NDArray[np.float64]]]:
    """Measures of each seed; resamples of their mean, drawn alike where vessels are the same."""
    rng = np.random.default_rng(0)
    same = all(one.names == answers[0].names for one in answers)
    values, draws = [], []
    weights = None
    for one in answers:
        if weights is None or not same:
            weights = bootstrap_weights(one.labels, n_resamples=N_RESAMPLES, seed=rng)
        value, drawn = one.measures(weights)
        values.append(value)
        draws.append(drawn)
    means = {measure: np.mean([one[measure] for one in draws], axis=0) for measure in MEASURES}
    return values, means


def _card(run_dir: Path) -> dict[str, Any]:
    card: dict[str, Any] = json.loads((run_dir / "model.json").read_text())
    return card


@functools.cache
def _cost(run_dir: Path) -> dict[str, float]:
    model, card = load_checkpoint(run_dir)
    size = [extent or 64 for extent in card.preprocessing["size"]]
    found = cost(model, size)
    history = pd.read_csv(run_dir / "history.csv")
    return {
        # The first epoch of the first row also renders what all rows see.
        "seconds": float(history["seconds"].median() * len(history)),
        "parameters": found.n_parameters,
        "gmacs": found.macs / 1e9,
    }
