"""What a run leaves when it has ended: the network with its card, and its held-out predictions."""

from __future__ import annotations

import dataclasses
import platform
from typing import TYPE_CHECKING, Any

import lightning
import numpy as np
import torch

from stallscan.models.card import ModelCard
from stallscan.models.checkpoint import load_checkpoint, save_checkpoint
from stallscan.models.ensemble import EnsembleCard, Member, write_ensemble
from stallscan.training.module import StallModule
from stallscan.training.predictions import held_out_table, predict, scores, write_table
from stallscan.training.samples import Kept, TrainingSet
from stallscan.training.start import network_options

if TYPE_CHECKING:
    from stallscan.training.engine import Run


def export(run: Run, module: StallModule, kept: Kept, data: TrainingSet, hours: float) -> None:
    """Write the network, or its snapshots, and what it says of the samples held out."""
    if run.snapshot_dirs:
        models = [load_checkpoint(folder)[0] for folder in run.snapshot_dirs]
        epoch = None
    else:
        path = run.checkpoints_dir / "best.ckpt"
        state = torch.load(path, weights_only=True, map_location="cpu")
        module.load_state_dict(state["state_dict"])
        models, epoch = [module.model], int(state["epoch"])
    probabilities = predict(
        models,
        kept,
        data.held_out,
        device=module.trainer.strategy.root_device,
        workers=run.options.workers,
    )
    table = held_out_table(data, probabilities)
    write_table(table, run.run_dir / "validation.csv")
    metrics: dict[str, Any] = {"validation": scores(table[table["monitored"]])}
    if len(data.validation) < len(table):
        metrics["held_out"] = scores(table)
    card = make_card(run, run.run_dir.name, data, metrics=metrics, epoch=epoch, hours=hours)
    if not run.snapshot_dirs:
        save_checkpoint(module.model.cpu(), card, run.run_dir)
        return
    inner = [Member(path=f"{d.parent.name}/{d.name}") for d in run.snapshot_dirs]
    shared = ("name", "threshold", "metrics", "training", "notes")
    write_ensemble(
        EnsembleCard(members=tuple(inner), **{key: getattr(card, key) for key in shared}),
        run.run_dir,
    )


def make_card(
    run: Run,
    name: str,
    data: TrainingSet,
    *,
    metrics: dict[str, Any] | None = None,
    epoch: int | None = None,
    hours: float | None = None,
) -> ModelCard:
    """model.json of a run, or of a snapshot of it, of which nothing is measured yet.

    Args:
        run: that trained the network.
        name: what predictions will call it.
        data: what it was trained on.
        metrics: by name; with those of the validation comes the threshold.
        epoch: that was the best, from 0; None: the last.
        hours: of training.
    """
    recipe, metrics = run.recipe, metrics or {}
    n_epochs = recipe.stop.max_epochs if epoch is None else epoch + 1
    n_samples = n_epochs * recipe.sampler.batch_size * recipe.sampler.batches_per_epoch
    training = {
        **data.description,
        "recipe": recipe.name,
        "augmentation": recipe.augmentation and recipe.augmentation.preset,
        "seed": run.options.seed,
        "start": run.start and run.start.card.name,
        "precision": run.devices.precision,
        "best_epoch": epoch,
        "samples": n_samples if metrics else None,
        "hours": None if hours is None else round(hours, 3),
    }
    return ModelCard(
        name=name,
        architecture=recipe.must_model.architecture,
        options=network_options(recipe),
        preprocessing=dataclasses.asdict(recipe.must_input.preprocessing()),
        threshold=metrics.get("validation", {}).get("threshold", 0.5),
        metrics=metrics,
        training={key: value for key, value in training.items() if value is not None},
        versions={
            "python": platform.python_version(),
            "torch": torch.__version__,
            "lightning": lightning.__version__,
            "numpy": np.__version__,
        },
        notes=data.notes,
    )
