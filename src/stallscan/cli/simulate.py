"""``stallscan simulate``."""

from __future__ import annotations

from pathlib import Path

from tyro.conf import Positional

from stallscan.cli._progress import progress_callback, say
from stallscan.simulate.dataset import SimulateOptions
from stallscan.simulate.dataset import simulate as write_dataset

_DEFAULTS = SimulateOptions()


def simulate(
    out: Positional[Path],
    dataset: SimulateOptions = _DEFAULTS,
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
    return 0
