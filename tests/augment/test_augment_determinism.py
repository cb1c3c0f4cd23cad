"""Who augments a sample, and when, does not matter; and no two workers or epochs do the same."""

from __future__ import annotations

import hashlib
import itertools
import multiprocessing
from typing import Any

import numpy as np
import pytest

from stallscan.augment import (
    Compose,
    ElasticTransform,
    FrameJitter,
    GaussianNoise,
    PoissonGamma,
    Rotate,
    RowNoise,
    preset,
    sample_rng,
)
from stallscan.errors import OptionError

pytestmark = [
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create"),
]
N_SAMPLES = 8
CLIPS = np.random.default_rng(0).integers(0, 256, (N_SAMPLES, 5, 9, 9), np.uint8)


def digest(image: Any) -> str:
    return hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest()


class Seeded:
    """A data set whose samples name their epoch, as a sampler gives it."""

    def __init__(self, seed: int = 7) -> None:
        self.seed = seed
        self.aug = preset("heavy", (6, 8, 8))

    def __len__(self) -> int:
        return N_SAMPLES

    def __getitem__(self, key: tuple[int, int]) -> tuple[int, int, str]:
        epoch, number = key
        rng = sample_rng(self.seed, epoch, number)
        return epoch, number, digest(self.aug(image=CLIPS[number], rng=rng)["image"])


class Unseeded:
    """A data set that leaves the randomness to the pipeline; all samples are one clip."""

    def __init__(self) -> None:
        self.aug = Compose([GaussianNoise((100, 400), p=1)], seed=7)

    def __len__(self) -> int:
        return N_SAMPLES

    def __getitem__(self, number: int) -> str:
        return digest(self.aug(image=CLIPS[0])["image"])


class Epochs:
    """``(epoch, number)`` in another order in every epoch."""

    def __init__(self) -> None:
        self.epoch = 0

    def __len__(self) -> int:
        return N_SAMPLES

    def __iter__(self) -> Any:
        order = np.random.default_rng(self.epoch).permutation(N_SAMPLES)
        return iter([(self.epoch, int(number)) for number in order])


LOADERS = [(0, False), (1, False), (2, False), (2, True), (4, True)]


def loader(data: Any, n_workers: int, persistent: bool, **options: Any) -> Any:
    torch_data = pytest.importorskip("torch.utils.data")
    return torch_data.DataLoader(
        data,
        batch_size=None if "sampler" in options else 1,
        num_workers=n_workers,
        persistent_workers=persistent,
        multiprocessing_context="fork" if n_workers else None,
        **options,
    )


def test_a_sample_is_the_same_with_any_number_of_workers_in_any_order() -> None:
    expected = {
        (epoch, number, Seeded()[epoch, number][2])
        for epoch, number in itertools.product(range(2), range(N_SAMPLES))
    }
    assert len({entry[2] for entry in expected}) == 2 * N_SAMPLES  # epochs and samples differ
    for n_workers, persistent in LOADERS:
        sampler = Epochs()
        batches = loader(Seeded(), n_workers, persistent, sampler=sampler)
        found = []
        for sampler.epoch in range(2):
            found += [tuple(entry) for entry in batches]
        assert len(found) == 2 * N_SAMPLES
        assert set(found) == expected, (n_workers, persistent)


def test_without_a_generator_workers_and_epochs_never_repeat_each_other() -> None:
    """In MONAI and bio-volumentations they do."""
    for n_workers, persistent in LOADERS:
        batches = loader(Unseeded(), n_workers, persistent)
        found = [entry for _ in range(3) for batch in batches for entry in batch]
        assert len(found) == 3 * N_SAMPLES
        assert len(set(found)) == len(found), (n_workers, persistent)


def first_draws(data: Unseeded, _: int) -> list[str]:
    return [data[0] for _ in range(4)]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_copies_in_other_processes_draw_their_own(method: str) -> None:
    """Also where every task brings a new copy of the pipeline, as in pools."""
    data = Unseeded()
    found = [data[0] for _ in range(2)]
    with multiprocessing.get_context(method).Pool(2) as pool:
        for draws in pool.starmap(first_draws, [(data, n) for n in range(4)], chunksize=1):
            found += draws
    found += [data[0] for _ in range(2)]
    assert len(set(found)) == len(found)


def test_a_pipeline_with_a_seed_goes_on_and_starts_alike() -> None:
    def run(**options: Any) -> list[str]:
        aug = Compose([GaussianNoise((100, 400), p=1)], **options)
        return [digest(aug(image=CLIPS[0])["image"]) for _ in range(4)]

    assert run(seed=3) == run(seed=3) and len(set(run(seed=3))) == 4
    assert not set(run(seed=3)) & set(run(seed=4))
    assert not set(run()) & set(run())
    alone = GaussianNoise((100, 400), p=1, seed=3)
    again = GaussianNoise((100, 400), p=1, seed=3)
    assert digest(alone(image=CLIPS[0])["image"]) == digest(again(image=CLIPS[0])["image"])


def test_a_given_generator_is_drawn_from_and_a_number_makes_one() -> None:
    aug = preset("paper", (6, 8, 8))
    rng = np.random.default_rng(5)
    first, second = (digest(aug(image=CLIPS[0], rng=rng)["image"]) for _ in range(2))
    assert first != second
    assert first == digest(aug(image=CLIPS[0], rng=5)["image"])
    own = aug._generator(None).bit_generator.state
    aug(image=CLIPS[0], rng=5)
    assert aug._generator(None).bit_generator.state == own
    for wrong in (-1, "a", 1.5):
        with pytest.raises(OptionError, match=r"rng is .*allowed are"):
            aug(image=CLIPS[0], rng=wrong)


def test_what_one_transform_draws_does_not_depend_on_the_dtype_channels_or_targets() -> None:
    """Else a mask added to the call would change the image."""
    aug = preset("heavy", (6, 8, 8))
    for seed in range(20):
        drawn = []
        for image in (CLIPS[0], CLIPS[0].astype(np.uint16), np.stack([CLIPS[0]] * 3, axis=3)):
            drawn.append(aug(image=image, rng=seed, return_record=True)["record"])
        targets = {"image": CLIPS[0], "mask": CLIPS[0], "points": [[1, 2, 3]]}
        drawn.append(aug(**targets, rng=seed, return_record=True)["record"])
        assert drawn[0] == drawn[1] == drawn[2] == drawn[3]


def test_sample_rng_depends_on_seed_epoch_and_sample_alone() -> None:
    keys = [
        *itertools.product(range(3), range(3), range(3)),
        *itertools.product(range(2), range(2), ("0", "1", "a", "clip_0", "clip_1", "")),
        (2**40, 0, 5),
        (0, 0, 2**40),
    ]
    streams = {key: sample_rng(*key).random(4).tobytes() for key in keys}
    assert len(set(streams.values())) == len(keys)
    for key in keys:
        assert sample_rng(*key).random(4).tobytes() == streams[key]
    same = sample_rng(np.int64(1), np.int64(2), np.int64(3)).random()
    assert same == sample_rng(1, 2, 3).random()
    values = np.array([sample_rng(0, 0, n).random() for n in range(2000)])
    assert (
        abs(values.mean() - 0.5) < 0.02 and abs(np.corrcoef(values[1:], values[:-1])[0, 1]) < 0.06
    )
    for wrong in ((-1, 0, 0), (0, -1, 0), (0, 0, -1)):
        with pytest.raises(OptionError, match="-1, allowed are 0 and above"):
            sample_rng(*wrong)


def test_every_random_transform_is_reproducible_inside_a_pipeline() -> None:
    aug = Compose(
        [
            Rotate(20, 5, 5, p=0.8),
            ElasticTransform((0.05, 0.2), p=0.8),
            PoissonGamma(p=0.8),
            RowNoise(p=0.8),
            FrameJitter(p=0.8),
        ]
    )
    found = [[digest(aug(image=CLIPS[0], rng=seed)["image"]) for seed in range(20)] for _ in "ab"]
    assert found[0] == found[1] and len(set(found[0])) >= 19
