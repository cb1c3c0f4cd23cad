"""The matrix of rows and seeds: each run trained, and asked about the test set."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from stallscan.ablation.frames import teach_by_frames
from stallscan.ablation.results import answers_name, write_results
from stallscan.ablation.table import AblationTable, Row, Scale
from stallscan.ablation.test_set import TestSet, ask
from stallscan.errors import OptionError, OutputHeldError
from stallscan.inference.predictor import load_predictor
from stallscan.manifest import State, open_output
from stallscan.models.cost import cost
from stallscan.training.network import empty_network, typical_size
from stallscan.training.options import TrainOptions
from stallscan.training.predictions import write_table
from stallscan.training.recipe import Recipe
from stallscan.training.run import DataSource, train

FRAMES = "frames"
"""In place of a file of first weights: see `teach_by_frames`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run.

    Attributes:
        row: that it is of.
        recipe: by which it is trained.
        seed: of the run.
        path: of its folder, in that of all.
    """

    row: Row
    recipe: Recipe
    seed: int
    path: str


def plan(
    table: AblationTable,
    *,
    scale: Scale,
    seeds: int,
    overrides: Iterable[str] = (),
    phantom: bool = False,
    imagenet: Path | None = None,
) -> list[Job]:
    """All runs: every row once, then with the next seed, so that a partial table has all rows.

    Args:
        table: what is compared, at the scale.
        scale: paper, or small.
        seeds: of each row, from 0.
        overrides: ``key=value``, for every row.
        phantom: whether the data are phantoms.
        imagenet: a file in place of the weights that recipes would fetch.

    Raises:
        OptionError: a recipe that does not stand; fewer than one seed.
    """
    if seeds < 1:
        raise OptionError(f"--seeds is {seeds}, allowed are 1 and above")
    words = list(overrides)
    recipes = {
        row.name: _with_file(table.recipe(row, scale, words, phantom=phantom), imagenet)
        for row in table.trained
    }
    return [
        Job(row=row, recipe=recipes[row.name], seed=seed, path=f"{row.folder}/seed{seed}")
        for seed in range(seeds)
        for row in table.trained
    ]


def _with_file(recipe: Recipe, imagenet: Path | None) -> Recipe:
    if imagenet is None or recipe.must_model.pretrained != "imagenet":
        return recipe
    model = dataclasses.replace(recipe.must_model, pretrained=str(imagenet))
    return dataclasses.replace(recipe, model=model)


def describe(jobs: list[Job]) -> str:
    """A line for each run: its number, folder, network, input, samples and cost."""
    lines, gmacs = [], dict[str, float]()
    for number, job in enumerate(jobs):
        recipe, size = job.recipe, typical_size(job.recipe)
        if job.row.name not in gmacs:
            gmacs[job.row.name] = cost(empty_network(recipe), size).macs / 1e9
        samples = (
            recipe.stop.max_epochs * recipe.sampler.batches_per_epoch * recipe.sampler.batch_size
        )
        lines.append(
            f"job {number:>2}  {job.path}: {recipe.must_model.architecture} at "
            f"{'×'.join(map(str, size))}, {gmacs[job.row.name]:.2f} GMAC, at most "
            f"{samples:,} samples"
        )
    return "\n".join(lines)


def run_jobs(
    out: Path,
    table: AblationTable,
    jobs: list[Job],
    *,
    source: DataSource,
    test: TestSet | None,
    options: TrainOptions,
    only: int | None = None,
    progress: bool = True,
    tell: Callable[[str], None] = lambda _: None,
    asked: Callable[[int, int], None] = lambda *_: None,
) -> list[str]:
    """Train and test; after each run the table of what there is so far is written.

    A run that another process holds is left to it, unless it is the only one.

    Args:
        out: folder of all.
        table: what is compared.
        jobs: of `plan`.
        source: what the rows are trained on.
        test: what they are asked about; None: there is none.
        options: workers and devices; seeds are the jobs'.
        only: this run alone, by its number.
        progress: show a bar for each run.
        tell: takes a line for each run, with what is left.
        asked: called with the test's vessels done and all, for each run.

    Returns:
        Paths of the runs that were left to other processes.

    Raises:
        OptionError: no such run.
        OutputConflictError: a folder belongs to another run, or was tested on another set.
        OutputHeldError: another process is at the run ``only``.
    """
    if only is not None and not 0 <= only < len(jobs):
        raise OptionError(
            f"--job is {only}, allowed are 0 to {len(jobs) - 1}: "
            f"{', '.join(job.path for job in jobs)}"
        )
    seconds: list[float] = []
    held: list[str] = []
    for number, job in enumerate(jobs):
        if only not in (None, number):
            continue
        left = len(jobs) - number if only is None else 1
        tell(f"run {number + 1} of {len(jobs)}: {job.path}{_eta(seconds, left)}")
        began = time.monotonic()
        was_done = (out / job.path / "model.json").exists()
        try:
            _run(out, job, source=source, options=options, progress=progress)
            if test is not None:
                _test(out / job.path, table, job, test, asked)
        except OutputHeldError:
            if only is not None:
                raise
            tell(f"{job.path}: another process is at it; left to that one")
            held.append(job.path)
            continue
        if not was_done:
            seconds.append(time.monotonic() - began)
        with FileLock(out / "table.lock"):  # other machines may be done as well
            write_results(out, table, jobs)
    return held


def _eta(seconds: list[float], left: int) -> str:
    if not seconds:
        return ""
    minutes = left * sum(seconds) / len(seconds) / 60
    return f", {minutes / 60:.1f} h left" if minutes > 90 else f", {minutes:.0f} min left"


def _run(out: Path, job: Job, *, source: DataSource, options: TrainOptions, progress: bool) -> None:
    # Whole frames are stored as small as the row's network sees them.
    is_full = job.recipe.data.region == "full"
    shared = source.sharing(out / job.row.folder if is_full else out)
    train(
        out / job.path,
        _with_first_weights(out, job),
        dataclasses.replace(options, seed=job.seed),
        source=shared.of_fold(job.row.fold),
        progress=progress,
    )


def _test(
    run_dir: Path,
    table: AblationTable,
    job: Job,
    test: TestSet,
    asked: Callable[[int, int], None],
) -> None:
    """Ask with all the flips that a row wants of this run."""
    wanted = {job.row.flips} | {row.flips for row in table.rows if job.row.name in row.of}
    for flips in sorted(wanted):
        path = run_dir / answers_name(flips)
        with open_output(path, command="ablate", options=test.identity(), folder=False) as manifest:
            if manifest.state is not State.COMPLETE:
                predictor = load_predictor(run_dir, flips=flips)
                write_table(ask(predictor, test, job.recipe.data.region, asked), path)
                manifest.complete(exit_code=0)


def _with_first_weights(out: Path, job: Job) -> Recipe:
    """The recipe, its 2D network taught first where that is what it begins with."""
    recipe = job.recipe
    if recipe.must_model.pretrained != FRAMES:
        return recipe
    path = out / FRAMES / f"{recipe.must_model.architecture}-seed{job.seed}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):  # rows of one seed begin with the same weights
        teach_by_frames(path, recipe, job.seed)
    model = dataclasses.replace(recipe.must_model, pretrained=str(path))
    return dataclasses.replace(recipe, model=model)
