"""Samples: balanced keys, new in every epoch, the same from any worker and for any device."""

from __future__ import annotations

import pickle
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

from stallscan.augment import Preprocessing, preprocess, preset
from stallscan.augment.evaluation import to_grey
from stallscan.errors import OptionError
from stallscan.roi.region import whole_frame
from stallscan.roi.resize import resize
from stallscan.simulate import PRESETS, phantom_clip, phantom_roi
from stallscan.training import Phantom, Recipe, load_recipe
from stallscan.training.device_augment import RawBatch, RawSample
from stallscan.training.phantom_data import NATURAL_SHARE, PhantomRois, validation_keys
from stallscan.training.phantom_shelf import Shelf
from stallscan.training.samples import (
    TRAIN_STREAM,
    VALIDATION_STREAM,
    BalancedSampler,
    BatchesOfRank,
    Sample,
    SampleKey,
    augmentation_of,
    collate,
    keep,
    make_loader,
    safe_to_fork,
)
from stallscan.types import Label

SMALL = Preprocessing(size=(8, 16, 16))
PLAIN = (
    "input.size=[8, 16, 16]",
    "augmentation={preset: mirror3, resize: false}",
    "data.phantom=hard",
    "validation.phantom=clean",
)


def recipe_of(*overrides: str) -> Recipe:
    recipe = load_recipe("smoke", [*PLAIN, *overrides])
    assert isinstance(recipe, Recipe)
    return recipe


RECIPE = recipe_of()


def keys_of(seed: int, epoch: int, n: int = 2000, share: float = 0.25) -> list[SampleKey]:
    sampler = BalancedSampler(seed, n, share)
    sampler.set_epoch(epoch)
    assert len(sampler) == n
    return list(sampler)


def input_of(dataset: Dataset[Sample], key: SampleKey) -> Tensor:
    found = dataset[key].input
    assert isinstance(found, Tensor)
    return found


# --- Keys -------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0, NATURAL_SHARE, 0.25, 0.5, 1])
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


@pytest.mark.parametrize("n_ranks", [1, 2, 3, 5])
def test_ranks_take_turns(n_ranks: int) -> None:
    """Interleaved, their batches are those of one process; the last one may be shorter."""
    sampler = BalancedSampler(4, 22, 0.5)
    whole = list(BatchesOfRank(sampler, 4, 0, 1))
    assert [len(batch) for batch in whole] == [4, 4, 4, 4, 4, 2]
    assert [key for batch in whole for key in batch] == list(sampler)
    shares = [BatchesOfRank(sampler, 4, rank, n_ranks) for rank in range(n_ranks)]
    for rank, share in enumerate(shares):
        assert list(share) == whole[rank::n_ranks]
        assert len(share) == len(list(share))


def test_ranks_follow_the_epoch_of_the_sampler() -> None:
    sampler = BalancedSampler(4, 8, 0.5)
    batches = BatchesOfRank(sampler, 4, 0, 2)
    first = list(batches)
    batches.sampler.set_epoch(1)  # what Lightning does
    assert list(batches) != first
    assert next(iter(batches))[0].epoch == 1


def test_a_list_of_keys_is_shared_too() -> None:
    keys = validation_keys(RECIPE)
    shares = [list(BatchesOfRank(keys, 3, rank, 2)) for rank in (0, 1)]
    assert sorted(key.number for share in shares for batch in share for key in batch) == [*range(8)]


# --- The phantom's validation -----------------------------------------------------------------


@pytest.mark.parametrize(("ratio", "n", "stalled"), [(1, 40, 20), (4, 40, 8), (10, 44, 4)])
def test_validation_has_its_ratio(ratio: float, n: int, stalled: int) -> None:
    recipe = recipe_of(f"validation={{flowing_per_stalled: {ratio}, n: {n}}}")
    keys = validation_keys(recipe)
    assert keys == validation_keys(recipe)
    assert len(set(keys)) == n and sum(key.label for key in keys) == stalled
    assert {(key.stream, key.epoch) for key in keys} == {(VALIDATION_STREAM, 0)}
    assert [key.number for key in keys] == list(range(n))
    places = np.flatnonzero([key.label for key in keys])
    assert set(np.diff(places)) == {1 + ratio}  # spread evenly


def test_validation_at_natural_prevalence() -> None:
    """1,887 of 573,048: one in 304."""
    keys = validation_keys(recipe_of("validation={flowing_per_stalled: null, n: 608}"))
    assert sum(key.label for key in keys) == 2
    with pytest.raises(OptionError) as caught:
        validation_keys(recipe_of("validation={flowing_per_stalled: null, n: 303}"))
    for part in ("validation.n is 303", "0 are stalled", "0.33%", "set validation.n to 304"):
        assert part in str(caught.value)


def test_validation_of_more_stalled_than_flowing() -> None:
    keys = validation_keys(recipe_of("validation={flowing_per_stalled: 0.5, n: 6}"))
    assert sum(key.label for key in keys) == 4


def test_the_set_s_description() -> None:
    found = Phantom(2).open(None, RECIPE, 0)  # type: ignore[arg-type]  # writes nothing
    assert found.validation == found.held_out == validation_keys(RECIPE)
    assert found.natural_share == pytest.approx(0.00329, abs=1e-5)
    assert found.names[:2] == ["phantom-2-000000", "phantom-2-000001"]
    assert found.description["phantom"] == "hard"
    assert found.description["validation_phantom"] == "clean"
    assert "synthetic" in found.notes and "not a medical device" in found.notes
    assert Phantom(2).identity() != Phantom(1).identity() == Phantom().of_fold(1).identity()


@pytest.mark.parametrize("key", ["data.phantom", "validation.phantom"])
def test_a_phantom_that_there_is_not(key: str) -> None:
    with pytest.raises(OptionError) as caught:
        Phantom().open(None, recipe_of(f"{key}=randomized"), 0)  # type: ignore[arg-type]
    for part in (f"{key} is 'randomized'", "did you mean 'randomised'?", "clogloss"):
        assert part in str(caught.value)


# --- The phantom's samples --------------------------------------------------------------------


def test_a_validation_sample_is_the_preprocessed_phantom() -> None:
    key = SampleKey(VALIDATION_STREAM, 0, 3, Label.STALLED)
    sample = PhantomRois(9, RECIPE)[key]
    volume, truth = phantom_roi((9, VALIDATION_STREAM, 0, 3), Label.STALLED, PRESETS["clean"])
    assert (sample.label, sample.target, sample.weight, sample.number) == (1, 1.0, 1.0, 3)
    assert truth.stalled == 1
    assert isinstance(sample.input, Tensor) and sample.input.dtype == torch.float32
    np.testing.assert_array_equal(sample.input.numpy(), preprocess(volume, SMALL))


def test_a_training_sample_is_its_mirror_image() -> None:
    mirrored = 0
    for number in range(4):
        key = SampleKey(TRAIN_STREAM, 1, number, Label.FLOWING)
        sample = PhantomRois(9, RECIPE)[key]
        array = input_of(PhantomRois(9, RECIPE), key).numpy()
        where = (9, TRAIN_STREAM, 1, number)
        plain = preprocess(phantom_roi(where, Label.FLOWING, PRESETS["hard"])[0], SMALL)
        assert (sample.label, sample.target) == (0, 0.0)
        np.testing.assert_allclose(np.sort(array, None), np.sort(plain, None), atol=1e-4)
        mirrored += not np.allclose(array, plain, atol=1e-4)
    assert mirrored >= 2


def test_without_augmentation_a_training_sample_is_the_plain_one() -> None:
    key = SampleKey(TRAIN_STREAM, 1, 0, Label.FLOWING)
    array = input_of(PhantomRois(9, recipe_of("augmentation=null")), key)
    volume, _ = phantom_roi((9, TRAIN_STREAM, 1, 0), Label.FLOWING, PRESETS["hard"])
    np.testing.assert_array_equal(array.numpy(), preprocess(volume, SMALL))


def test_the_augmentation_sees_grey_and_mask_with_the_samples_own_randomness() -> None:
    dataset = PhantomRois(9, recipe_of("augmentation.preset=heavy"))
    key = SampleKey(TRAIN_STREAM, 1, 0, Label.FLOWING)
    where = (9, TRAIN_STREAM, 1, 0)
    volume, _ = phantom_roi(where, Label.FLOWING, PRESETS["hard"])
    grey = to_grey(volume.array)
    mask = np.broadcast_to(volume.mask, grey.shape)
    rng = np.random.default_rng((*where, 1))
    augmented = preset("heavy")(image=grey, mask=mask, rng=rng)
    np.testing.assert_array_equal(input_of(dataset, key).numpy(), SMALL(**augmented)["image"])


def test_colours_are_augmented_as_colours_and_resized_in_the_midst() -> None:
    channels = "input={size: [8, 16, 16], channels: [red, green, blue]}"
    recipe = recipe_of(channels, "augmentation={preset: winner_v13, resize: true}")
    key = SampleKey(TRAIN_STREAM, 1, 0, Label.FLOWING)
    where = (9, TRAIN_STREAM, 1, 0)
    volume, _ = phantom_roi(where, Label.FLOWING, PRESETS["hard"])
    mask = np.broadcast_to(volume.mask, volume.array.shape[:3])
    pipeline = preset("winner_v13", (8, 16, 16))
    augmented = pipeline(image=volume.array, mask=mask, rng=np.random.default_rng((*where, 1)))
    assert augmented["image"].shape == (8, 16, 16, 3)
    expected = recipe.must_input.preprocessing()(**augmented)["image"]
    np.testing.assert_array_equal(input_of(PhantomRois(9, recipe), key).numpy(), expected)


def test_the_published_statistics_of_the_augmentation_are_chosen_by_legacy() -> None:
    plain = recipe_of("augmentation={preset: winner_v13}")
    legacy = recipe_of("augmentation={preset: winner_v13, legacy: true}")
    assert augmentation_of(plain) == preset("winner_v13", (8, 16, 16))
    assert augmentation_of(legacy) == preset("winner_v13", (8, 16, 16), legacy=True)
    assert augmentation_of(plain) != augmentation_of(legacy)
    assert augmentation_of(recipe_of("augmentation=null")) is None


def test_for_the_device_a_worker_reads_and_draws_only() -> None:
    recipe = recipe_of("augmentation={preset: heavy, device: true}")
    dataset = PhantomRois(9, recipe)
    where = (9, TRAIN_STREAM, 1, 0)
    volume, _ = phantom_roi(where, Label.FLOWING, PRESETS["hard"])
    raw = dataset[SampleKey(TRAIN_STREAM, 1, 0, Label.FLOWING)].input
    assert isinstance(raw, RawSample)
    np.testing.assert_array_equal(raw.image, to_grey(volume.array)[..., None])
    np.testing.assert_array_equal(raw.mask, volume.mask)
    pipeline = augmentation_of(recipe)
    assert pipeline is not None
    expected = pipeline.record(np.random.default_rng((*where, 1)), raw.image.shape)
    assert repr(raw.record) == repr(expected)
    # What is not augmented is ready.
    assert isinstance(dataset[SampleKey(VALIDATION_STREAM, 0, 0, Label.FLOWING)].input, Tensor)


def test_whole_frames(tmp_path: Path) -> None:
    """At the network's size, from a shelf as well."""
    recipe = recipe_of("data.region=full", "augmentation=null")
    where = (9, TRAIN_STREAM, 0, 1)
    clip, _ = phantom_clip(where, Label.STALLED, PRESETS["hard"])
    expected = preprocess(resize(whole_frame(clip).crop(clip), (8, 16, 16)), SMALL)
    dataset = PhantomRois(9, recipe, shelf=Shelf(tmp_path))
    for _ in range(2):
        found = input_of(dataset, SampleKey(*where[1:], Label.STALLED))
        np.testing.assert_array_equal(found.numpy(), expected)
    (kept,) = tmp_path.iterdir()
    assert "-frame-8-16-16-" in kept.name


def test_validation_is_never_augmented() -> None:
    key = SampleKey(VALIDATION_STREAM, 0, 3, Label.STALLED)
    recipes = [recipe_of("augmentation=null"), recipe_of("augmentation.preset=heavy")]
    assert torch.equal(*(input_of(PhantomRois(9, recipe), key) for recipe in recipes))


def test_seed_fold_epoch_and_number_each_decide() -> None:
    keys = [SampleKey(TRAIN_STREAM, epoch, n, Label.STALLED) for epoch in (0, 1) for n in (0, 1)]
    keys.append(SampleKey(VALIDATION_STREAM, 0, 0, Label.STALLED))
    datasets = [PhantomRois(seed, RECIPE, fold) for seed in (0, 1) for fold in (0, 1)]
    samples = [input_of(dataset, key) for dataset in datasets for key in keys]
    assert len({sample.numpy().tobytes() for sample in samples}) == len(datasets) * len(keys)


# --- Batches ----------------------------------------------------------------------------------


class Numbers(Dataset[Sample]):
    """Samples that say which they are."""

    def __getitem__(self, key: SampleKey) -> Sample:
        value = torch.full((1, 2, 2, 2), float(key.number))
        return Sample(value, key.number / 10, 1 + key.number, int(key.label), key.number)


def test_a_batch_is_its_samples_side_by_side() -> None:
    keys = [SampleKey(TRAIN_STREAM, 0, number, Label(number % 2)) for number in (3, 4)]
    batch = collate([Numbers()[key] for key in keys])
    assert isinstance(batch.inputs, Tensor) and batch.inputs.shape == (2, 1, 2, 2, 2)
    assert batch.inputs[:, 0, 0, 0, 0].tolist() == [3, 4]
    assert batch.targets.dtype == batch.weights.dtype == torch.float32
    torch.testing.assert_close(batch.targets, torch.tensor([0.3, 0.4]))
    assert batch.weights.tolist() == [4, 5]
    assert batch.labels.tolist() == [1, 0] and batch.numbers.tolist() == [3, 4]


def test_a_batch_arrives_as_it_was_sent_and_one_tensor_alone_by_memory() -> None:
    """A worker opens a connection for each tensor that is sent."""
    keys = [SampleKey(TRAIN_STREAM, 0, number, Label(number % 2)) for number in (3, 4)]
    batch = collate([Numbers()[key] for key in keys])
    arrived = pickle.loads(pickle.dumps(batch))
    assert type(arrived) is type(batch)
    for sent, got in zip(batch, arrived, strict=True):
        assert isinstance(sent, Tensor) and got.dtype == sent.dtype and torch.equal(got, sent)
    _, parts = batch.__reduce__()
    assert [isinstance(part, Tensor) for part in parts] == [True, False, False, False, False]


def test_samples_are_kept_where_they_fit() -> None:
    keys = [SampleKey(VALIDATION_STREAM, 0, number, Label(number % 2)) for number in range(3)]
    all_of_it = 3 * 2 * 8
    kept = keep(Numbers(), keys, 0, all_of_it)
    assert list(kept.samples) == keys
    for key in keys:
        assert kept[key] is kept.samples[key]
        found = kept[key]
        assert isinstance(found.input, Tensor) and found.input.dtype == torch.float16
        assert found.input.unique().tolist() == [key.number]
        assert (found.label, found.number) == (int(key.label), key.number)
    none = keep(Numbers(), keys, 0, all_of_it - 1)
    assert not none.samples and input_of(none, keys[2]).unique().tolist() == [2]
    other = SampleKey(VALIDATION_STREAM, 0, 7, Label.STALLED)
    assert input_of(kept, other).unique().tolist() == [7]


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
    keys = [*keys_of(0, 3, 4, 0.5), *validation_keys(recipe_of("validation.n=2"))]
    dataset = PhantomRois(0, RECIPE)
    found = []
    with safe_to_fork():
        for workers in (2, 1, 0):
            batches = BatchesOfRank(keys, 3, 0, 1)
            found.append(list(make_loader(dataset, batches, workers=workers, persistent=False)))
    for batches in found:
        assert [tuple(batch.inputs.shape) for batch in batches] == [(3, 3, 8, 16, 16)] * 2
    for batches in found[1:]:
        for batch, expected in zip(batches, found[0], strict=True):
            for one, other in zip(batch[:-1], expected[:-1], strict=True):
                assert torch.equal(one, other)
    labels = torch.cat([batch.labels for batch in found[0]]).tolist()
    assert labels == [int(key.label) for key in keys]
    assert cv2.getNumThreads() == 2  # as it was


@pytest.mark.usefixtures("no_hanging")
def test_workers_change_nothing_of_what_the_device_augments() -> None:
    recipe = recipe_of("augmentation={preset: heavy, device: true}")
    keys = keys_of(0, 0, 4, 0.5)
    found = []
    with safe_to_fork():
        for workers in (2, 0):
            loader = make_loader(
                PhantomRois(0, recipe),
                BatchesOfRank(keys, 2, 0, 1),
                workers=workers,
                persistent=False,
            )
            found.append([batch.inputs for batch in loader])
    assert [len(batch.shapes) for batch in found[0]] == [2, 2]
    for one, other in zip(*found, strict=True):
        assert one.shapes == other.shapes
        assert torch.equal(one.voxels, other.voxels)
        assert repr(one.records) == repr(other.records)


def test_a_batch_for_the_device_is_its_samples_one_after_another() -> None:
    rng = np.random.default_rng(0)
    samples = []
    for number, shape in enumerate([(3, 4, 5, 3), (2, 6, 1, 1)]):
        image = rng.integers(0, 256, shape[::-1], np.uint8).T  # not contiguous
        mask = rng.integers(0, 2, shape[1:3], np.uint8)
        samples.append(Sample(RawSample(image, mask, {"n": number}), 0.5, 1.0, number, number))
    packed = collate(samples).inputs
    assert isinstance(packed, RawBatch)
    assert packed.voxels.shape == (3 * 4 * 5 * 3 + 4 * 5 + 2 * 6 + 6,)
    assert packed.records == [{"n": 0}, {"n": 1}]
    for sample, (image, mask) in zip(samples, packed.split(packed.voxels), strict=True):
        assert isinstance(sample.input, RawSample)
        np.testing.assert_array_equal(image, sample.input.image)
        np.testing.assert_array_equal(mask, sample.input.mask)
