"""``stallscan train``."""

from __future__ import annotations

from pathlib import Path

from tyro.conf import Positional

from stallscan.cli import _progress
from stallscan.errors import OptionError
from stallscan.training.recipe import TrainOptions

_DEFAULTS = TrainOptions()


def train(
    data: Positional[str],
    out: Path,
    training: TrainOptions = _DEFAULTS,
    overwrite: bool = False,
) -> int:
    """Train a recipe; a killed run goes on from its last epoch.

    Args:
        data: "phantom": the endless synthetic set. (Training on videos comes with the ROI store.)
        out: Folder of the run; becomes a checkpoint folder for --model.
        training: How to train.
        overwrite: Start anew over an existing run.
    """
    if data != "phantom":
        raise OptionError(
            f"{data}: this version trains on 'phantom' alone; write `stallscan train phantom "
            "--out DIR`"
        )
    try:
        from stallscan.training.run import train as run
    except ModuleNotFoundError as error:
        raise OptionError(
            f"training needs {error.name}; install it with `pip install 'stallscan[train]'`"
        ) from error
    run(out, training, overwrite=overwrite, progress=not _progress.QUIET)
    _progress.say(f"{out}: model.json, weights.safetensors, history.csv, curves.png")
    return 0
