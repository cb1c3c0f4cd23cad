"""What every training set shares: keys that name samples, the sampler, loading by workers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from stallscan.augment._transform import Augmentation
from stallscan.augment.evaluation import Preprocessing, preprocess, to_grey
from stallscan.roi.volume import Volume
from stallscan.types import Label
from stallscan.workers import end_with_parent

TRAIN_STREAM, VALIDATION_STREAM = 0, 1
"""Second part of a sample's seed: the two sets never share one."""


class SampleKey(NamedTuple):
    """Names one sample; with the seed of the run it decides every byte of it."""

    stream: int
    epoch: int
    number: int
    label: Label


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingSet:
    """What a run trains and validates on.

    Attributes:
        dataset: `SampleKey` → ``(c, z, y, x)`` float32 and the label, a float32 scalar.
        validation: keys of the fixed validation set.
        description: what model.json says about the data.
        notes: what model.json says about the limits of that.
    """

    dataset: Dataset[tuple[Tensor, Tensor]]
    validation: list[SampleKey]
    description: dict[str, Any]
    notes: str


def network_input(
    volume: Volume,
    augmentation: Augmentation | None,
    preprocessing: Preprocessing,
    rng: np.random.Generator,
) -> Tensor:
    """A ROI, augmented at its own size, as the network wants it: ``(c, z, y, x)`` float32."""
    if augmentation is None:
        return torch.from_numpy(preprocess(volume, preprocessing))
    grey = to_grey(volume.array)  # one channel is augmented in a third of the time of three alike
    mask = np.broadcast_to(volume.mask, grey.shape)
    augmented = augmentation(image=grey, mask=mask, rng=rng)
    return torch.from_numpy(preprocessing(**augmented)["image"])


class BalancedSampler(Sampler[SampleKey]):
    """New keys in every epoch, each stalled with a given probability (the paper's sampler).

    Args:
        seed: of the run.
        n_samples: keys in an epoch.
        stalled_share: probability of a stalled one; the winner's is 0.25.
    """

    def __init__(self, seed: int, n_samples: int, stalled_share: float) -> None:
        self.seed = seed
        self.n_samples = n_samples
        self.stalled_share = stalled_share
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch, after a resume too."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.n_samples

    def __iter__(self) -> Iterator[SampleKey]:
        rng = np.random.default_rng((self.seed, TRAIN_STREAM, self.epoch))
        stalled = rng.random(self.n_samples) < self.stalled_share
        for index, is_stalled in enumerate(stalled):
            yield SampleKey(TRAIN_STREAM, self.epoch, index, Label(int(is_stalled)))


def worker_setup() -> Callable[[int], None]:
    """What a DataLoader's workers do first: one thread each, and an end with this process."""
    return partial(_set_up_worker, os.getpid())


def _set_up_worker(parent_pid: int, worker: int) -> None:
    end_with_parent(parent_pid)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


@contextmanager
def safe_to_fork() -> Iterator[None]:
    """End OpenCV's threads meanwhile: a worker forked from a process that has them hangs."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def load_all(
    dataset: Dataset[tuple[Tensor, Tensor]], keys: list[SampleKey], workers: int, batch_size: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches over keys, in order, made by workers."""
    loader: DataLoader[tuple[Tensor, Tensor]] = DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=keys,
        num_workers=workers,
        worker_init_fn=worker_setup(),
    )
    with safe_to_fork():
        yield from loader
