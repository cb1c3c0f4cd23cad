"""One bar for a whole run: what is done, how fast, and when it ends at the latest."""

from __future__ import annotations

import sys
from typing import Any

import lightning
from tqdm import tqdm

from stallscan.training.recipe import Recipe


class Progress(lightning.Callback):
    """A bar over all batches of a run on standard error; in a log file, a line every half minute.

    Args:
        recipe: how long it is at most.
        title: of the run, before the epoch.
    """

    def __init__(self, recipe: Recipe, title: str) -> None:
        self.n_epochs = recipe.stop.max_epochs
        self.n_batches = recipe.sampler.batches_per_epoch
        self.title = title
        self.bar: tqdm[Any] | None = None

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Open the bar where the run stands."""
        if not trainer.is_global_zero:
            return
        self.bar = tqdm(
            total=self.n_epochs * self.n_batches,
            initial=trainer.current_epoch * self.n_batches,
            unit="batch",
            file=sys.stderr,
            dynamic_ncols=True,
            mininterval=0.5 if sys.stderr.isatty() else 30,
            smoothing=0.05,
        )

    def on_train_epoch_start(
        self, trainer: lightning.Trainer, module: lightning.LightningModule
    ) -> None:
        """Name the epoch."""
        if self.bar is not None:
            self.bar.set_description(
                f"{self.title}epoch {trainer.current_epoch + 1} of {self.n_epochs}", refresh=False
            )

    def on_train_batch_end(
        self, trainer: lightning.Trainer, module: lightning.LightningModule, *_: Any
    ) -> None:
        """Count what all devices have done."""
        if self.bar is not None:
            self.bar.update(trainer.world_size)

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, module: lightning.LightningModule
    ) -> None:
        """Show what the epoch has come to."""
        if self.bar is not None:
            metrics = trainer.callback_metrics
            shown = ("train_loss", "val_loss", "val_auc", "val_mcc")
            values = {name: f"{float(metrics[name]):.3f}" for name in shown if name in metrics}
            self.bar.set_postfix(values)

    def teardown(
        self, trainer: lightning.Trainer, module: lightning.LightningModule, stage: str
    ) -> None:
        """Close it; an early stop leaves it short of its end."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None
