"""``stallscan train``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from stallscan.cli import _progress
from stallscan.errors import OptionError
from stallscan.training.recipe import TrainOptions

if TYPE_CHECKING:
    from stallscan.training.run import DataSource

_DEFAULTS = TrainOptions()


def train(
    data: Annotated[Positional[str], arg(metavar="DATA")],
    out: Path,
    labels: Path | None = None,
    training: TrainOptions = _DEFAULTS,
    overwrite: bool = False,
) -> int:
    """Train a recipe; a killed run goes on from its last epoch.

    Args:
        data: "phantom" (the endless synthetic set), a ROI store, a data set, or a folder of videos.
        out: Folder of the run; becomes a checkpoint folder for --model.
        labels: Table of labels, filename and stalled; train_labels.csv of a data set by default.
        training: How to train.
        overwrite: Start anew over an existing run.
    """
    try:
        from stallscan.training.run import train as run
    except ModuleNotFoundError as error:
        raise OptionError(
            f"training needs {error.name}; install it with `pip install 'stallscan[train]'`"
        ) from error
    with _progress.progress_callback() as update:
        source = _source(data, labels, training, update)
        run(out, training, source=source, overwrite=overwrite, progress=not _progress.QUIET)
    _progress.say(f"{out}: model.json, weights.safetensors, history.csv, curves.png")
    return 0


def _source(
    data: str, labels: Path | None, options: TrainOptions, progress: Callable[[int, int], None]
) -> DataSource:
    from stallscan.data.dataset import find_table
    from stallscan.training.phantom_data import Phantom
    from stallscan.training.store_data import Videos

    if data == "phantom":
        if labels is not None:
            raise OptionError(f"--labels is {labels}, but the phantom knows its own; leave it out")
        return Phantom()
    path = Path(data)
    if not path.exists():
        raise OptionError(
            f"{path}: no such store or folder; give one, or 'phantom' for the synthetic set"
        )
    table = labels or (find_table(path, "train_labels") if path.is_dir() else None)
    if table is None:
        raise OptionError(
            f"{path}: has no train_labels.csv in it; pass --labels FILE with the columns filename "
            "and stalled"
        )
    return Videos(
        data=path,
        labels=table,
        fold=options.fold,
        n_folds=options.n_folds,
        workers=options.workers,
        progress=progress,
    )
