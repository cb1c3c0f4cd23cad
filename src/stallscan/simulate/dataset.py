"""A Clog-Loss-shaped data set of phantom videos, with the truth beside it."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import operator
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from stallscan import manifest
from stallscan.data.tables import METADATA_COLUMNS, TEST_METADATA_COLUMNS
from stallscan.data.videos import SPLITS
from stallscan.errors import OptionError
from stallscan.manifest import Manifest, open_output
from stallscan.simulate.settings import load_settings
from stallscan.simulate.state import State
from stallscan.simulate.tables import draw_projects, train_columns
from stallscan.workers import end_with_parent

FIRST_ID = 100_000
"""Files are numbered as the competition's are, over both splits."""

Progress = Callable[[int, int], None]
"""Called with (clips done, clips in all)."""

_Made = tuple[dict[str, object], dict[str, object]]
"""What is known of a video: its row of truth.csv, and what is too long for a table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulateOptions:
    """Options of `stallscan simulate`."""

    n_train: int = 40
    """Videos in train/; may be 0."""
    n_test: int = 20
    """Videos in test/; may be 0."""
    stalled: float = 0.3
    """Share of stalled vessels: exactly round(n × share) in each split."""
    undecidable: float = 0.02
    """Share that nobody can call, out of the flowing ones; as exact."""
    seed: int = 0
    """The same seed gives the same bytes, with any number of workers."""
    preset: str = "clogloss"
    """Look of the videos: clean, clogloss, hard or randomised."""
    set: tuple[str, ...] = ()
    """Change a range of the preset: NAME=LOW,HIGH."""
    clean_labels: bool = False
    """Train labels are the truth, without the crowd's errors."""

    def __post_init__(self) -> None:
        _check_whole("--n-train", self.n_train, "0 leaves the split empty")
        _check_whole("--n-test", self.n_test, "0 leaves the split empty")
        _check_whole("--seed", self.seed, "choose another")
        if self.n_train + self.n_test == 0:
            raise OptionError(
                "--n-train and --n-test are both 0, so there is nothing to simulate; give at least "
                "one of them a positive number"
            )
        for name, share in (("--stalled", self.stalled), ("--undecidable", self.undecidable)):
            if not 0.0 <= share <= 1.0:
                raise OptionError(
                    f"{name} is {share}, allowed is a share from 0 to 1; write 0.3 for 30 %"
                )
        if self.stalled + self.undecidable > 1 + 1e-9:
            raise OptionError(
                f"--stalled {self.stalled} and --undecidable {self.undecidable} are "
                f"{self.stalled + self.undecidable:g} together, allowed is at most 1; lower one"
            )
        load_settings(self.preset, self.set)


def _check_whole(name: str, value: int, remedy: str) -> None:
    try:
        wrong = isinstance(value, bool) or operator.index(value) < 0
    except TypeError:
        wrong = True
    if wrong:
        raise OptionError(f"{name} is {value!r}, allowed are whole numbers from 0 up; {remedy}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """One video: its place in the data set decides its seed."""

    filename: str
    split: str
    seed: tuple[int, int, int]
    state: State
    project: str


def simulate(
    out: Path,
    options: SimulateOptions,
    *,
    workers: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Write videos and tables as the competition has them; a killed run goes on where it stopped.

    ``out`` gets train/ and test/ (mp4), train_metadata.csv, test_metadata.csv, train_labels.csv,
    test_labels.csv, submission_format.csv, truth.csv and truth.jsonl. ``url`` in the tables is
    relative to them. Train labels are made by the competition's rule and partly wrong (see
    `stallscan.simulate.tables.train_columns`); test labels are the truth, and empty where the
    truth is undecidable.

    Args:
        out: the folder.
        options: how many, of what state and look, seed.
        workers: processes; None takes one for each core.
        overwrite: start anew over an existing data set.
        progress: called after each video.

    Returns:
        ``out``.

    Raises:
        OutputConflictError: the folder belongs to another data set.
        OptionError: the folder cannot be written, ``workers`` is below 1, or the settings leave
            nothing to be seen.
    """
    if workers is not None and workers < 1:
        raise OptionError(f"--workers is {workers}, allowed are 1 and above; leave it out for all")
    if options.set:
        _probe(options)
    identity = dataclasses.asdict(options)
    with open_output(out, command="simulate", options=identity, overwrite=overwrite) as run:
        if run.state is manifest.State.COMPLETE:
            if progress:
                progress(run.record["n_videos"], run.record["n_videos"])
        else:
            _write(out, options, workers or os.cpu_count() or 1, run, progress)
    return out


def _probe(options: SimulateOptions) -> None:
    """Draw one scene, before anything is written: ranges may be allowed and yet show nothing.

    Raises:
        OptionError: no vessel can be seen.
    """
    from stallscan.simulate.scene import sample_scene

    rng = np.random.default_rng(options.seed)
    sample_scene(rng, State.FLOWING, load_settings(options.preset, options.set))


def _write(
    out: Path, options: SimulateOptions, workers: int, run: Manifest, progress: Progress | None
) -> None:
    jobs = _plan(options)
    for split in SPLITS:
        (out / split).mkdir(exist_ok=True)
        for torn in (out / split).glob(".*.partial.mp4"):  # left by a kill; we hold the lock
            torn.unlink()
    if progress:
        progress(0, len(jobs))
    truths = []
    make = partial(_make, out, options.preset, options.set)
    partial_details = out / "truth.jsonl.tmp"
    with partial_details.open("w", encoding="utf-8") as file:
        made = zip(jobs, _map(make, jobs, workers), strict=True)
        for done, (job, (truth, details)) in enumerate(made, 1):
            truths.append(truth)
            file.write(json.dumps({"filename": job.filename, **details}) + "\n")
            if progress:
                progress(done, len(jobs))
    partial_details.replace(out / "truth.jsonl")
    n_wrong = _write_tables(out, options, jobs, truths)
    run.complete(exit_code=0, n_videos=len(jobs), n_wrong_train_labels=n_wrong)


def _map(make: Callable[[_Job], _Made], jobs: Sequence[_Job], workers: int) -> Iterator[_Made]:
    """Make all videos, in their order: here, or in that many processes."""
    if workers == 1:
        yield from map(make, jobs)
        return
    # Spawned, for the parent may hold threads; watching, so that they end when it is killed.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(jobs)), context, end_with_parent, (os.getpid(),))
    try:
        yield from pool.map(make, jobs)
    finally:
        pool.shutdown(cancel_futures=True)


def _plan(options: SimulateOptions) -> list[_Job]:
    """All videos, in the order of their numbers."""
    jobs = []
    number = FIRST_ID
    for code, (split, n) in enumerate(zip(SPLITS, (options.n_train, options.n_test), strict=True)):
        n_stalled = round(n * options.stalled)
        n_undecidable = min(round(n * options.undecidable), n - n_stalled)
        states = [State.STALLED] * n_stalled + [State.UNDECIDABLE] * n_undecidable
        states += [State.FLOWING] * (n - len(states))
        rng = np.random.default_rng((options.seed, code))
        order = rng.permutation(n)
        projects = draw_projects(n, rng)
        for index, (place, project) in enumerate(zip(order, projects, strict=True)):
            jobs.append(
                _Job(
                    filename=f"{number}.mp4",
                    split=split,
                    seed=(options.seed, 2 + code, index),
                    state=states[place],
                    project=project,
                )
            )
            number += 1
    return jobs


def _make(out: Path, preset: str, changes: tuple[str, ...], job: _Job) -> _Made:
    """Render a video, unless an earlier run did, and tell the truth about it."""
    # Late, so that `--help` loads neither renderer nor codec.
    from stallscan.simulate.phantom import phantom_clip, phantom_truth
    from stallscan.video.write import write_clip

    settings = load_settings(preset, changes).of_project(job.project)
    path = out / job.split / job.filename
    # A video is renamed into its place when it is whole: what is there need not be made again.
    if path.exists():
        truth = phantom_truth(job.seed, job.state, settings)
    else:
        clip, truth = phantom_clip(job.seed, job.state, settings)
        write_clip(path, clip, crf=truth.crf, preset="veryfast")
    return truth.row(), truth.details()


def _write_tables(
    out: Path, options: SimulateOptions, jobs: list[_Job], truths: list[dict[str, object]]
) -> int:
    """All tables; how many train labels differ from the truth."""
    videos = pd.DataFrame(
        {
            "filename": [job.filename for job in jobs],
            "split": [job.split for job in jobs],
            "url": [f"{job.split}/{job.filename}" for job in jobs],
            "num_frames": [truth["n_frames"] for truth in truths],
            "stalled": pd.array([job.state.label for job in jobs], dtype="Int64"),
        }
    )
    projects = [job.project for job in jobs]
    train, test = (videos[videos["split"] == split] for split in SPLITS)
    crowd = train_columns(
        [job.state for job in jobs[: len(train)]],
        projects[: len(train)],
        np.random.default_rng((options.seed, 9)),
        clean_labels=options.clean_labels,
    )
    tables = {
        "train_metadata.csv": pd.concat([train, crowd.drop(columns="stalled")], axis=1)[
            list(METADATA_COLUMNS)
        ],
        "train_labels.csv": train[["filename"]].assign(stalled=crowd["stalled"]),
        "test_metadata.csv": test[list(TEST_METADATA_COLUMNS)],
        "test_labels.csv": test[["filename", "stalled"]],
        "submission_format.csv": test[["filename"]].assign(stalled=0),
        "truth.csv": pd.concat(
            [videos[["filename", "split"]].assign(project_id=projects), pd.DataFrame(truths)],
            axis=1,
        ),
    }
    for name, rows in tables.items():
        partial_table = out / f"{name}.tmp"
        rows.to_csv(partial_table, index=False, lineterminator="\n")
        partial_table.replace(out / name)
    return int((train["stalled"] != crowd["stalled"]).sum())
