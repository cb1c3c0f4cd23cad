"""The Lightning module: one network, its loss, its optimiser, validation by AUC and MCC."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import matthews_corrcoef, roc_auc_score
from torch import Tensor
from torch.optim.lr_scheduler import ReduceLROnPlateau

from stallscan.errors import TrainingError
from stallscan.metrics.binary import best_mcc_threshold
from stallscan.models._network import Network
from stallscan.training.device_augment import on_device
from stallscan.training.losses import weighted_loss
from stallscan.training.optimizers import make_optimizer, make_schedule
from stallscan.training.recipe import BinaryCrossEntropy, Recipe
from stallscan.training.samples import MIX_STREAM, Batch, augmentation_of

MONITORS = {"auc": "val_auc", "mcc": "val_mcc", "loss": "val_loss"}
"""What a recipe's validation.metric is called in the logs."""


class StallModule(lightning.LightningModule):
    """Trains a network as a recipe says.

    Args:
        model: the network.
        recipe: loss, optimiser, schedule, augmentation.
        seed: decides dropout, batch by batch, so that a resumed run draws the same.
    """

    def __init__(self, model: Network, recipe: Recipe, seed: int) -> None:
        super().__init__()
        self.recipe = recipe
        self.seed = seed
        self.layout = (
            torch.channels_last_3d if recipe.engine.channels_last else torch.contiguous_format
        )
        self.model = model.to(memory_format=self.layout)  # type: ignore[call-overload]
        self.augmentation = augmentation_of(recipe)
        self.mix = None if recipe.mix is None else recipe.mix.augmentation()
        self.preprocessing = recipe.must_input.preprocessing()
        self.validated: list[tuple[Tensor, Tensor, Tensor]] = []
        self.labels: NDArray[np.int64] = np.zeros(0, np.int64)
        self.probabilities: NDArray[np.float64] = np.zeros(0)

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """Loss of a batch.

        Raises:
            TrainingError: it is not finite.
        """
        number = self.batch_number(index)
        torch.manual_seed((self.seed << 32) + number)
        inputs, targets, weights = self._mixed(batch, number)
        logits = self.model(inputs.to(memory_format=self.layout))[:, 0]
        loss = weighted_loss(self.recipe.loss, logits, targets, weights)
        if self._is_broken(loss):
            raise TrainingError(self._not_finite(loss.item(), index))
        n = len(batch.targets)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=n, sync_dist=True)
        return loss

    def _mixed(self, batch: Batch, number: int) -> tuple[Tensor, Tensor, Tensor]:
        """Inputs, targets and weights, mixed where the recipe says so."""
        inputs = self._inputs(batch)
        if self.mix is None:
            return inputs, batch.targets, batch.weights
        rng = np.random.default_rng((self.seed, MIX_STREAM, number))
        mixed = self.mix(images=inputs, targets=batch.targets, weights=batch.weights, rng=rng)
        return mixed["images"], mixed["targets"], mixed["weights"]

    def _is_broken(self, loss: Tensor) -> bool:
        """Whether a loss is not finite, on any device: else the others would wait for this one."""
        broken = torch.isfinite(loss).logical_not().float()
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(broken)
        return bool(broken)

    def batch_number(self, index: int) -> int:
        """Number of a batch in the whole run, over all devices: the same however many share it."""
        world, rank = self.trainer.world_size, self.trainer.global_rank
        in_epoch = index * world + rank
        return self.current_epoch * self.recipe.sampler.batches_per_epoch + in_epoch

    def _inputs(self, batch: Batch) -> Tensor:
        if isinstance(batch.inputs, Tensor):
            return batch.inputs
        return on_device(batch.inputs, self.augmentation, self.preprocessing, self.device)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, index: int) -> Batch:
        """Tensors move; raw samples go with the augmentation, which moves less."""
        moved = {
            name: part.to(device, non_blocking=True)
            for name, part in batch._asdict().items()
            if isinstance(part, Tensor)
        }
        return batch._replace(**moved)

    def _not_finite(self, value: float, index: int) -> str:
        last = Path(self.trainer.default_root_dir) / "checkpoints" / "last.ckpt"
        kept = f"the last good state is {last}" if last.exists() else "no epoch has ended yet"
        return (
            f"{self.trainer.default_root_dir}: loss is {value} in epoch {self.current_epoch}, "
            f"batch {index}, must be finite; {kept}. Start anew in another folder with a smaller "
            f"rate (--set optimizer.lr={self.recipe.optimizer.lr / 3:.1g}), clipped gradients "
            "(--set optimizer.clip=1) or --set engine.precision=float32"
        )

    def on_validation_epoch_start(self) -> None:
        """Forget the last epoch's predictions."""
        self.validated.clear()

    def validation_step(self, batch: Batch, index: int) -> None:
        """Keep the logits."""
        inputs = self._inputs(batch).float().to(memory_format=self.layout)
        logits = self.model(inputs)[:, 0]
        self.validated.append((batch.numbers.cpu(), batch.labels.cpu(), logits.float().cpu()))

    def on_validation_epoch_end(self) -> None:
        """AUC, loss, and the best MCC over thresholds (the winner's first-stage metric).

        Raises:
            TrainingError: a logit is not finite.
        """
        numbers, labels, logits = map(torch.cat, zip(*self._of_all_ranks(), strict=True))
        order = torch.argsort(numbers)
        labels, logits = labels[order], logits[order]
        if not torch.isfinite(logits).all():
            n_broken = int((~torch.isfinite(logits)).sum())
            raise TrainingError(
                f"{n_broken} of {len(logits)} validation logits are not finite. "
                + self._not_finite(float("nan"), self.recipe.sampler.batches_per_epoch - 1)
            )
        self.labels = labels.numpy()
        self.probabilities = torch.sigmoid(logits.double()).numpy()
        threshold = best_mcc_threshold(self.labels, self.probabilities).threshold
        loss = weighted_loss(BinaryCrossEntropy(), logits, labels.float(), torch.ones_like(logits))
        self.log("val_loss", loss.item())
        self.log("val_auc", float(roc_auc_score(self.labels, self.probabilities)))
        self.log("val_mcc", float(matthews_corrcoef(self.labels, self.probabilities >= threshold)))
        self.log("threshold", threshold)

    def _of_all_ranks(self) -> list[tuple[Tensor, Tensor, Tensor]]:
        if self.trainer.world_size == 1:
            return self.validated
        gathered: list[Any] = [None] * self.trainer.world_size
        torch.distributed.all_gather_object(gathered, self.validated)
        return [part for parts in gathered for part in parts]

    def on_train_epoch_end(self) -> None:
        """Let a plateau see the epoch, before its checkpoint is written: Lightning would after."""
        schedule = self.lr_schedulers()
        if isinstance(schedule, ReduceLROnPlateau):
            schedule.step(self.trainer.callback_metrics[MONITORS[self.recipe.validation.metric]])

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """All schedules but a plateau, which has been stepped."""
        if not isinstance(scheduler, ReduceLROnPlateau):
            super().lr_scheduler_step(scheduler, metric)

    def configure_optimizers(self) -> Any:
        """See `optimizers`."""
        optimizer = make_optimizer(self, self.recipe.optimizer)
        monitor = MONITORS[self.recipe.validation.metric]
        return {
            "optimizer": optimizer,
            "lr_scheduler": make_schedule(optimizer, self.recipe, monitor),
        }
