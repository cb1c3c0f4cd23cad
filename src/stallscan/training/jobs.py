"""Several runs that belong together: the folds of a recipe, the members of an ensemble."""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from stallscan.errors import OptionError
from stallscan.manifest import State, open_output
from stallscan.models.ensemble import EnsembleCard, Member, write_ensemble
from stallscan.training.options import TrainOptions
from stallscan.training.phantom_data import SHELF, Phantom
from stallscan.training.predictions import scores, write_table
from stallscan.training.recipe import Cyclic, EnsembleRecipe, Recipe
from stallscan.training.recipe_files import load_recipe
from stallscan.training.run import DataSource, train
from stallscan.training.start import resolve_start
from stallscan.training.store_data import ROIS

log = logging.getLogger(__name__)

OUT_OF_FOLD, LABELS = "out_of_fold.csv", "labels.csv"
"""What all runs together say of videos that they have not learnt, and the truth of these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run of several.

    Attributes:
        path: of its folder, in that of all: ``fold0``, ``densenet121/fold0``.
        recipe: of it.
        fold: that it holds out.
    """

    path: str
    recipe: Recipe
    fold: int


def plan_jobs(recipe: Recipe | EnsembleRecipe) -> list[Job]:
    """The runs, in the order in which they are trained.

    Raises:
        OptionError: a member's recipe is wrong, two have one name, or the folds of two differ.
    """
    if isinstance(recipe, Recipe):
        return [Job(path=f"fold{fold}", recipe=recipe, fold=fold) for fold in range(recipe.folds.n)]
    jobs: list[Job] = []
    for member in recipe.members:
        chosen = load_recipe(member.recipe, keys=member.set)
        if not isinstance(chosen, Recipe):
            raise OptionError(
                f"recipe {recipe.name}: its member {member.recipe} is an ensemble; name recipes of "
                "one network"
            )
        if recipe.combine == "logit" and isinstance(chosen.schedule, Cyclic):
            raise OptionError(
                f"recipe {recipe.name}: combine is logit, but the snapshots of its member "
                f"{member.recipe} are averaged by probability; set combine to probability"
            )
        name = member.name or member.recipe
        folds = range(chosen.folds.n) if member.folds is None else member.folds
        wrong = [fold for fold in folds if not 0 <= fold < chosen.folds.n]
        if wrong:
            raise OptionError(
                f"recipe {recipe.name}: member {name} has fold {wrong[0]}, allowed are 0 to "
                f"{chosen.folds.n - 1}"
            )
        first = jobs[0].recipe.folds if jobs else chosen.folds
        if chosen.folds != first:
            raise OptionError(
                f"recipe {recipe.name}: member {name} has {dataclasses.asdict(chosen.folds)}, "
                f"the first {dataclasses.asdict(first)}; videos held out by one "
                "would be learnt by another, so give all the same"
            )
        jobs += [Job(path=f"{name}/fold{fold}", recipe=chosen, fold=fold) for fold in folds]
    paths = [job.path for job in jobs]
    twice = sorted({path for path in paths if paths.count(path) > 1})
    if twice:
        raise OptionError(
            f"recipe {recipe.name}: two members are {twice[0]}; give them a name of their own"
        )
    return jobs


def train_all(
    out: Path,
    recipe: Recipe | EnsembleRecipe,
    options: TrainOptions | None = None,
    *,
    source: DataSource | None = None,
    job: int | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> Path:
    """Train all folds, or all members of an ensemble; each run may be killed and goes on.

    Args:
        out: becomes an ensemble folder with a folder for each run, out_of_fold.csv (the mean of
            those that held a video out), and labels.csv, its truth.
        recipe: of one network, trained on each of its folds; or of several.
        options: seed, start, devices; a start may be such a folder, of which each run takes the
            folder of its own name.
        source: where the samples come from; the phantom by default.
        job: do this run alone, by its number, and leave the rest to others: the same call without
            it collects what they have done.
        overwrite: start anew over an existing folder.
        progress: show progress bars.

    Returns:
        ``out``.

    Raises:
        OutputConflictError: the folder belongs to another run.
        OptionError: no such job; also see `train`.
        TrainingError: see `train`.
    """
    options = options or TrainOptions()
    source = (source or Phantom()).sharing(out)
    jobs = plan_jobs(recipe)
    if job is not None and not 0 <= job < len(jobs):
        raise OptionError(
            f"--job is {job}, allowed are 0 to {len(jobs) - 1}: {', '.join(j.path for j in jobs)}"
        )

    def run(one: Job, overwrite: bool = False) -> None:
        log.info("%s: fold %d, recipe %s", one.path, one.fold, one.recipe.name)
        train(
            out / one.path,
            one.recipe,
            _started(options, one),
            source=source.of_fold(one.fold),
            overwrite=overwrite,
            progress=progress,
        )

    if job is not None:
        run(jobs[job], overwrite)
        return out
    if options.devices * options.nodes > 1:
        raise OptionError(
            f"--devices is {options.devices}, --nodes {options.nodes}: several devices share one "
            f"run at a time; add --job 0, then --job 1, up to --job {len(jobs) - 1} "
            f"({', '.join(j.path for j in jobs)}), and collect them by the same command on one "
            "device without --job"
        )
    identity = {
        "recipe": {k: v for k, v in dataclasses.asdict(recipe).items() if k != "about"},
        "seed": options.seed,
        **source.of_fold(0).identity(),
        **_starts(jobs, options),
    }
    extracted = {ROIS, f"{ROIS}.csv", f"{ROIS}.run.json"}
    holds = extracted | {SHELF} | {Path(one.path).parts[0] for one in jobs}
    with open_output(
        out, command="train", options=identity, overwrite=overwrite, holds=holds
    ) as manifest:
        if manifest.state is State.COMPLETE:
            return out
        for one in jobs:
            run(one)
        _collect(out, recipe, jobs, options)
        manifest.complete(exit_code=0)
    return out


def _started(options: TrainOptions, job: Job) -> TrainOptions:
    """With the start of the same name, where there are several."""
    if options.start is None:
        return options
    inner = options.start / Path(job.path).parent
    return dataclasses.replace(options, start=inner) if inner.is_dir() else options


def _starts(jobs: list[Job], options: TrainOptions) -> dict[str, Any]:
    """By run, the digest of the weights that it starts from."""
    found = {
        job.path: resolve_start(job.recipe, _started(options, job).start, job.fold)[1]
        for job in jobs
    }
    digests = {path: start.digest for path, start in found.items() if start is not None}
    return {"start": digests} if digests else {}


def _collect(
    out: Path, recipe: Recipe | EnsembleRecipe, jobs: list[Job], options: TrainOptions
) -> None:
    combine = recipe.combine if isinstance(recipe, EnsembleRecipe) else "probability"
    rows = [
        pd.read_csv(out / job.path / "validation.csv", dtype={"filename": str}).assign(
            fold=job.fold
        )
        for job in jobs
    ]
    table = _averaged(pd.concat(rows), combine)
    write_table(table, out / OUT_OF_FOLD)
    truth = table[["filename", "label"]].rename(columns={"label": "stalled"})
    write_table(truth, out / LABELS)
    found = scores(table)
    training: dict[str, Any] = {"recipe": recipe.name, "seed": options.seed, "runs": len(jobs)}
    write_ensemble(
        EnsembleCard(
            name=out.name,
            members=tuple(Member(path=job.path) for job in jobs),
            combine=combine,
            threshold=found["threshold"],
            metrics={"out_of_fold": found},
            training=training,
            notes=(
                "The threshold and the figures are of out-of-fold predictions, without flips: each "
                "video by the runs that had not learnt it."
            ),
        ),
        out,
    )


def _averaged(rows: pd.DataFrame, combine: str) -> pd.DataFrame:
    """filename, label, probability, fold, n_runs: one row a video, in the order of the folds."""
    values = rows["probability"].to_numpy(float)
    if combine == "logit":
        values = logit(np.clip(values, 1e-6, 1 - 1e-6))
    videos = rows.assign(value=values).groupby(["fold", "filename"], sort=False)
    table = videos.agg(label=("label", "first"), value=("value", "mean"), n_runs=("value", "size"))
    table = table.reset_index()
    mean = table.pop("value").to_numpy()
    table.insert(3, "probability", (expit(mean) if combine == "logit" else mean).round(6))
    return table[["filename", "label", "probability", "fold", "n_runs"]]
