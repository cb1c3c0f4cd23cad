"""What a run leaves for people: history.csv and curves.png, rewritten after every epoch."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import lightning
import pandas as pd

if TYPE_CHECKING:
    from stallscan.training.module import StallModule

COLUMNS = ("train_loss", "val_loss", "val_auc", "val_mcc", "threshold")


class History(lightning.Callback):
    """Keeps a row for each epoch; a resumed run drops the rows of epochs that it repeats.

    Args:
        run_dir: where history.csv and curves.png go.
    """

    def __init__(self, run_dir: Path) -> None:
        self.path = run_dir / "history.csv"
        self.curves_path = run_dir / "curves.png"
        self.began = time.perf_counter()

    def on_train_epoch_start(self, trainer: lightning.Trainer, module: StallModule) -> None:  # type: ignore[override]
        """Start the epoch's clock."""
        self.began = time.perf_counter()

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: StallModule) -> None:  # type: ignore[override]
        """Write the epoch's row and redraw the curves."""
        metrics = trainer.callback_metrics
        row: dict[str, float] = {"epoch": trainer.current_epoch}
        row |= {name: float(metrics[name]) for name in COLUMNS if name in metrics}
        row["seconds"] = round(time.perf_counter() - self.began, 1)
        rows = pd.DataFrame([row])
        if self.path.exists():
            old = pd.read_csv(self.path)
            rows = pd.concat([old[old["epoch"] < trainer.current_epoch], rows])
        partial = self.path.with_suffix(".tmp")
        rows.to_csv(partial, index=False)
        partial.replace(self.path)
        draw_curves(rows, self.curves_path)


def draw_curves(history: pd.DataFrame, path: Path) -> None:
    """Losses beside validation AUC and MCC over the epochs, as PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, names in ((left, ("train_loss", "val_loss")), (right, ("val_auc", "val_mcc"))):
        for name in names:
            if name in history:
                axes.plot(history["epoch"], history[name], marker="o", ms=3, label=name)
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    left.set_ylabel("binary cross-entropy")
    right.set_ylim(min(0.0, *right.get_ylim()), 1.02)
    figure.savefig(path, dpi=130)
