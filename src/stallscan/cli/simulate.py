"""``stallscan simulate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, UseAppendAction

from stallscan.cli._progress import progress_callback, say
from stallscan.simulate.dataset import SimulateOptions
from stallscan.simulate.dataset import simulate as write_dataset

_DEFAULTS = SimulateOptions()


def simulate(
    out: Positional[Path],
    dataset: Annotated[SimulateOptions, UseAppendAction] = _DEFAULTS,
    workers: int | None = None,
    overwrite: bool = False,
) -> int:
    """Make a data set of phantom videos, shaped as the competition's, with the truth beside it.

    Args:
        out: Folder for train/, test/ and the tables.
        dataset: What to make.
        workers: Processes; all cores by default.
        overwrite: Start anew over an existing data set.
    """
    with progress_callback() as update:
        write_dataset(out, dataset, workers=workers, overwrite=overwrite, progress=update)
    say(f"{out}: {dataset.n_train} train and {dataset.n_test} test videos, tables and truth.csv")
    n_wrong = json.loads((out / "run.json").read_text())["n_wrong_train_labels"]
    if n_wrong:
        say(
            f"train_labels.csv: {n_wrong} of {dataset.n_train} labels are wrong, as the crowd's "
            "are; truth.csv has the truth, and --clean-labels writes it as the labels"
        )
    return 0
