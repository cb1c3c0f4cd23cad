"""``stallscan ablate``."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, UseAppendAction, arg

from stallscan.ablation.table import Scale, load_table
from stallscan.cli import _progress
from stallscan.cli._training_data import training_data
from stallscan.errors import OptionError, OutputHeldError
from stallscan.manifest import State, open_output
from stallscan.training.options import TrainOptions

if TYPE_CHECKING:
    from stallscan.ablation.test_set import TestSet

PHANTOM = "phantom"
SHELF = "phantoms"
"""Folder of phantoms that come again, of the training and of the test."""

HOLDS = {SHELF, "frames", "table.lock", "runs.csv", "table.csv", "table.md", "table.png"}
"""What runs by --job leave beside their folders."""


def ablate(
    data: Annotated[Positional[str], arg(metavar="DATA")],
    table: Annotated[str | None, arg(metavar="2|3|4|…")] = None,
    ensemble: Path | None = None,
    out: Path | None = None,
    scale: Scale = "paper",
    seeds: int = 1,
    set_: Annotated[
        UseAppendAction[tuple[tuple[str, ...], ...]], arg(name="set", metavar="KEY=VALUE…")
    ] = (),
    n_test: int = 400,
    labels: Path | None = None,
    metadata: Path | None = None,
    test: Path | None = None,
    test_labels: Path | None = None,
    job: int | None = None,
    imagenet: Path | None = None,
    workers: int = 2,
    device: str = "auto",
    dry_run: bool = False,
    overwrite: bool = False,
) -> int:
    """Re-run a table of the paper: every row trained, tested, and put beside the paper's figures.

    table.csv, table.md and table.png are written anew after each run; a killed one goes on. With
    --ensemble in place of --table: what each member of a trained ensemble adds.

    Args:
        data: "phantom", a data set with train/ and test/, or a ROI store.
        table: Of the paper; or transfer, backbones, ours.
        ensemble: Folder of `train --recipe ensemble-18`: members alone, all, all but one.
        out: Folder of all runs and of the table.
        scale: The paper's networks and budgets, or small ones for two cores.
        seeds: Runs of each row, from seed 0.
        set_: Keys that differ in the recipe of every row: stop.max_epochs=5.
        n_test: Phantoms of the test.
        labels: Table of labels, filename and stalled; train_labels.csv of a data set by default.
        metadata: Table of projects and crowd scores; train_metadata.csv of a data set by default.
        test: Test videos, or a ROI store of them; test/ of a data set by default.
        test_labels: Table of their labels; test_labels.csv of a data set by default.
        job: Do this run alone, from 0, and leave the others to other machines.
        imagenet: File of ImageNet weights, in place of fetching them.
        workers: Processes that make samples.
        device: Lightning accelerator: auto, cpu, gpu.
        dry_run: List the runs and what they cost, and stop.
        overwrite: Start anew over an existing folder.
    """
    if (table is None) == (ensemble is None):
        raise OptionError("needed is either --table or --ensemble")
    try:
        from stallscan.ablation.run import describe, plan, run_jobs
    except ModuleNotFoundError as error:
        raise OptionError(
            f"training needs {error.name}; install it with `pip install 'stallscan[train]'`"
        ) from error
    asked_of = _TestSource(data, n_test, test, test_labels, workers)
    if table is None:
        assert ensemble is not None
        return _examine(ensemble, _out(out), asked_of, overwrite)
    chosen = load_table(table).at(scale)
    words = [word for given in set_ for word in given]
    jobs = plan(
        chosen,
        scale=scale,
        seeds=seeds,
        overrides=words,
        phantom=data == PHANTOM,
        imagenet=imagenet,
    )
    if dry_run:
        _progress.say(describe(jobs))
        return 0
    out = _out(out)
    options = TrainOptions(workers=workers, device=device, phantoms=out / SHELF)
    with _progress.progress_callback() as update:
        source = training_data(data, labels, metadata, options, update)
        folders = [place for place in (data, test) if place != PHANTOM and _is_folder(place)]
        if job is not None and folders:
            raise OptionError(
                f"{folders[0]}: --job needs a ROI store, which several machines can read at once; "
                "make it with `stallscan extract`"
            )
        vessels = asked_of.open(out)

        def run() -> list[str]:
            return run_jobs(
                out,
                chosen,
                jobs,
                source=source,
                test=vessels,
                options=options,
                only=job,
                progress=not _progress.QUIET,
                tell=_progress.say,
                asked=update,
            )

        if job is not None:  # beside others: each run has a record of its own
            run()
            return 0
        identity = {
            "table": table,
            "scale": scale,
            "seeds": seeds,
            "set": words,
            "imagenet": imagenet and sha256(imagenet.read_bytes()).hexdigest()[:16],
            **source.identity(),
            "test": None if vessels is None else vessels.identity(),
        }
        holds = {one.path.partition("/")[0] for one in jobs} | HOLDS
        with open_output(
            out, command="ablate", options=identity, overwrite=overwrite, holds=holds
        ) as manifest:
            if manifest.state is State.COMPLETE:
                _progress.say(f"{out}: complete since {manifest.record['finished']}")
            else:
                held = run()
                if held:
                    raise OutputHeldError(
                        f"{out}: the table lacks {', '.join(held)}, which other processes are "
                        "at; when they are done, the same command completes it"
                    )
                manifest.complete(exit_code=0)
    _progress.say((out / "table.md").read_text(encoding="utf-8"))
    return 0


def _is_folder(place: str | Path | None) -> bool:
    """Of videos; one of shards is a store."""
    from stallscan.data.store import is_store

    return place is not None and Path(place).is_dir() and not is_store(place)


def _out(out: Path | None) -> Path:
    if out is None:
        raise OptionError("--out is missing; name the folder of the runs")
    return out


def _examine(ensemble: Path, out: Path, asked_of: _TestSource, overwrite: bool) -> int:
    """Members of an ensemble."""
    from stallscan.ablation.members import examine
    from stallscan.models.ensemble import read_ensemble, sha256_of_model

    read_ensemble(ensemble)  # anything else is refused before it is asked
    vessels = asked_of.open(out)
    if vessels is None:
        raise OptionError(f"{asked_of.data}: has no test to ask the members of {ensemble} about")
    identity = {"ensemble": sha256_of_model(ensemble), "test": vessels.identity()}
    with (
        _progress.progress_callback() as update,
        open_output(
            out, command="ablate", options=identity, overwrite=overwrite, holds={SHELF}
        ) as manifest,
    ):
        if manifest.state is State.COMPLETE:
            _progress.say(f"{out}: complete since {manifest.record['finished']}")
        else:
            examine(out, ensemble, test=vessels, progress=update, tell=_progress.say)
            manifest.complete(exit_code=0)
    _progress.say((out / "members.md").read_text(encoding="utf-8"))
    return 0


@dataclass(frozen=True, slots=True)
class _TestSource:
    """What the options say of the test."""

    data: str
    n_test: int
    test: Path | None
    test_labels: Path | None
    workers: int

    def open(self, out: Path) -> TestSet | None:
        """The vessels; None, and a line that says so, where there are none."""
        from stallscan.ablation.test_set import PhantomVessels, VideoVessels
        from stallscan.data.dataset import find_table

        if self.data == PHANTOM:
            for name, given in (("test", self.test), ("test-labels", self.test_labels)):
                if given is not None:
                    raise OptionError(f"--{name} is {given}, but the phantom has its own")
            return PhantomVessels(n=self.n_test, shelf_dir=out / SHELF)
        folder = Path(self.data)
        is_set = folder.is_dir()
        test = self.test or (folder / "test" if is_set and (folder / "test").is_dir() else None)
        table = self.test_labels or (find_table(folder, "test_labels") if is_set else None)
        if test is None and self.test_labels is None:
            _progress.say(f"{self.data}: has no test/; name one by --test and --test-labels")
            return None
        if test is None or table is None:
            missing, there = ("--test", table) if test is None else ("--test-labels", test)
            raise OptionError(f"{there}: {missing} is missing; the test is videos and their labels")
        return VideoVessels(data=test, table=table, work_dir=out, workers=self.workers)
