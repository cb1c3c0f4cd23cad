"""Snapshots: a checkpoint folder at the end of each cycle of the learning rate."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import lightning

from stallscan.training.recipe import Cyclic, Recipe


def snapshot_dirs(run_dir: Path, recipe: Recipe) -> list[Path]:
    """Folders of a run's snapshots; none without a cyclic schedule."""
    n = recipe.schedule.cycles if isinstance(recipe.schedule, Cyclic) else 0
    return [run_dir / "snapshots" / f"cycle{number + 1}" for number in range(n)]


class Snapshots(lightning.Callback):
    """Saves the network whenever a cycle has ended.

    Args:
        folders: one for each cycle.
        epochs_per_cycle: length of a cycle.
        save: writes the network as it is into a folder.
    """

    def __init__(
        self, folders: list[Path], epochs_per_cycle: int, save: Callable[[Path], None]
    ) -> None:
        self.folders = folders
        self.epochs_per_cycle = epochs_per_cycle
        self.save = save

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, module: lightning.LightningModule
    ) -> None:
        """A resumed run writes the snapshot of an epoch that it repeats once more: the same one."""
        ended, rest = divmod(trainer.current_epoch + 1, self.epochs_per_cycle)
        if rest == 0 and trainer.is_global_zero:
            self.save(self.folders[ended - 1])
