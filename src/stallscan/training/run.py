"""One training run: from a recipe to a checkpoint folder."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import platform
import warnings
from pathlib import Path
from typing import Any, Protocol

import lightning
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, TQDMProgressBar
from torch.utils.data import DataLoader, TensorDataset

from stallscan.augment.presets import preset
from stallscan.augment.registry import to_yaml
from stallscan.errors import OptionError
from stallscan.manifest import Manifest, State, open_output
from stallscan.models.card import ModelCard
from stallscan.models.checkpoint import load_checkpoint, save_checkpoint
from stallscan.models.footprint import require_memory_for
from stallscan.models.memory import available_memory
from stallscan.models.options import without_first_weights
from stallscan.training.history import History
from stallscan.training.module import StallModule
from stallscan.training.phantom_data import Phantom
from stallscan.training.recipe import RECIPES, Recipe, TrainOptions
from stallscan.training.samples import (
    BalancedSampler,
    TrainingSet,
    load_all,
    safe_to_fork,
    worker_setup,
)

log = logging.getLogger(__name__)


class DataSource(Protocol):
    """Where a run's training set comes from."""

    def identity(self) -> dict[str, Any]:
        """What decides the samples, for the record of the run."""

    def open(self, run_dir: Path, recipe: Recipe, seed: int) -> TrainingSet:
        """The set; may write into the run's folder."""


_PHANTOM = Phantom()


def train(
    run_dir: Path,
    options: TrainOptions,
    *,
    source: DataSource = _PHANTOM,
    overwrite: bool = False,
    progress: bool = True,
) -> Path:
    """Train a recipe; a killed run goes on from its last epoch.

    Args:
        run_dir: becomes a checkpoint folder, with history.csv, curves.png, validation.csv and
            augmentation.yaml.
        options: recipe, seed, length.
        source: where the samples come from: the phantom, or `stallscan.training.Videos`.
        overwrite: start anew over an existing run.
        progress: show a progress bar.

    Returns:
        ``run_dir``.

    Raises:
        OutputConflictError: the folder belongs to another run.
        TrainingError: the loss is not finite.
        InputError: what the source reads is missing or damaged.
    """
    recipe = RECIPES[options.recipe]
    if options.max_epochs is not None:
        recipe = dataclasses.replace(recipe, max_epochs=options.max_epochs)
    if options.start is not None:
        model_options = without_first_weights(recipe.model_options)
        recipe = dataclasses.replace(recipe, model_options=model_options)
    identity = {
        "recipe": dataclasses.asdict(recipe),
        "seed": options.seed,
        **source.identity(),
    }
    if options.start is not None:
        identity["start"] = _check_start(options.start, recipe)
    with open_output(run_dir, command="train", options=identity, overwrite=overwrite) as run:
        if run.state is State.COMPLETE:
            return run_dir
        data = source.open(run_dir, recipe, options.seed)
        with safe_to_fork():
            _fit(run_dir, data, recipe, options, run, progress)
    return run_dir


def _check_start(start: Path, recipe: Recipe) -> str:
    """Digest of the first weights.

    Raises:
        CheckpointError: no checkpoint folder.
        OptionError: another architecture than the recipe's.
    """
    card = load_checkpoint(start)[1]
    found, needed = (card.architecture, card.options), (recipe.architecture, recipe.model_options)
    if found != needed:
        raise OptionError(
            f"--start {start}: is {found[0]} with {found[1]}, the recipe needs {needed[0]} with "
            f"{needed[1]}; give weights of the same architecture, or leave it out"
        )
    return hashlib.sha256((start / "weights.safetensors").read_bytes()).hexdigest()


def _fit(
    run_dir: Path,
    data: TrainingSet,
    recipe: Recipe,
    options: TrainOptions,
    run: Manifest,
    progress: bool,
) -> None:
    # Lightning advises on worker counts and empty loggers; our options decide those.
    warnings.filterwarnings("ignore", module="lightning")
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    torch.manual_seed(options.seed)
    sampler = BalancedSampler(
        options.seed, recipe.batch_size * recipe.batches_per_epoch, recipe.stalled_share
    )
    loader: DataLoader[object] = DataLoader(
        data.dataset,
        batch_size=recipe.batch_size,
        sampler=sampler,
        num_workers=options.workers,
        persistent_workers=options.workers > 0,
        worker_init_fn=worker_setup(),
    )
    log.info("preparing %d validation ROIs", len(data.validation))
    validation = _validation_loader(data, recipe, options.workers)
    checkpoints_dir = run_dir / "checkpoints"
    callbacks: list[lightning.Callback] = [
        ModelCheckpoint(
            checkpoints_dir,
            filename="best",
            monitor="val_auc",
            mode="max",
            enable_version_counter=False,
        ),
        # Each epoch's, for a killed run to go on from: save_last would keep that of the best only.
        ModelCheckpoint(checkpoints_dir, filename="last", enable_version_counter=False),
        EarlyStopping("val_auc", mode="max", patience=recipe.patience),
        History(run_dir),
    ]
    if progress:
        callbacks.append(TQDMProgressBar(refresh_rate=1))
    trainer = lightning.Trainer(
        accelerator=options.device,
        devices=1,
        max_epochs=recipe.max_epochs,
        callbacks=callbacks,
        logger=False,
        enable_model_summary=False,
        enable_progress_bar=progress,
        num_sanity_val_steps=0,
        gradient_clip_val=1.0,
        default_root_dir=run_dir,
    )
    module = StallModule(recipe, options.seed)
    require_memory_for(
        module.model,
        recipe.preprocessing.size,
        recipe.batch_size,
        training=True,
        optimizer_states=2,  # AdamW's
        limit=available_memory(trainer.strategy.root_device),
    )
    if options.start is not None:
        start = load_checkpoint(options.start)[0]
        module.model.load_state_dict(start.state_dict())
        module.model.pretrained = start.pretrained
    last = checkpoints_dir / "last.ckpt"
    if last.exists():
        log.info("resuming from %s", last)
    resumed = str(last) if last.exists() else None
    trainer.fit(module, loader, validation, ckpt_path=resumed, weights_only=True)
    state = torch.load(checkpoints_dir / "best.ckpt", weights_only=True, map_location="cpu")
    module.load_state_dict(state["state_dict"])
    trainer.validate(module, validation, verbose=False)
    # Of all starts, for the history outlives a kill.
    hours = float(pd.read_csv(run_dir / "history.csv")["seconds"].sum()) / 3600
    _export(run_dir, module, data, recipe, options, epoch=int(state["epoch"]), hours=hours)
    run.complete(exit_code=0, hours=round(hours, 3))


def _validation_loader(
    data: TrainingSet, recipe: Recipe, workers: int
) -> DataLoader[tuple[torch.Tensor, ...]]:
    """The fixed validation set, made once; float16 halves its memory."""
    batches = load_all(data.dataset, data.validation, workers, recipe.batch_size)
    inputs, labels = zip(*((inputs.half(), labels) for inputs, labels in batches), strict=True)
    return DataLoader(
        TensorDataset(torch.cat(inputs), torch.cat(labels)), batch_size=recipe.batch_size
    )


def _export(
    run_dir: Path,
    module: StallModule,
    data: TrainingSet,
    recipe: Recipe,
    options: TrainOptions,
    *,
    epoch: int,
    hours: float,
) -> None:
    """Write the best epoch's network as a checkpoint folder, and its validation predictions."""
    metrics = {
        name: round(float(value), 4)
        for name, value in module.trainer.callback_metrics.items()
        if name.startswith("val_") or name == "threshold"
    }
    threshold = metrics.pop("threshold")
    card = ModelCard(
        name=run_dir.name,
        architecture=recipe.architecture,
        options=recipe.model_options,
        preprocessing=dataclasses.asdict(recipe.preprocessing),
        threshold=threshold,
        metrics={
            "validation": metrics
            | {"n": len(module.labels), "stalled": round(float(module.labels.mean()), 4)}
        },
        training={
            **data.description,
            "recipe": options.recipe,
            "augmentation": recipe.augmentation,
            "seed": options.seed,
            **({"start": options.start.name} if options.start else {}),
            "best_epoch": epoch,
            "samples": (epoch + 1) * recipe.batch_size * recipe.batches_per_epoch,
            "hours": round(hours, 3),
        },
        versions={
            "python": platform.python_version(),
            "torch": torch.__version__,
            "lightning": lightning.__version__,
            "numpy": np.__version__,
        },
        notes=data.notes,
    )
    save_checkpoint(module.model, card, run_dir)
    if recipe.augmentation is not None:
        (run_dir / "augmentation.yaml").write_text(to_yaml(preset(recipe.augmentation)))
    pd.DataFrame(
        {
            "index": range(len(module.labels)),
            "label": module.labels.int().numpy(),
            "probability": module.probabilities.numpy().round(5),
        }
    ).to_csv(run_dir / "validation.csv", index=False)
