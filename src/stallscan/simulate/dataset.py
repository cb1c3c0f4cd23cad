"""A Clog-Loss-shaped data set of phantom videos, with the truth beside it."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from stallscan.data.tables import METADATA_COLUMNS
from stallscan.data.videos import SPLITS
from stallscan.errors import OptionError
from stallscan.manifest import Manifest, State, open_output
from stallscan.simulate.phantom import phantom_clip, phantom_truth
from stallscan.types import Label
from stallscan.workers import end_with_parent

FIRST_ID = 100_000
"""Files are numbered as the competition's are, over both splits."""

Progress = Callable[[int, int], None]
"""Called with (clips done, clips in all)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulateOptions:
    """Options of `stallscan simulate`."""

    n_train: int = 40
    """Videos in train/; may be 0."""
    n_test: int = 20
    """Videos in test/; may be 0."""
    stalled: float = 0.3
    """Share of stalled vessels: exactly round(n × share) in each split."""
    seed: int = 0
    """The same seed gives the same bytes, with any number of workers."""

    def __post_init__(self) -> None:
        for name, n in (("--n-train", self.n_train), ("--n-test", self.n_test)):
            if n < 0:
                raise OptionError(
                    f"{name} is {n}, allowed are 0 and above; 0 leaves the split empty"
                )
        if self.n_train + self.n_test == 0:
            raise OptionError(
                "--n-train and --n-test are both 0, so there is nothing to simulate; give at least "
                "one of them a positive number"
            )
        if not 0.0 <= self.stalled <= 1.0:
            raise OptionError(
                f"--stalled is {self.stalled}, allowed is a share from 0 to 1; write 0.3 for 30 %"
            )
        if self.seed < 0:
            raise OptionError(f"--seed is {self.seed}, allowed are 0 and above; choose another")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """One video: its place in the data set decides its seed."""

    filename: str
    split: str
    seed: tuple[int, int, int]
    label: Label


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
    test_labels.csv, submission_format.csv and truth.csv. ``url`` in the tables is relative to them.

    Args:
        out: the folder.
        options: how many, how many stalled, seed.
        workers: processes; None takes one for each core.
        overwrite: start anew over an existing data set.
        progress: called after each video.

    Returns:
        ``out``.

    Raises:
        OutputConflictError: the folder belongs to another data set.
        OptionError: the folder cannot be written, or ``workers`` is below 1.
    """
    if workers is not None and workers < 1:
        raise OptionError(f"--workers is {workers}, allowed are 1 and above; leave it out for all")
    identity = dataclasses.asdict(options)
    with open_output(out, command="simulate", options=identity, overwrite=overwrite) as run:
        if run.state is State.COMPLETE:
            if progress:
                progress(run.record["n_videos"], run.record["n_videos"])
        else:
            _write(out, options, workers or os.cpu_count() or 1, run, progress)
    return out


def _write(
    out: Path, options: SimulateOptions, workers: int, run: Manifest, progress: Progress | None
) -> None:
    jobs = _plan(options)
    for split in SPLITS:
        (out / split).mkdir(exist_ok=True)
        for torn in (out / split).glob(".*.partial.mp4"):  # left by a kill; we hold the lock
            torn.unlink()
    # A video is renamed into its place when it is whole: what is there need not be made again.
    missing = [job for job in jobs if not (out / job.split / job.filename).exists()]
    done = len(jobs) - len(missing)
    if progress:
        progress(done, len(jobs))
    if workers == 1:
        for job in missing:
            _render(job, out)
            done += 1
            if progress:
                progress(done, len(jobs))
    else:
        # Spawned, for the parent may hold threads; watching, so that they end when it is killed.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(
            min(workers, max(len(missing), 1)), context, end_with_parent, (os.getpid(),)
        ) as pool:
            for future in as_completed([pool.submit(_render, job, out) for job in missing]):
                future.result()
                done += 1
                if progress:
                    progress(done, len(jobs))
    _write_tables(out, options, jobs)
    run.complete(exit_code=0, n_videos=len(jobs))


def _plan(options: SimulateOptions) -> list[_Job]:
    """All videos, in the order of their numbers."""
    jobs = []
    number = FIRST_ID
    for code, (split, n) in enumerate(zip(SPLITS, (options.n_train, options.n_test), strict=True)):
        labels = np.zeros(n, int)
        labels[: round(n * options.stalled)] = 1
        np.random.default_rng((options.seed, code)).shuffle(labels)
        for index, label in enumerate(labels):
            seed = (options.seed, 2 + code, index)
            jobs.append(
                _Job(filename=f"{number}.mp4", split=split, seed=seed, label=Label(int(label)))
            )
            number += 1
    return jobs


def _render(job: _Job, out: Path) -> None:
    from stallscan.video.write import write_clip

    clip, _ = phantom_clip(job.seed, job.label)
    write_clip(out / job.split / job.filename, clip, crf=18, preset="veryfast")


def _write_tables(out: Path, options: SimulateOptions, jobs: list[_Job]) -> None:
    truths = [phantom_truth(job.seed, job.label) for job in jobs]
    table = pd.DataFrame(
        {
            "filename": [job.filename for job in jobs],
            "split": [job.split for job in jobs],
            "url": [f"{job.split}/{job.filename}" for job in jobs],
            "num_frames": [truth.n_frames for truth in truths],
            "stalled": [int(job.label) for job in jobs],
        }
    )
    # A crowd that is mostly right: stalled scores lie high, flowing ones are mostly 0.
    rng = np.random.default_rng((options.seed, 9))
    high, low = rng.beta(6, 2, len(jobs)), rng.beta(1, 12, len(jobs))
    low[rng.random(len(jobs)) < 0.8] = 0.0
    table["crowd_score"] = np.where(table["stalled"] == 1, high, low).round(6)
    table["project_id"] = "P"
    table["tier1"] = (table["crowd_score"] == 0) | (table["crowd_score"] >= 0.75)
    table["micro"] = True
    table["nano"] = False
    train, test = (table[table["split"] == split] for split in SPLITS)
    truth_rows = pd.DataFrame([dataclasses.asdict(truth) for truth in truths])
    tables = {
        "train_metadata.csv": train[list(METADATA_COLUMNS)],
        "train_labels.csv": train[["filename", "stalled"]],
        "test_metadata.csv": test[["filename", "url", "num_frames"]],
        "test_labels.csv": test[["filename", "stalled"]],
        "submission_format.csv": test[["filename"]].assign(stalled=0),
        "truth.csv": pd.concat([table[["filename", "split"]], truth_rows], axis=1),
    }
    for name, rows in tables.items():
        partial = out / f"{name}.tmp"
        rows.to_csv(partial, index=False, lineterminator="\n")
        partial.replace(out / name)
