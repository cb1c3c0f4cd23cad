"""What a run leaves for people: history.csv and curves.png, rewritten after every epoch."""

from __future__ import annotations

import time
from pathlib import Path

import lightning
import pandas as pd

from stallscan.training.predictions import write_table

COLUMNS = ("train_loss", "val_loss", "val_auc", "val_mcc", "threshold")


class History(lightning.Callback):
    """Keeps a row for each epoch; a resumed run drops the rows of epochs that it repeats.

    Args:
        run_dir: where history.csv and curves.png go.
        monitor: the metric that the best epoch is chosen by.
    """

    def __init__(self, run_dir: Path, monitor: str) -> None:
        self.path = run_dir / "history.csv"
        self.curves_path = run_dir / "curves.png"
        self.monitor = monitor
        self.began = time.perf_counter()

    def on_train_epoch_start(
        self, trainer: lightning.Trainer, module: lightning.LightningModule
    ) -> None:
        """Start the epoch's clock."""
        self.began = time.perf_counter()

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, module: lightning.LightningModule
    ) -> None:
        """Write the epoch's row and redraw the curves; the first of several processes does."""
        if not trainer.is_global_zero:
            return
        metrics = trainer.callback_metrics
        row: dict[str, float] = {"epoch": trainer.current_epoch}
        row |= {name: float(metrics[name]) for name in COLUMNS if name in metrics}
        row["lr"] = trainer.optimizers[0].param_groups[0]["lr"]
        row["seconds"] = round(time.perf_counter() - self.began, 1)
        rows = pd.DataFrame([row])
        if self.path.exists():
            old = pd.read_csv(self.path)
            kept = old[old["epoch"] < trainer.current_epoch]
            rows = pd.concat([kept, rows], ignore_index=True)
        write_table(rows, self.path)
        draw_curves(rows, self.curves_path, self.monitor)


def draw_curves(history: pd.DataFrame, path: Path, monitor: str) -> None:
    """Losses, validation AUC and MCC, and the learning rate over the epochs, as PNG.

    Args:
        history: rows of history.csv.
        path: of the picture.
        monitor: the metric whose best epoch is marked.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(12, 3.6), layout="constrained")
    panels = figure.subplots(1, 3)
    columns = (("train_loss", "val_loss"), ("val_auc", "val_mcc"), ("lr",))
    titles = ("loss", "validation", "learning rate")
    values = history[monitor].to_numpy()
    row = values.argmin() if monitor == "val_loss" else values.argmax()
    best = int(history["epoch"].to_numpy()[row])
    for axes, names, title in zip(panels, columns, titles, strict=True):
        for name in names:
            axes.plot(history["epoch"], history[name], marker="o", ms=3, label=name)
        axes.axvline(best, color="0.6", lw=1, ls=":")
        axes.set_title(title)
        axes.set_xlabel(f"epoch (best by {monitor}: {best})")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize=8)
    panels[1].set_ylim(min(0.0, *panels[1].get_ylim()), 1.02)
    panels[2].set_ylim(bottom=0)
    figure.savefig(path, dpi=110)
