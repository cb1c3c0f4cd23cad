"""Disturb `stallscan train` at exact moments: kill −9, Ctrl-C, a full disk; share it out to ranks.

Every command runs in a fork of one process, which has imported what takes seconds. It is the real
command line in a process of its own; samples alone are noise in the place of phantoms, and
validation AUC is of the test's choice where the scenario says so.

`python tests/end_to_end/killing_training.py PLAN.json` reads a list of commands and writes beside
it what became of them.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import importlib
import json
import multiprocessing
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from lightning.pytorch.callbacks import ModelCheckpoint

import stallscan.training.jobs
from noise_set import noise_sample
from stallscan.cli import main
from stallscan.models import footprint
from stallscan.training import history, module
from stallscan.training.history import History
from stallscan.training.module import StallModule
from stallscan.training.phantom_data import PhantomRois
from stallscan.training.samples import Sample, SampleKey

LAZY = ("tyro", "torch.utils.tensorboard", "s3fs", "stallscan.cli.train")
"""What a run imports when it is under way: longer, in each fork anew, than it trains."""

AUC_OF_EPOCH = {0: 0.9, 1: 0.5, 2: 0.4, 3: 0.3, 4: 0.2}
"""Of scenarios that decide it themselves; 0.95 afterwards."""

epoch_now = 0


def noise(self: PhantomRois, key: SampleKey) -> Sample:
    """In the place of a rendered ROI."""
    return noise_sample(self.seed, self.fold, (3, 16, 32, 32), key)


def strike(how: str, record: Path) -> None:
    """What happens at the moment."""
    record.write_text(str(len(multiprocessing.active_children())))
    if how == "kill the group":
        os.killpg(0, signal.SIGKILL)
    elif how == "kill the parent":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "interrupt":
        os.kill(os.getpid(), signal.SIGINT)
    elif how == "diverge":
        module.weighted_loss = lambda *_: torch.tensor(float("nan"), requires_grad=True)
    elif how == "fail":
        raise OSError(errno.ENOSPC, "No space left on device")
    else:  # a file cannot grow beyond so many bytes
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(how), resource.RLIM_INFINITY))


def install(moment: str, epoch: int, index: int, struck: Callable[[], None]) -> None:
    """Make something strike at a moment of an epoch."""

    def around(owner: Any, name: str, is_now: Callable[..., bool], *, before: bool) -> None:
        original = getattr(owner, name)

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            if before and is_now(*args):
                struck()
            result = original(*args, **kwargs)
            if not before and is_now(*args):
                struck()
            return result

        setattr(owner, name, wrapped)

    def of_epoch(*_: Any) -> bool:
        return epoch_now == epoch

    if moment == "batch":
        around(
            StallModule,
            "training_step",
            lambda self, batch, number: (self.current_epoch, number) == (epoch, index),
            before=True,
        )
    elif moment == "validated":
        around(StallModule, "on_validation_epoch_end", of_epoch, before=False)
    elif moment == "before history":
        around(History, "on_train_epoch_end", of_epoch, before=True)
    elif moment == "after history":
        around(History, "on_train_epoch_end", of_epoch, before=False)
    elif moment == "checkpoint":
        around(
            ModelCheckpoint,
            "_save_checkpoint",
            lambda self, trainer, path: of_epoch() and path.endswith("last.ckpt"),
            before=False,
        )
    elif moment == "export":
        around(stallscan.training.run, "export", lambda *_: True, before=True)


def prepare(command: dict[str, Any], record: Path, rank: int) -> None:
    """In the fork: noise, the AUC, the moment; no figure and no estimate of the memory."""
    # What a shell starts in the background ignores Ctrl-C, and so do its children.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    torch.set_num_threads(1)
    PhantomRois.__getitem__ = noise  # type: ignore[method-assign]
    history.draw_curves = lambda rows, path, *_: path.write_bytes(b"")  # type: ignore[assignment]
    footprint.estimate_memory = lambda *_, **__: 1
    step = StallModule.training_step

    def followed(self: StallModule, batch: Any, index: int) -> Any:
        global epoch_now
        epoch_now = self.current_epoch
        return step(self, batch, index)

    StallModule.training_step = followed  # type: ignore[method-assign]
    if command.get("falling"):
        module.roc_auc_score = lambda *_: AUC_OF_EPOCH.get(epoch_now, 0.95)
    if "moment" in command and rank == command.get("rank", 0):
        moment, epoch, index, how = command["moment"]
        install(moment, epoch, index, lambda: strike(how, record))


def start(command: dict[str, Any], record: Path, rank: int) -> tuple[int, int]:
    """One process of a command, in a session of its own: its id, and what reads what it says."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, reading
    code = 1
    try:
        os.setsid()
        os.dup2(writing, 1)
        os.dup2(writing, 2)
        os.close(reading)
        os.close(writing)
        if command.get("ranks", 1) > 1:
            os.environ |= as_torchrun_does(command, rank)
        prepare(command, record, rank)
        code = main(command["arguments"])
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def as_torchrun_does(command: dict[str, Any], rank: int) -> dict[str, str]:
    """The environment of a rank."""
    ranks = str(command["ranks"])
    return {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(command["port"]),
        "WORLD_SIZE": ranks,
        "LOCAL_WORLD_SIZE": ranks,
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "GROUP_RANK": "0",
        "TORCHELASTIC_RUN_ID": "test",
    }


def carry_out(command: dict[str, Any], record: Path) -> dict[str, Any]:
    """One command, in one process or in several ranks.

    Returns:
        code: exit code of the first rank, or minus the signal.
        codes: of all.
        said: what all wrote to both streams, up to the end of the last of their workers.
        workers: how many there were at the moment.
        seconds: from the moment to that end.
    """
    ranks = [start(command, record, rank) for rank in range(command.get("ranks", 1))]
    said = ""
    for _, reading in ranks:
        with os.fdopen(reading, errors="replace") as stream:
            said += stream.read()
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid, _ in ranks]
    result: dict[str, Any] = {"code": codes[0], "codes": codes, "said": said}
    if record.exists():
        result["workers"] = int(record.read_text())
        result["seconds"] = time.time() - record.stat().st_mtime
        record.unlink()
    return result


if __name__ == "__main__":
    plan = Path(sys.argv[1])
    record = plan.with_suffix(".moment")
    for name in LAZY:
        with contextlib.suppress(ImportError):  # Lightning asks for s3fs, and does without it
            importlib.import_module(name)
    gc.collect()
    gc.freeze()  # or each fork would look through, and so copy, all that was imported
    results = [carry_out(command, record) for command in json.loads(plan.read_text())]
    plan.with_suffix(".results").write_text(json.dumps(results))
