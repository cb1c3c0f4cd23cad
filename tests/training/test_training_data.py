"""The endless set: balanced keys, new in every epoch, the same samples from any worker."""

import signal
import time
from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from stallscan.augment import Preprocessing, preprocess, preset
from stallscan.augment.evaluation import to_grey
from stallscan.simulate import PRESETS, phantom_roi
from stallscan.training import RECIPES
from stallscan.training.phantom_data import PhantomRois, validation_keys
from stallscan.training.samples import (
    TRAIN_STREAM,
    VALIDATION_STREAM,
    BalancedSampler,
    SampleKey,
    load_all,
)
from stallscan.types import Label

SMALL = Preprocessing(size=(8, 16, 16))
RECIPE = replace(
    RECIPES["smoke"],
    preprocessing=SMALL,
    augmentation="mirror3",
    phantom="hard",
    validation_phantom="clean",
)


def keys_of(seed: int, epoch: int, n: int = 2000, share: float = 0.25) -> list[SampleKey]:
    sampler = BalancedSampler(seed, n, share)
    sampler.set_epoch(epoch)
    assert len(sampler) == n
    return list(sampler)


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_each_sample_is_stalled_with_the_share(share: float) -> None:
    n = 20_000
    stalled = np.mean([key.label for key in keys_of(0, 0, n, share)])
    assert stalled == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / n))


def test_keys_are_new_in_every_epoch_and_the_same_again() -> None:
    first, again, second = keys_of(1, 0), keys_of(1, 0), keys_of(1, 1)
    assert first == again
    assert len(set(first)) == len(first)
    assert not set(first) & set(second)
    assert [key.label for key in first] != [key.label for key in second]
    assert [key.label for key in first] != [key.label for key in keys_of(2, 0)]
    assert {key.stream for key in first + second} == {TRAIN_STREAM}


def test_iterating_twice_in_an_epoch_gives_the_same() -> None:
    sampler = BalancedSampler(0, 50, 0.5)
    assert list(sampler) == list(sampler)


def test_validation_is_half_stalled_fixed_and_apart() -> None:
    keys = validation_keys(40)
    assert keys == validation_keys(40)
    assert sum(key.label for key in keys) == 20
    assert len(set(keys)) == 40
    assert {key.stream for key in keys} == {VALIDATION_STREAM}


def test_a_validation_sample_is_the_preprocessed_phantom() -> None:
    key = SampleKey(VALIDATION_STREAM, 0, 3, Label.STALLED)
    array, label = PhantomRois(9, RECIPE)[key]
    volume, truth = phantom_roi((9, VALIDATION_STREAM, 0, 3), Label.STALLED, PRESETS["clean"])
    assert (label.item(), truth.stalled) == (1.0, 1)
    assert label.dtype == array.dtype == torch.float32
    np.testing.assert_array_equal(array.numpy(), preprocess(volume, SMALL))


def test_a_training_sample_is_its_mirror_image() -> None:
    mirrored = 0
    for number in range(4):
        array, label = PhantomRois(9, RECIPE)[SampleKey(TRAIN_STREAM, 1, number, Label.FLOWING)]
        where = (9, TRAIN_STREAM, 1, number)
        plain = preprocess(phantom_roi(where, Label.FLOWING, PRESETS["hard"])[0], SMALL)
        assert label.item() == 0.0
        np.testing.assert_allclose(np.sort(array.numpy(), None), np.sort(plain, None), atol=1e-4)
        mirrored += not np.allclose(array.numpy(), plain, atol=1e-4)
    assert mirrored >= 2


def test_without_augmentation_a_training_sample_is_the_plain_one() -> None:
    key = SampleKey(TRAIN_STREAM, 1, 0, Label.FLOWING)
    array, _ = PhantomRois(9, replace(RECIPE, augmentation=None))[key]
    volume, _ = phantom_roi((9, TRAIN_STREAM, 1, 0), Label.FLOWING, PRESETS["hard"])
    np.testing.assert_array_equal(array.numpy(), preprocess(volume, SMALL))


def test_the_augmentation_sees_grey_and_mask_with_the_samples_own_randomness() -> None:
    dataset = PhantomRois(9, replace(RECIPE, augmentation="heavy"))
    key = SampleKey(TRAIN_STREAM, 1, 0, Label.FLOWING)
    where = (9, TRAIN_STREAM, 1, 0)
    volume, _ = phantom_roi(where, Label.FLOWING, PRESETS["hard"])
    grey = to_grey(volume.array)
    mask = np.broadcast_to(volume.mask, grey.shape)
    rng = np.random.default_rng((*where, 1))
    augmented = preset("heavy")(image=grey, mask=mask, rng=rng)
    np.testing.assert_array_equal(dataset[key][0].numpy(), SMALL(**augmented)["image"])


def test_validation_is_never_augmented() -> None:
    key = SampleKey(VALIDATION_STREAM, 0, 3, Label.STALLED)
    samples = [PhantomRois(9, replace(RECIPE, augmentation=a))[key][0] for a in (None, "heavy")]
    assert torch.equal(*samples)


def test_seed_epoch_and_number_each_decide() -> None:
    keys = [SampleKey(TRAIN_STREAM, epoch, n, Label.STALLED) for epoch in (0, 1) for n in (0, 1)]
    samples = [PhantomRois(seed, RECIPE)[key][0] for seed in (0, 1) for key in keys]
    assert len({sample.numpy().tobytes() for sample in samples}) == 8


@pytest.fixture
def no_hanging() -> Iterator[None]:
    """A worker that hangs fails the test instead of stopping the suite."""

    def fail(*_: object) -> None:
        raise TimeoutError("a worker hangs")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("no_hanging")
def test_workers_change_nothing() -> None:
    """Not even where OpenCV runs threads already, which do not survive a fork."""
    cv2.setNumThreads(2)
    for _ in range(5):
        cv2.warpAffine(np.zeros((2000, 2000), np.float32), np.eye(2, 3), (2000, 2000))
    time.sleep(0.3)  # its threads spin for a while before they sleep, and only then would it hang
    keys = [*keys_of(0, 3, 4, 0.5), *validation_keys(2)]
    dataset = PhantomRois(0, RECIPE)
    found = [list(load_all(dataset, keys, workers, 3)) for workers in (2, 1, 0)]
    for batches in found:
        assert [tuple(inputs.shape) for inputs, _ in batches] == [(3, 3, 8, 16, 16)] * 2
    for batches in found[1:]:
        for (inputs, labels), (expected, known) in zip(batches, found[0], strict=True):
            assert torch.equal(inputs, expected)
            assert torch.equal(labels, known)
    assert torch.cat([labels for _, labels in found[0]]).tolist() == [key.label for key in keys]
    assert cv2.getNumThreads() == 2  # as it was
