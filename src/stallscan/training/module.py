"""The Lightning module: one network, BCE on logits, AdamW, validation by AUC and MCC."""

from __future__ import annotations

import math
from typing import Any

import lightning
import torch
from sklearn.metrics import matthews_corrcoef, roc_auc_score
from torch import Tensor, nn

from stallscan.errors import TrainingError
from stallscan.metrics.binary import best_mcc_threshold
from stallscan.models.registry import create_model
from stallscan.training.recipe import Recipe


class StallModule(lightning.LightningModule):
    """Trains the network of a recipe.

    Args:
        recipe: architecture, optimiser and schedule.
        seed: decides dropout, step by step, so that a resumed run draws the same.
    """

    def __init__(self, recipe: Recipe, seed: int) -> None:
        super().__init__()
        self.recipe = recipe
        self.seed = seed
        self.n_steps = recipe.max_epochs * recipe.batches_per_epoch
        model = create_model(recipe.architecture, **recipe.model_options)
        # The faster layout for 3D convolutions, on CPUs too.
        self.model = model.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.loss = nn.BCEWithLogitsLoss()
        self.validation: list[tuple[Tensor, Tensor]] = []
        self.probabilities = torch.zeros(0)
        self.labels = torch.zeros(0)

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        """Loss of a batch ``(n, c, z, y, x)``, ``(n,)``."""
        inputs, labels = batch
        torch.manual_seed((self.seed << 32) + self.global_step)
        logits = self.model(inputs.to(memory_format=torch.channels_last_3d))[:, 0]
        smooth = self.recipe.label_smoothing
        loss: Tensor = self.loss(logits, labels * (1 - 2 * smooth) + smooth)
        if not torch.isfinite(loss):
            folder = self.trainer.default_root_dir
            raise TrainingError(
                f"{folder}: loss is {loss.item()} in epoch {self.current_epoch}, batch {index}, "
                f"must be finite; the last good state, if any epoch ended, is {folder}/checkpoints/"
                "last.ckpt; start anew with a smaller learning rate"
            )
        self.log("train_loss", loss, on_step=False, on_epoch=True, prog_bar=True)
        return loss

    def on_validation_epoch_start(self) -> None:
        """Forget the last epoch's predictions."""
        self.validation.clear()

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        """Keep the logits."""
        inputs, labels = batch
        logits = self.model(inputs.float())[:, 0]
        self.validation.append((logits.float().cpu(), labels.cpu()))

    def on_validation_epoch_end(self) -> None:
        """AUC, loss, and the best MCC over thresholds (the winner's first-stage metric)."""
        logits = torch.cat([logits for logits, _ in self.validation])
        self.labels = torch.cat([labels for _, labels in self.validation])
        self.probabilities = torch.sigmoid(logits)
        labels = self.labels.numpy().astype(int)
        probabilities = self.probabilities.double().numpy()
        threshold = best_mcc_threshold(labels, probabilities).threshold
        mcc = float(matthews_corrcoef(labels, probabilities >= threshold))
        self.log("val_loss", self.loss(logits, self.labels), prog_bar=True)
        self.log("val_auc", float(roc_auc_score(labels, probabilities)), prog_bar=True)
        self.log("val_mcc", mcc, prog_bar=True)
        self.log("threshold", threshold)

    def configure_optimizers(self) -> Any:
        """AdamW, an epoch of warm-up, then a cosine to zero."""
        decayed = [p for p in self.model.parameters() if p.ndim > 1]
        plain = [p for p in self.model.parameters() if p.ndim <= 1]
        optimizer = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": self.recipe.weight_decay},
                {"params": plain, "weight_decay": 0.0},
            ],
            lr=self.recipe.learning_rate,
        )
        warmup = self.recipe.batches_per_epoch

        def factor(step: int) -> float:
            if step < warmup:
                return (step + 1) / warmup
            progress = (step - warmup) / max(self.n_steps - warmup, 1)
            return 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }
