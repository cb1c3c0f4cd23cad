"""What `benchmarks/train.py` measures of ours: the loader, the engine, the operations of a step."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode

from stallscan.models import create_model
from stallscan.training import Recipe, TrainOptions
from stallscan.training.devices import PRECISIONS, resolve_devices
from stallscan.training.module import StallModule
from stallscan.training.network import TYPICAL_DEPTH
from stallscan.training.samples import (
    BalancedSampler,
    Batch,
    BatchesOfRank,
    Sample,
    make_loader,
    safe_to_fork,
)

CORES = 16
"""Of the machine whose loader is computed: 15 workers, and the main process."""
WARM_UP = 3
"""Batches before the clock is started."""


class Feed:
    """The loader, emptied by the main process.

    Args:
        recipe: batches and augmentation.
        dataset: its samples.
        workers: processes.
        device: where batches go.
        seconds: length of a round.
    """

    def __init__(
        self, recipe: Recipe, dataset: Dataset[Sample], workers: int, device: str, seconds: float
    ) -> None:
        self.batch_size, self.workers = recipe.sampler.batch_size, workers
        self.device, self.seconds = device, seconds
        self.loader, self.sampler = loader_of(recipe, dataset, workers, device)
        self.n_batches = 0
        self.pids: list[int] = []
        self.buffer: Tensor | None = None
        self.worker_ms: list[float] = []
        self.main_ms: list[float] = []

    def warm_up(self) -> None:
        """Start the workers, and find how many batches make a round."""
        before = set(multiprocessing.active_children())
        self._empty(2 * self.workers)
        started = set(multiprocessing.active_children()) - before
        self.pids = [process.pid for process in started if process.pid]
        self.n_batches, took = self.workers, 0.0
        while took < self.seconds / 4:  # fewer batches say little of many
            took = self._empty(self.n_batches)
            for_each = self.n_batches / self.workers * min(self.seconds / took, 8)
            self.n_batches = max(1, round(for_each)) * self.workers

    def run(self) -> float:
        """Samples a second over an epoch; its start counts, so it is none too many."""
        workers, main = cpu_seconds(self.pids), time.process_time()
        took, n = self._empty(self.n_batches), self.n_batches * self.batch_size
        self.worker_ms.append(1000 * (cpu_seconds(self.pids) - workers) / n)
        self.main_ms.append(1000 * (time.process_time() - main) / n)
        return n / took

    def on_16_cores(self) -> float:
        """Samples a second by the CPU time of 15 workers, or of the main process if it is less."""
        worker_ms, main_ms = np.median(self.worker_ms), np.median(self.main_ms)
        return 1000 / max(float(worker_ms) / (CORES - 1), float(main_ms))

    def _empty(self, n_batches: int) -> float:
        """Seconds of an epoch."""
        self.sampler.n_samples = n_batches * self.batch_size
        self.sampler.set_epoch(self.sampler.epoch + 1)
        began = time.perf_counter()
        for batch in self.loader:
            if isinstance(batch.inputs, Tensor):
                self._take(batch.inputs)
        wait_for(self.device)
        return time.perf_counter() - began

    def _take(self, inputs: Tensor) -> None:
        """Shared memory is read once, as a copy to a device would."""
        if self.buffer is None or self.buffer.shape != inputs.shape:
            self.buffer = torch.empty_like(inputs, device=self.device)
        self.buffer.copy_(inputs, non_blocking=True)


def loader_of(
    recipe: Recipe, dataset: Dataset[Sample], workers: int, device: str
) -> tuple[DataLoader[Batch], BalancedSampler]:
    """As training has it; the sampler decides how long an epoch is."""
    size, share = recipe.sampler.batch_size, recipe.sampler.stalled_share
    sampler = BalancedSampler(0, size, 0.5 if share is None else share)
    batches = BatchesOfRank(sampler, size, 0, 1)
    return make_loader(dataset, batches, workers=workers, pin=device == "cuda"), sampler


class Engine:
    """The recipe's module under Lightning's trainer; nothing is validated or written.

    Args:
        recipe: network, loss, optimiser, precision, averaged weights.
        batches: gives so many batches.
        device: cpu or cuda.
        seconds: length of a round.
        warm_up: batches before the clock is started; more than a loader has ready at its start.
    """

    def __init__(
        self,
        recipe: Recipe,
        batches: Callable[[int], Iterable[Batch]],
        device: str,
        seconds: float,
        warm_up: int = WARM_UP,
    ) -> None:
        self.recipe, self.batches, self.n_warm = recipe, batches, warm_up
        self.device, self.seconds = device, seconds
        self.module = StallModule(network_of(recipe), recipe, seed=0)
        self.n_batches = 1

    def warm_up(self) -> None:
        """Find how many batches make a round."""
        for _ in range(2):
            a_second = self.run() / self.recipe.sampler.batch_size
            self.n_batches = max(1, round(self.seconds * a_second))

    def run(self) -> float:
        """Samples a second."""
        recipe, clock = self.recipe, Clock(self.n_warm - 1, self.device)
        averaging = [EMAWeightAveraging(decay=recipe.engine.ema)] if recipe.engine.ema else []
        trainer = lightning.Trainer(
            accelerator=self.device,
            devices=1,
            precision=PRECISIONS[precision_of(recipe, self.device)],  # type: ignore[arg-type]
            use_distributed_sampler=False,
            max_epochs=1,
            accumulate_grad_batches=recipe.optimizer.accumulate,
            gradient_clip_val=recipe.optimizer.clip,
            callbacks=[clock, *averaging],
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
        )
        with safe_to_fork():
            trainer.fit(self.module, self.batches(self.n_warm + self.n_batches))
        return self.n_batches * recipe.sampler.batch_size / (clock.at[-1] - clock.at[0])


class Clock(lightning.Callback):
    """Looks at the clock after the last batch of the warm-up and after the epoch's last.

    Args:
        first: number of the former, from 0.
        device: which has to be ready with it.
    """

    def __init__(self, first: int, device: str) -> None:
        self.first, self.device = first, device
        self.at: list[float] = []

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """The step of the optimiser, if there is one, is part of the batch."""
        if batch_idx in (self.first, trainer.num_training_batches - 1):
            wait_for(self.device)
            self.at.append(time.perf_counter())


@dataclass(frozen=True)
class Again:
    """One batch that lies ready, so many times."""

    batch: Batch
    n: int

    def __len__(self) -> int:
        return self.n

    def __iter__(self) -> Iterator[Batch]:
        return iter([self.batch] * self.n)


def precision_of(recipe: Recipe, device: str) -> str:
    """What a recipe computes with on a device."""
    return resolve_devices(recipe, TrainOptions(device=device)).precision


def network_of(recipe: Recipe) -> Any:
    """The network, with random weights."""
    torch.manual_seed(0)
    arguments = recipe.network | {"pretrained": None}
    return create_model(arguments.pop("name"), **arguments)


def step_flops(recipe: Recipe) -> int:
    """Floating-point operations of a sample's forward and backward pass.

    Counted operator by operator: the input needs no gradient, so that they are fewer than those of
    three forward passes.
    """
    depth, *plane = recipe.must_input.size
    channels = len(recipe.must_input.channels)
    with torch.device("meta"):
        model = network_of(recipe).train()
        volumes = torch.empty(2, channels, depth or TYPICAL_DEPTH, *plane)  # norms want two
    with FlopCounterMode(display=False) as counter:
        model(volumes).sum().backward()
    return int(counter.get_total_flops()) // len(volumes)


def matmul_flops(device: str) -> float:
    """Operations a second of a large matrix product: bfloat16 on a GPU, else float32."""
    n, dtype = (8192, torch.bfloat16) if device == "cuda" else (2048, torch.float32)
    a, b = (torch.randn(n, n, device=device, dtype=dtype) for _ in range(2))
    began, calls = 0.0, 10
    for call in range(-WARM_UP, calls):
        if call == 0:
            wait_for(device)
            began = time.perf_counter()
        a @ b
    wait_for(device)
    return calls * 2 * n**3 / (time.perf_counter() - began)


def wait_for(device: str) -> None:
    """Return when it has done all that was asked."""
    if device == "cuda":
        torch.cuda.synchronize()


def cpu_seconds(pids: Sequence[int]) -> float:
    """CPU time of processes so far (Linux)."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])  # user and system
    return ticks / os.sysconf("SC_CLK_TCK")
