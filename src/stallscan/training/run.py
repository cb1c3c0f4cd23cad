"""One training run: from a recipe to a checkpoint folder."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from stallscan.errors import OptionError, TrainingError
from stallscan.manifest import Manifest, State, open_output
from stallscan.models.footprint import require_memory_for
from stallscan.models.memory import available_memory
from stallscan.training.devices import Devices, resolve_devices, with_device
from stallscan.training.engine import Run, fit
from stallscan.training.export import export
from stallscan.training.network import empty_network, typical_size
from stallscan.training.optimizers import STATES
from stallscan.training.options import TrainOptions
from stallscan.training.phantom_data import Phantom
from stallscan.training.recipe import Recipe
from stallscan.training.recipe_files import to_yaml
from stallscan.training.samples import TrainingSet, augmentation_of
from stallscan.training.start import check_fold, resolve_start

# Of the system's errors, those of a disk that takes no more.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


class DataSource(Protocol):
    """Where a run's training set comes from."""

    @property
    def fold(self) -> int:
        """The fold that is held out."""

    def of_fold(self, fold: int) -> DataSource:
        """The same, another fold held out."""

    def sharing(self, folder: Path) -> DataSource:
        """The same for several runs; what they can share is made once, in a folder."""

    def identity(self) -> dict[str, Any]:
        """What decides the samples, for the record of the run."""

    def open(self, run_dir: Path, recipe: Recipe, seed: int) -> TrainingSet:
        """The set; may write into the run's folder."""


_PHANTOM = Phantom()


def train(
    run_dir: Path,
    recipe: Recipe,
    options: TrainOptions | None = None,
    *,
    source: DataSource = _PHANTOM,
    overwrite: bool = False,
    progress: bool = True,
) -> Path:
    """Train a recipe; a killed run goes on from its last epoch.

    Args:
        run_dir: becomes a checkpoint folder (of snapshots, an ensemble folder), with recipe.yaml,
            history.csv, curves.png, validation.csv and, if TensorBoard is installed, its log.
        recipe: what is trained, and how; see `stallscan.training.load_recipe`.
        options: seed, start, devices.
        source: where the samples come from: the phantom, or `stallscan.training.Videos`.
        overwrite: start anew over an existing run.
        progress: show a progress bar.

    Returns:
        ``run_dir``.

    Raises:
        OutputConflictError: the folder belongs to another run.
        OptionError: recipe, start, data and devices do not fit together.
        TrainingError: the loss is not finite, or the disk is full.
        InputError: what the source reads is missing or damaged.
    """
    options = options or TrainOptions()
    recipe, start = resolve_start(recipe, options.start, source.fold)
    devices = resolve_devices(recipe, options)
    identity = {
        "recipe": {key: one for key, one in recipe.to_dict().items() if key != "about"},
        "seed": options.seed,
        **source.identity(),
        **({"start": start.digest} if start else {}),
    }
    _check_fit(recipe, devices)
    run = Run(
        run_dir=run_dir,
        recipe=with_device(recipe, devices),
        options=options,
        start=start,
        devices=devices,
    )
    if not devices.is_first:  # another process has opened the output
        if _is_complete(run_dir):
            return run_dir
        fit(run, _shared(source).open(run_dir, run.recipe, options.seed), progress=False)
        return run_dir
    with open_output(run_dir, command="train", options=identity, overwrite=overwrite) as manifest:
        if manifest.state is State.COMPLETE:
            return run_dir
        try:
            _train(run, _shared(source) if devices.n_ranks > 1 else source, manifest, progress)
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            raise TrainingError(
                f"{run_dir}: cannot be written ({error.strerror or error}); free some space and "
                "give the same command, which goes on from the last whole epoch in checkpoints/"
            ) from error
    return run_dir


def _train(run: Run, source: DataSource, manifest: Manifest, progress: bool) -> None:
    """Fit, predict what was held out, and write the checkpoint folder."""
    recipe, run_dir = run.recipe, run.run_dir
    data = source.open(run_dir, recipe, run.options.seed)
    if run.start is not None:
        check_fold(run.start, recipe, data.description.get("fold"))
    (run_dir / "recipe.yaml").write_text(to_yaml(recipe.to_dict()), encoding="utf-8")
    module, kept = fit(run, data, progress=progress)
    # Of all starts, for the history outlives a kill.
    hours = float(pd.read_csv(run_dir / "history.csv")["seconds"].sum()) / 3600
    export(run, module, kept, data, hours)
    manifest.complete(exit_code=0, hours=round(hours, 3))


def _check_fit(recipe: Recipe, devices: Devices) -> None:
    """Refuse before anything is read what the network or the memory cannot take."""
    augmentation_of(recipe)
    require_memory_for(
        empty_network(recipe),
        typical_size(recipe),
        recipe.sampler.batch_size,
        training=True,
        optimizer_states=STATES[type(recipe.optimizer)],
        limit=available_memory(devices.accelerator),
    )


def _is_complete(run_dir: Path) -> bool:
    path = run_dir / "run.json"
    return path.exists() and json.loads(path.read_text())["state"] == State.COMPLETE


def _shared(source: DataSource) -> DataSource:
    """Refuse what several processes would each extract."""
    data = getattr(source, "data", None)
    if data is None:
        return source
    from stallscan.data.store import is_store

    if not is_store(data):
        raise OptionError(
            f"{data}: several devices read from a ROI store; run `stallscan extract {data} --out "
            "rois.lmdb` first and train on that"
        )
    return source
