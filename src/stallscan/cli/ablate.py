"""``stallscan ablate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, UseAppendAction, arg

from stallscan.ablation.table import Scale, load_table
from stallscan.cli import _progress
from stallscan.cli._training_data import training_data
from stallscan.errors import OptionError
from stallscan.manifest import State, open_output
from stallscan.training.options import TrainOptions

if TYPE_CHECKING:
    from stallscan.ablation.test_set import TestSet


def ablate(
    data: Annotated[Positional[str], arg(metavar="DATA")],
    table: Annotated[str, arg(metavar="2|3|4|…")],
    out: Path | None = None,
    scale: Scale = "paper",
    seeds: int = 1,
    set_: Annotated[
        UseAppendAction[tuple[tuple[str, ...], ...]], arg(name="set", metavar="KEY=VALUE…")
    ] = (),
    n_test: int = 400,
    labels: Path | None = None,
    metadata: Path | None = None,
    job: int | None = None,
    imagenet: Path | None = None,
    workers: int = 2,
    device: str = "auto",
    dry_run: bool = False,
    overwrite: bool = False,
) -> int:
    """Re-run a table of the paper: every row trained, tested, and put beside the paper's figures.

    table.csv, table.md and table.png are written anew after each run; a killed one goes on.

    Args:
        data: "phantom", a data set with train/ and test/, or a ROI store (then without a test).
        table: Of the paper; or transfer, ours.
        out: Folder of all runs and of the table.
        scale: The paper's networks and budgets, or small ones for two cores.
        seeds: Runs of each row, from seed 0.
        set_: Keys that differ in the recipe of every row: stop.max_epochs=5.
        n_test: Phantoms of the test.
        labels: Table of labels, filename and stalled; train_labels.csv of a data set by default.
        metadata: Table of projects and crowd scores; train_metadata.csv of a data set by default.
        job: Do this run alone, from 0, and leave the others to other machines.
        imagenet: File of ImageNet weights, in place of fetching them.
        workers: Processes that make samples.
        device: Lightning accelerator: auto, cpu, gpu.
        dry_run: List the runs and what they cost, and stop.
        overwrite: Start anew over an existing folder.
    """
    chosen = load_table(table).at(scale)
    words = [word for given in set_ for word in given]
    is_phantom = data == "phantom"
    try:
        from stallscan.ablation.run import describe, plan, run_jobs
    except ModuleNotFoundError as error:
        raise OptionError(
            f"training needs {error.name}; install it with `pip install 'stallscan[train]'`"
        ) from error
    jobs = plan(
        chosen, scale=scale, seeds=seeds, overrides=words, phantom=is_phantom, imagenet=imagenet
    )
    if dry_run:
        _progress.say(describe(jobs))
        return 0
    if out is None:
        raise OptionError("--out is missing; name the folder of the runs")
    options = TrainOptions(workers=workers, device=device, phantoms=out / "phantoms")
    with _progress.progress_callback() as update:
        source = training_data(data, labels, metadata, options, update)
        test = _test_set(data, out, n_test, workers)

        def run() -> None:
            run_jobs(
                out,
                chosen,
                jobs,
                source=source,
                test=test,
                options=options,
                only=job,
                progress=not _progress.QUIET,
                tell=_progress.say,
            )

        if job is not None:  # beside others, which hold the folder as well
            run()
            return 0
        identity = {
            "table": table,
            "scale": scale,
            "seeds": seeds,
            "set": words,
            **source.identity(),
            "test": None if test is None else test.identity(),
        }
        holds = {one.path.partition("/")[0] for one in jobs} | {"phantoms"}
        with open_output(
            out, command="ablate", options=identity, overwrite=overwrite, holds=holds
        ) as manifest:
            if manifest.state is State.COMPLETE:
                _progress.say(f"{out}: complete since {manifest.record['finished']}")
            else:
                run()
                manifest.complete(exit_code=0)
    _progress.say((out / "table.md").read_text(encoding="utf-8"))
    return 0


def _test_set(data: str, out: Path, n_test: int, workers: int) -> TestSet | None:
    from stallscan.ablation.test_set import TestPhantoms, TestVideos
    from stallscan.data.dataset import find_table

    if data == "phantom":
        return TestPhantoms(n=n_test, shelf_dir=out / "phantoms")
    folder = Path(data)
    table = find_table(folder, "test_labels") if folder.is_dir() else None
    if table is None or not (folder / "test").is_dir():
        _progress.say(f"{data}: has no test/ with test_labels.csv; the test's columns stay empty")
        return None
    return TestVideos(data=folder / "test", table=table, work_dir=out, workers=workers)
