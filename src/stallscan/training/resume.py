"""What makes a run that was killed and goes on the same, to the last bit, as an undisturbed one."""

from __future__ import annotations

import io
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO


class WholeCheckpoints(TorchCheckpointIO):
    """Checkpoints that are written beside the old one and then renamed over it.

    Lightning writes into the system's temporary folder and moves the file. Between file systems
    that is a copy, which a kill or a full disk leaves torn in the place of the last good state.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Write one.

        Raises:
            OSError: no room; the old one is still there.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        partial = path.with_name(path.name + ".tmp")
        try:
            partial.write_bytes(buffer.getbuffer())
            partial.replace(path)
        except OSError:
            partial.unlink(missing_ok=True)
            raise


class EarlyStop(EarlyStopping):
    """Early stopping that stays stopped when its run is resumed."""

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Lightning restores the count, and not what follows from it."""
        trainer.should_stop = trainer.should_stop or self.wait_count >= self.patience


class Checkpoints(ModelCheckpoint):
    """Checkpoints that remember the best epoch when the folder of the run has been moved."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Lightning forgets what it had of another folder; a cluster's may have many names."""

        def here(path: str) -> str:
            return str(Path(str(self.dirpath)) / Path(path).name) if path else path

        paths = ("best_model_path", "kth_best_model_path", "last_model_path")
        best = {here(path): score for path, score in state_dict["best_k_models"].items()}
        moved = {key: here(state_dict[key]) for key in paths}
        super().load_state_dict(
            {**state_dict, **moved, "best_k_models": best, "dirpath": self.dirpath}
        )


def next_epoch(last: Path) -> int:
    """The epoch that comes after a checkpoint; 0 where there is none."""
    if not last.exists():
        return 0
    return int(torch.load(last, weights_only=True, map_location="cpu", mmap=True)["epoch"]) + 1


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C be a KeyboardInterrupt, of which Lightning makes an exit without a word."""
    in_main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as error:
        raise KeyboardInterrupt from error
    finally:
        if in_main:
            signal.signal(signal.SIGINT, handler)
