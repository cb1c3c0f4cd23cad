"""What every training set shares: keys that name samples, batches of keys, loading by workers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from stallscan.augment._transform import Augmentation
from stallscan.augment.evaluation import Preprocessing, preprocess, to_grey
from stallscan.augment.presets import preset
from stallscan.roi.volume import Volume
from stallscan.training.device_augment import RawBatch, RawSample
from stallscan.training.recipe import Recipe
from stallscan.types import Label
from stallscan.workers import end_with_parent

TRAIN_STREAM, VALIDATION_STREAM, MIX_STREAM = 0, 1, 2
"""Second part of a seed: of the samples of the two sets, and of what mixes a batch."""


class SampleKey(NamedTuple):
    """Names one sample; with the seed of the run it decides every byte of it."""

    stream: int
    epoch: int
    number: int
    label: Label


class Sample(NamedTuple):
    """One sample.

    Attributes:
        input: ``(c, z, y, x)`` float32, or what the device is to make that of.
        target: 0 to 1: what the loss wants.
        weight: of the loss.
        label: 0 or 1: what validation compares with.
        number: of its key.
    """

    input: Tensor | RawSample
    target: float
    weight: float
    label: int
    number: int


class Batch(NamedTuple):
    """Samples side by side.

    Attributes:
        inputs: ``(n, c, z, y, x)`` float32, or what the device is to make that of.
        targets: ``(n,)`` float32.
        weights: ``(n,)`` float32.
        labels: ``(n,)`` int64.
        numbers: ``(n,)`` int64.
    """

    inputs: Tensor | RawBatch
    targets: Tensor
    weights: Tensor
    labels: Tensor
    numbers: Tensor

    def __reduce__(self) -> Any:
        """Vectors go by value: each tensor that a worker sends takes a connection to it."""
        vectors = (self.targets, self.weights, self.labels, self.numbers)
        return _received, (self.inputs, *(vector.numpy() for vector in vectors))


def _received(inputs: Tensor | RawBatch, *vectors: NDArray[Any]) -> Batch:
    targets, weights, labels, numbers = map(torch.from_numpy, vectors)
    return Batch(inputs, targets, weights, labels, numbers)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingSet:
    """What a run trains and validates on.

    Attributes:
        dataset: `SampleKey` → `Sample`.
        natural_share: of stalled samples where nobody balances them.
        validation: keys of the set that judges an epoch, a part of those held out.
        held_out: keys of all that is not trained on, numbered from 0.
        names: of what is held out, by number.
        description: what model.json says about the data.
        notes: what model.json says about the limits of that.
    """

    dataset: Dataset[Sample]
    natural_share: float
    validation: list[SampleKey]
    held_out: list[SampleKey]
    names: Sequence[str]
    description: dict[str, Any]
    notes: str


class Preparation:
    """Volume → input of a sample, as a recipe has it.

    Args:
        recipe: decides the augmentation, who carries it out, and Volume → network input.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.preprocessing = recipe.must_input.preprocessing()
        self.augmentation = augmentation_of(recipe)
        self.on_device = recipe.augmentation is not None and recipe.augmentation.device is True

    def __call__(self, volume: Volume, rng: np.random.Generator | None) -> Tensor | RawSample:
        """One input.

        Args:
            volume: the ROI.
            rng: the randomness of the augmentation; None for samples that are shown as they are.
        """
        if rng is None or not self.on_device or self.augmentation is None:
            augmentation = None if rng is None else self.augmentation
            return network_input(volume, augmentation, self.preprocessing, rng)
        image = volume.array if self.preprocessing.is_colour else to_grey(volume.array)[..., None]
        mask = np.broadcast_to(volume.mask, image.shape[:3])
        record = self.augmentation.record(rng, image.shape, image=image, mask=mask)
        return RawSample(image, volume.mask.astype(np.uint8), record)


def augmentation_of(recipe: Recipe) -> Augmentation | None:
    """The pipeline that a recipe names.

    Raises:
        OptionError: it has none of that name, or cannot resize to a depth that varies.
    """
    chosen = recipe.augmentation
    if chosen is None:
        return None
    size = recipe.must_input.size if chosen.resize else None
    return preset(chosen.preset, size, legacy=chosen.legacy)  # type: ignore[arg-type]


def network_input(
    volume: Volume,
    augmentation: Augmentation | None,
    preprocessing: Preprocessing,
    rng: np.random.Generator | None,
) -> Tensor:
    """A ROI, augmented, as the network wants it: ``(c, z, y, x)`` float32."""
    if augmentation is None:
        return torch.from_numpy(preprocess(volume, preprocessing))
    # One channel is augmented in a third of the time of three alike.
    image = volume.array if preprocessing.is_colour else to_grey(volume.array)
    mask = np.broadcast_to(volume.mask, image.shape[:3])
    augmented = augmentation(image=image, mask=mask, rng=rng)
    return torch.from_numpy(preprocessing(**augmented)["image"])


class BalancedSampler(Sampler[SampleKey]):
    """New keys in every epoch, each stalled with a given probability (the paper's sampler).

    Args:
        seed: of the run.
        n_samples: keys in an epoch.
        stalled_share: probability of a stalled one; the winner's is 0.25.
        twins: keys come in pairs of one number, flowing and stalled.
    """

    def __init__(
        self, seed: int, n_samples: int, stalled_share: float, twins: bool = False
    ) -> None:
        self.seed = seed
        self.twins = twins
        self.n_samples = n_samples
        self.stalled_share = stalled_share
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch, after a resume too."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.n_samples

    def __iter__(self) -> Iterator[SampleKey]:
        if self.twins:
            for index in range(self.n_samples):
                yield SampleKey(TRAIN_STREAM, self.epoch, index // 2, Label(index % 2))
            return
        rng = np.random.default_rng((self.seed, TRAIN_STREAM, self.epoch))
        stalled = rng.random(self.n_samples) < self.stalled_share
        for index, is_stalled in enumerate(stalled):
            yield SampleKey(TRAIN_STREAM, self.epoch, index, Label(int(is_stalled)))


class BatchesOfRank(Sampler[list[SampleKey]]):
    """Batches of keys, of which each of several processes takes every n-th.

    So n processes with one batch each see what one process sees that accumulates n batches.

    Args:
        sampler: all keys of an epoch; Lightning tells it the epoch.
        batch_size: keys in a batch.
        rank: of this process.
        n_ranks: processes.
    """

    def __init__(
        self,
        sampler: Sampler[SampleKey] | list[SampleKey],
        batch_size: int,
        rank: int,
        n_ranks: int,
    ) -> None:
        self.sampler = sampler
        self.batch_size = batch_size
        self.rank = rank
        self.n_ranks = n_ranks

    def __len__(self) -> int:
        n_batches = -(-len(self.sampler) // self.batch_size)  # type: ignore[arg-type]
        return len(range(self.rank, n_batches, self.n_ranks))

    def __iter__(self) -> Iterator[list[SampleKey]]:
        keys = list(self.sampler)
        for start in range(self.rank * self.batch_size, len(keys), self.n_ranks * self.batch_size):
            yield keys[start : start + self.batch_size]


def collate(samples: Sequence[Sample]) -> Batch:
    """Samples → batch."""
    inputs, targets, weights, labels, numbers = zip(*samples, strict=True)
    raw = isinstance(inputs[0], RawSample)
    return Batch(
        # In a worker straight into the memory that it shares with the training process.
        inputs=RawBatch.pack(inputs) if raw else default_collate(list(inputs)),
        targets=torch.tensor(targets, dtype=torch.float32),
        weights=torch.tensor(weights, dtype=torch.float32),
        labels=torch.tensor(labels),
        numbers=torch.tensor(numbers),
    )


def make_loader(
    dataset: Dataset[Sample],
    batches: BatchesOfRank,
    *,
    workers: int,
    persistent: bool = True,
    pin: bool = False,
) -> DataLoader[Batch]:
    """Batches made by workers, each with one thread, that end with this process."""
    # The batches that it gives are not of the kind that the set gives: collate makes them.
    loader: DataLoader[Any] = DataLoader(
        dataset,
        batch_sampler=batches,
        collate_fn=collate,
        num_workers=workers,
        persistent_workers=persistent and workers > 0,
        pin_memory=pin,
        worker_init_fn=worker_setup(),
    )
    return loader


class Kept(Dataset[Sample]):
    """A data set some of whose samples have been made before, their inputs as float16.

    Args:
        dataset: makes the others.
        samples: those that are kept, by key.
    """

    def __init__(self, dataset: Dataset[Sample], samples: dict[SampleKey, Sample]) -> None:
        self.dataset = dataset
        self.samples = samples

    def __getitem__(self, key: SampleKey) -> Sample:
        """See `Sample`."""
        return self.samples[key] if key in self.samples else self.dataset[key]


def keep(dataset: Dataset[Sample], keys: list[SampleKey], workers: int, n_bytes: int) -> Kept:
    """Make samples once, by workers, if all of them fit; keep none if they do not.

    Args:
        dataset: makes them.
        keys: which.
        workers: processes.
        n_bytes: what they may take.
    """
    kept: dict[SampleKey, Sample] = {}
    fits = len(keys) * 2 * dataset[keys[0]].input.numel() <= n_bytes  # type: ignore[union-attr]
    if fits:
        # One at a time, for depths may differ.
        batches = BatchesOfRank(keys, 1, 0, 1)
        loader = make_loader(dataset, batches, workers=workers, persistent=False)
        for key, batch in zip(keys, loader, strict=True):
            assert isinstance(batch.inputs, Tensor)
            label = int(batch.labels[0])
            kept[key] = Sample(batch.inputs[0].half(), float(label), 1.0, label, key.number)
    return Kept(dataset, kept)


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
