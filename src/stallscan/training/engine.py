"""One run in one process: Lightning's trainer with what a recipe and its devices ask for."""

from __future__ import annotations

import importlib.util
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import (
    EMAWeightAveraging,
    LearningRateMonitor,
)
from lightning.pytorch.loggers import TensorBoardLogger

from stallscan.models._network import Network
from stallscan.models.checkpoint import load_checkpoint, save_checkpoint
from stallscan.models.registry import create_model
from stallscan.training.devices import PRECISIONS, Devices
from stallscan.training.export import make_card
from stallscan.training.history import History
from stallscan.training.module import MONITORS, StallModule
from stallscan.training.options import TrainOptions
from stallscan.training.progress import Progress
from stallscan.training.recipe import Recipe
from stallscan.training.resume import (
    Checkpoints,
    EarlyStop,
    WholeCheckpoints,
    interruptible,
    next_epoch,
)
from stallscan.training.samples import (
    BalancedSampler,
    BatchesOfRank,
    Kept,
    TrainingSet,
    keep,
    make_loader,
    safe_to_fork,
)
from stallscan.training.snapshots import Snapshots, snapshot_dirs
from stallscan.training.start import Start
from stallscan.workers import end_with_parent

log = logging.getLogger(__name__)

VALIDATION_BYTES = 2**30
"""Up to here the validation set is made once and kept in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one run is, once everything about it has been decided.

    Attributes:
        run_dir: its folder.
        recipe: with network and input filled in.
        options: seed, workers, devices as asked for.
        start: where its first weights come from; None: the recipe's own.
        devices: what it is computed on.
    """

    run_dir: Path
    recipe: Recipe
    options: TrainOptions
    start: Start | None
    devices: Devices

    @property
    def checkpoints_dir(self) -> Path:
        """Of Lightning's: best.ckpt and last.ckpt."""
        return self.run_dir / "checkpoints"

    @property
    def snapshot_dirs(self) -> list[Path]:
        """See `snapshot_dirs`."""
        return snapshot_dirs(self.run_dir, self.recipe)


def fit(run: Run, data: TrainingSet, *, progress: bool) -> tuple[StallModule, Kept]:
    """Train to the end, from the last whole epoch where there is one."""
    # Lightning advises on worker counts and empty loggers; our options decide those.
    warnings.filterwarnings("ignore", module="lightning")
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    recipe, options, devices = run.recipe, run.options, run.devices
    if devices.is_launched:
        end_with_parent(os.getppid())
    torch.manual_seed(options.seed)
    module = StallModule(_network(run), recipe, options.seed)
    trainer = _trainer(run, module, data, progress)
    size = recipe.must_input.size
    share = recipe.sampler.stalled_share
    sampler = BalancedSampler(
        options.seed,
        recipe.sampler.batch_size * recipe.sampler.batches_per_epoch,
        data.natural_share if share is None else share,
        recipe.sampler.twins,
    )
    rank, n_ranks = devices.rank, devices.n_ranks
    with safe_to_fork():
        log.info("preparing %d validation ROIs", len(data.validation))
        kept = keep(data.dataset, data.validation, options.workers, VALIDATION_BYTES)
        training = make_loader(
            data.dataset,
            BatchesOfRank(sampler, recipe.sampler.batch_size, rank, n_ranks),
            workers=options.workers,
            pin=devices.accelerator == "cuda",
        )
        # As large as in training, but something for each device; depths that differ go one by one.
        most = recipe.sampler.batch_size if size[0] is not None else 1
        validation_size = max(1, min(most, len(data.validation) // n_ranks))
        validation = make_loader(
            kept,
            BatchesOfRank(data.validation, validation_size, rank, n_ranks),
            workers=0 if kept.samples else options.workers,
        )
        last = run.checkpoints_dir / "last.ckpt"
        if last.exists():
            log.info("resuming from %s", last)
        # Workers are given their first batches before Lightning names the epoch.
        sampler.set_epoch(next_epoch(last))
        with interruptible(), _threads(run):
            trainer.fit(
                module,
                training,
                validation,
                ckpt_path=str(last) if last.exists() else None,
                weights_only=True,
            )
    return module, kept


@contextmanager
def _threads(run: Run) -> Iterator[None]:
    """Leave the workers their cores: threads that wait for one another want all of theirs at once.

    OMP_NUM_THREADS decides where it is set.
    """
    before = torch.get_num_threads()
    if run.devices.accelerator == "cpu" and "OMP_NUM_THREADS" not in os.environ:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        share = (cores or 1) // run.options.devices - run.options.workers
        torch.set_num_threads(max(1, min(before, share)))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _network(run: Run) -> Network:
    arguments = dict(run.recipe.network)
    if run.start is None:
        return create_model(arguments.pop("name"), **arguments)
    return load_checkpoint(run.start.path)[0].train().requires_grad_(True)


def _trainer(run: Run, module: StallModule, data: TrainingSet, progress: bool) -> lightning.Trainer:
    recipe, devices = run.recipe, run.devices
    monitor = MONITORS[recipe.validation.metric]
    mode = "min" if monitor == "val_loss" else "max"
    callbacks: list[lightning.Callback] = [History(run.run_dir, monitor)]
    if recipe.engine.ema is not None:
        callbacks.append(EMAWeightAveraging(decay=recipe.engine.ema))
    if recipe.stop.patience is not None:
        callbacks.append(EarlyStop(monitor, mode=mode, patience=recipe.stop.patience))
    if run.snapshot_dirs:
        callbacks.append(
            Snapshots(
                run.snapshot_dirs,
                recipe.stop.max_epochs // len(run.snapshot_dirs),
                lambda folder: save_checkpoint(
                    module.model, make_card(run, folder.name, data), folder
                ),
            )
        )
    if progress:
        callbacks.append(Progress(recipe, f"{run.run_dir.name}: "))
    logger = _logger(run)
    if logger:
        callbacks.append(LearningRateMonitor())
    checkpoint = partial(Checkpoints, run.checkpoints_dir, enable_version_counter=False)
    if not run.snapshot_dirs:
        callbacks.append(checkpoint(filename="best", monitor=monitor, mode=mode))
    # Each epoch's, for a killed run to go on from: save_last keeps that of the best only.
    callbacks.append(checkpoint(filename="last"))
    return lightning.Trainer(
        accelerator=devices.accelerator,
        devices=run.options.devices,
        num_nodes=run.options.nodes,
        strategy="ddp" if devices.n_ranks > 1 else "auto",
        precision=PRECISIONS[devices.precision],  # type: ignore[arg-type]
        use_distributed_sampler=False,
        max_epochs=recipe.stop.max_epochs,
        accumulate_grad_batches=recipe.optimizer.accumulate // devices.n_ranks,
        gradient_clip_val=recipe.optimizer.clip,
        callbacks=callbacks,
        plugins=[WholeCheckpoints()],
        benchmark=recipe.must_input.size[0] is not None,  # sizes that stay: let cuDNN try
        logger=logger,
        log_every_n_steps=10,
        enable_model_summary=False,
        enable_progress_bar=False,
        num_sanity_val_steps=0,
        default_root_dir=run.run_dir,
    )


def _logger(run: Run) -> TensorBoardLogger | bool:
    if importlib.util.find_spec("tensorboard") is None:
        log.warning(
            "no TensorBoard log is written, for tensorboard is not installed; history.csv has "
            "each epoch's figures (`pip install tensorboard`)"
        )
        return False
    return TensorBoardLogger(run.run_dir, name="tensorboard", version="")
