"""``stallscan train``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, UseAppendAction, arg

from stallscan.cli import _progress
from stallscan.cli._training_data import training_data
from stallscan.errors import OptionError
from stallscan.training.options import TrainOptions
from stallscan.training.recipe import EnsembleRecipe
from stallscan.training.recipe_files import load_recipe, to_yaml

if TYPE_CHECKING:
    from stallscan.training.recipe import Recipe
    from stallscan.training.run import DataSource

_DEFAULTS = TrainOptions()


def train(
    data: Annotated[Positional[str], arg(metavar="DATA")],
    out: Path | None = None,
    recipe: str = "cpu-small",
    set_: Annotated[
        UseAppendAction[tuple[tuple[str, ...], ...]], arg(name="set", metavar="KEY=VALUE…")
    ] = (),
    labels: Path | None = None,
    metadata: Path | None = None,
    folds: Annotated[str | None, arg(metavar="K|all")] = None,
    job: int | None = None,
    training: TrainOptions = _DEFAULTS,
    dry_run: bool = False,
    overwrite: bool = False,
) -> int:
    """Train a recipe; a killed run goes on from its last epoch.

    Args:
        data: "phantom" (the endless synthetic set), a ROI store, a data set, or a folder of videos.
        out: Folder of the run; becomes a checkpoint or ensemble folder for --model.
        recipe: Name (`stallscan recipes` lists them), or a .yaml file.
        set_: Keys of the recipe that differ: optimizer.lr=3e-4.
        labels: Table of labels, filename and stalled; train_labels.csv of a data set by default.
        metadata: Table of projects and crowd scores; train_metadata.csv of a data set by default.
        folds: The fold that validates (0 by default), or all: one run each, averaged.
        job: Of several runs do this one alone, from 0; the same without it collects them.
        training: How to train.
        dry_run: Print the resolved recipe, sizes, steps and memory, and stop.
        overwrite: Start anew over an existing run.
    """
    chosen = load_recipe(recipe, [word for words in set_ for word in words])
    try:
        from stallscan.training.devices import rank_of_process
        from stallscan.training.jobs import train_all
        from stallscan.training.run import train as train_one
    except ModuleNotFoundError as error:
        raise OptionError(
            f"training needs {error.name}; install it with `pip install 'stallscan[train]'`"
        ) from error
    if rank_of_process() != 0:
        _progress.QUIET = True  # the first of several processes speaks for all
    fold, several = _folds(folds, chosen)
    if job is not None and not several:
        raise OptionError(f"--job is {job}, but this is one run; give --folds all with it")
    with _progress.progress_callback() as update:
        source = training_data(data, labels, metadata, training, update).of_fold(fold)
        if dry_run:
            return _describe(chosen, training, source)
        if out is None:
            raise OptionError("--out is missing; name the folder of the run")
        bar = not _progress.QUIET
        if not several:
            assert not isinstance(chosen, EnsembleRecipe)
            train_one(out, chosen, training, source=source, overwrite=overwrite, progress=bar)
            _progress.say(f"{out}: validation.csv, history.csv, curves.png; predict --model {out}")
            return 0
        train_all(out, chosen, training, source=source, job=job, overwrite=overwrite, progress=bar)
        if job is None and rank_of_process() == 0:
            _evaluate(out)
    return 0


def _folds(folds: str | None, recipe: Recipe | EnsembleRecipe) -> tuple[int, bool]:
    """The fold of one run, and whether there are several runs."""
    if isinstance(recipe, EnsembleRecipe):
        if folds not in (None, "all"):
            raise OptionError(
                f"--folds is {folds}, but the ensemble {recipe.name} says which folds each member "
                "has; leave it out, or choose one run by --job"
            )
        return 0, True
    if folds == "all":
        return 0, True
    if folds is not None and (not folds.isdecimal() or int(folds) >= recipe.folds.n):
        raise OptionError(f"--folds is {folds!r}, allowed are all, and 0 to {recipe.folds.n - 1}")
    return int(folds or 0), False


def _describe(recipe: Recipe | EnsembleRecipe, options: TrainOptions, source: DataSource) -> int:
    from stallscan.training.jobs import plan_jobs
    from stallscan.training.plan import describe_run

    if isinstance(recipe, EnsembleRecipe):
        _progress.say(to_yaml(dataclasses.asdict(recipe)))
        for number, one in enumerate(plan_jobs(recipe)):
            _progress.say(f"job {number:>2}  {one.path}")
        return 0
    _progress.say(describe_run(recipe, options, source))
    return 0


def _evaluate(out: Path) -> None:
    """Report on the out-of-fold predictions."""
    from stallscan.cli.evaluate import evaluate
    from stallscan.models.ensemble import read_ensemble
    from stallscan.report.evaluation import EvaluateOptions
    from stallscan.training.jobs import LABELS, OUT_OF_FOLD

    scoring = EvaluateOptions(threshold=read_ensemble(out).threshold)
    evaluate(out / OUT_OF_FOLD, out / LABELS, out=out / "report", scoring=scoring, overwrite=True)
    _progress.say(f"ensemble {out}: predict --model {out}")
