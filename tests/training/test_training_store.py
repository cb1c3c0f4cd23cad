"""Training on labelled videos: from a store, from a folder, by folds."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from labelled import SEES_RED, Video, name_of, video_of, write_labelled
from stallscan.augment import preprocess
from stallscan.data.extract import ExtractOptions, extract_to_store
from stallscan.data.reliability import STALLED_BY_SCORE
from stallscan.data.store import RoiStore, StoreWriter
from stallscan.errors import OptionError, OutputConflictError, StoreError, TrainingError
from stallscan.models import load_checkpoint
from stallscan.roi import RoiOptions
from stallscan.training import Recipe, TrainOptions, Videos, load_recipe, train
from stallscan.training.samples import (
    TRAIN_STREAM,
    VALIDATION_STREAM,
    BalancedSampler,
    BatchesOfRank,
    Sample,
    SampleKey,
    TrainingSet,
    make_loader,
    safe_to_fork,
)
from stallscan.types import Label

Write = Callable[..., Path]


def recipe_of(*overrides: str) -> Recipe:
    recipe = load_recipe("smoke", ["folds.n=2", *SEES_RED, *overrides])
    assert isinstance(recipe, Recipe)
    return recipe


def number_of(sample: Sample) -> int:
    assert isinstance(sample.input, Tensor)
    return video_of(sample.input)


def drawn(data: TrainingSet, n: int = 400, epoch: int = 0, share: float = 0.5) -> list[Sample]:
    """The samples of an epoch."""
    sampler = BalancedSampler(1, n, share)
    sampler.set_epoch(epoch)
    return [data.dataset[key] for key in sampler]


# --- From videos to a run ---------------------------------------------------------------------

TINY = ("folds.n=2", "input.size=[4, 16, 16]", "augmentation.preset=mirror3", "stop.max_epochs=1")
OPTIONS = TrainOptions(seed=1, workers=0, device="cpu")


@pytest.fixture
def data(tmp_path: Path, write_drawn_clip: Write) -> Path:
    """A data set of 8 videos, one of them without an outline."""
    rows = ["filename,stalled"]
    for number in range(8):
        write_drawn_clip(f"ds/train/v{number}.mp4", seed=number, outline=number != 7)
        rows.append(f"v{number}.mp4,{number % 2}")
    (tmp_path / "ds" / "train_labels.csv").write_text("\n".join(rows) + "\n")
    return tmp_path / "ds"


def tiny(*overrides: str) -> Recipe:
    recipe = load_recipe("smoke", [*TINY, *overrides])
    assert isinstance(recipe, Recipe)
    return recipe


def test_a_store_and_its_folder_train_the_same(data: Path, tmp_path: Path) -> None:
    store_path, labels = tmp_path / "r.lmdb", data / "train_labels.csv"
    extract_to_store([data / "train"], store_path, ExtractOptions(), RoiOptions(), workers=1)
    seen: list[tuple[int, int]] = []
    videos = Videos(data=data, labels=labels, progress=lambda n, total: seen.append((n, total)))
    train(tmp_path / "a", tiny(), OPTIONS, source=videos, progress=False)
    assert seen[-1] == (8, 8) and RoiStore(tmp_path / "a" / "rois.lmdb").is_complete
    of_store = Videos(data=store_path, labels=labels)
    train(tmp_path / "b", tiny(), OPTIONS, source=of_store, progress=False)
    (one, card), (other, _) = (load_checkpoint(tmp_path / name) for name in "ab")
    for name, weights in one.state_dict().items():
        assert torch.equal(weights, other.state_dict()[name])
    assert card.training["data"] == "8 labelled videos"
    assert (card.training["stalled"], card.training["without_roi"]) == (4, 1)
    assert card.training["fold"] == "0 of 2, stratified by label, seed 42"
    assert len(pd.read_csv(tmp_path / "a" / "validation.csv")) in (3, 4)
    # Another fold, other labels: another run.
    record = json.loads((tmp_path / "b" / "run.json").read_text())
    assert record["options"]["fold"] == 0
    with pytest.raises(OutputConflictError, match="fold was 0, now 1"):
        train(tmp_path / "b", tiny(), OPTIONS, source=of_store.of_fold(1), progress=False)
    labels.write_text(labels.read_text().replace("v0.mp4,0", "v0.mp4,1"))
    with pytest.raises(OutputConflictError, match="labels was 'sha256"):
        train(tmp_path / "b", tiny(), OPTIONS, source=of_store, progress=False)


def test_runs_that_share_extract_once(data: Path, tmp_path: Path) -> None:
    videos = Videos(data=data, labels=data / "train_labels.csv").sharing(tmp_path / "runs")
    (tmp_path / "runs" / "fold0").mkdir(parents=True)
    names = []
    for fold in (0, 1):
        opened = videos.of_fold(fold).open(tmp_path / "runs" / f"fold{fold}", tiny(), 0)
        names += list(opened.names)
    assert sorted(names) == [f"v{number}.mp4" for number in range(7)]
    assert len(list((tmp_path / "runs").rglob("*.lmdb"))) == 1


def test_whole_frames_are_stored_at_the_network_s_size(data: Path, tmp_path: Path) -> None:
    videos = Videos(data=data, labels=data / "train_labels.csv")
    videos.open(tmp_path / "run", tiny("data.region=full"), 0)
    store = RoiStore(tmp_path / "run" / "rois.lmdb")
    volume = store["v7.mp4"].volume  # no outline is needed
    assert volume is not None and volume.array.shape == (4, 16, 16, 3)


# --- Folds and classes ------------------------------------------------------------------------

MANY = [
    Video(stalled=int(number < 30), project="AB"[number % 2], crowd_score=0.8 * (number < 30))
    for number in range(150)
]


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Videos:
    """30 stalled videos, the first ones, and 120 flowing."""
    return write_labelled(tmp_path_factory.mktemp("many"), MANY)


def test_folds_share_nothing_and_miss_nothing(many: Videos, tmp_path: Path) -> None:
    seen: Counter[str] = Counter()
    for fold in range(3):
        data = many.of_fold(fold).open(tmp_path, recipe_of("folds.n=3"), 0)
        held_out = {number_of(data.dataset[key]) for key in data.held_out}
        assert [name_of(number_of(data.dataset[key])) for key in data.held_out] == data.names
        learnt = {number_of(sample) for sample in drawn(data, 1500)}
        assert not held_out & learnt and held_out | learnt == set(range(150))
        seen.update(data.names)
        assert data.description["fold"] == f"{fold} of 3, stratified by project and label, seed 42"
        assert data.description["data"] == "150 labelled videos"
    assert set(seen.values()) == {1} and len(seen) == 150


def test_projects_stay_whole_in_grouped_folds(many: Videos, tmp_path: Path) -> None:
    data = many.open(tmp_path, recipe_of("folds.by=project"), 0)
    assert len({MANY[int(name[1:4])].project for name in data.names}) == 1
    assert len(data.names) == 75
    assert "whole projects" in data.description["fold"]


def test_a_fold_that_there_is_not(many: Videos, tmp_path: Path) -> None:
    with pytest.raises(OptionError) as caught:
        many.of_fold(2).open(tmp_path, recipe_of(), 0)
    for part in ("is 2", "allowed are 0 to 1", "2 folds", "choose one"):
        assert part in str(caught.value)


def test_a_store_without_stalled_videos(tmp_path: Path) -> None:
    videos = write_labelled(tmp_path, [Video(stalled=0)] * 6)
    with pytest.raises(OptionError) as caught:
        videos.open(tmp_path, recipe_of(), 0)
    expected = ("train_labels.csv", "stalled videos", "the table has 0 of its 6", "label more")
    for part in expected:
        assert part in str(caught.value)


@pytest.mark.parametrize("label", Label)
def test_a_fold_whose_videos_of_a_class_have_no_roi(tmp_path: Path, label: Label) -> None:
    videos = [Video(stalled=n % 2, failed=n % 2 == label and n > 1) for n in range(12)]
    source = write_labelled(tmp_path, videos)
    with pytest.raises(TrainingError) as caught:
        for fold in (0, 1):
            source.of_fold(fold).open(tmp_path, recipe_of(), 0)
    expected = (
        *("rois.lmdb", f"no {label.word} video for", "in fold", "of 2"),
        *("5 of 12 videos have no ROI", "another fold, fewer folds, or label more"),
    )
    for part in expected:
        assert part in str(caught.value)


def test_videos_without_roi_are_left_out_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = write_labelled(tmp_path, [Video(stalled=n % 2, failed=n in (3, 4)) for n in range(12)])
    data = source.open(tmp_path, recipe_of(), 0)
    used = {number_of(sample) for sample in drawn(data)} | {int(n[1:4]) for n in data.names}
    assert used == set(range(12)) - {3, 4}
    assert "rois.lmdb: 2 of 12 videos have no ROI" in caplog.text
    assert data.description["without_roi"] == 2


def test_a_store_that_is_not_complete(tmp_path: Path) -> None:
    videos = write_labelled(tmp_path, [Video(stalled=n % 2) for n in range(4)])
    path = tmp_path / "half.lmdb"
    with StoreWriter(path, identity={}, n_expected=9):
        pass
    with pytest.raises(StoreError, match=r"half\.lmdb: is incomplete, 0 of 9"):
        replace(videos, data=path).open(tmp_path, recipe_of(), 0)


# --- What validates ---------------------------------------------------------------------------


@pytest.mark.parametrize(("ratio", "flowing"), [("1", 15), ("2", 30), ("0.4", 6), ("null", 60)])
def test_validation_has_its_ratio(many: Videos, tmp_path: Path, ratio: str, flowing: int) -> None:
    """All stalled ones, and so many flowing ones to each."""
    recipe = recipe_of(f"validation.flowing_per_stalled={ratio}")
    data = many.open(tmp_path, recipe, 0)
    assert len(data.held_out) == len(data.names) == 75
    assert [key.number for key in data.held_out] == list(range(75))
    stalled = [key for key in data.held_out if key.label is Label.STALLED]
    assert len(stalled) == 15 and set(stalled) <= set(data.validation)
    assert len(data.validation) == 15 + flowing
    numbers = [key.number for key in data.validation]
    assert numbers == sorted(set(numbers)) and set(data.validation) <= set(data.held_out)
    assert many.open(tmp_path, recipe, 5).validation == data.validation  # whatever the run's seed
    for key in data.validation:
        sample = data.dataset[key]
        assert sample.label == key.label == MANY[number_of(sample)].stalled
        assert (sample.target, sample.weight) == (sample.label, 1)


@pytest.mark.parametrize("ratio", [4, 10])
def test_more_flowing_wanted_than_there_are(
    many: Videos, tmp_path: Path, caplog: pytest.LogCaptureFixture, ratio: int
) -> None:
    data = many.open(tmp_path, recipe_of(f"validation.flowing_per_stalled={ratio}"), 0)
    assert len(data.validation) == 75
    said = f"validation has 60 flowing videos, {ratio * 15} would be {ratio} for each stalled one"
    assert (said in caplog.text) == (ratio == 10)


# --- What is drawn ----------------------------------------------------------------------------


def test_samples_are_those_of_the_label_and_depend_on_the_key_alone(
    many: Videos, tmp_path: Path
) -> None:
    data = many.open(tmp_path, recipe_of(), 3)
    for key in BalancedSampler(3, 60, 0.5):
        sample = data.dataset[key]
        assert sample.label == key.label == MANY[number_of(sample)].stalled
        assert (sample.target, sample.weight, sample.number) == (sample.label, 1, key.number)
        assert number_of(data.dataset[key]) == number_of(sample)
    keys = [SampleKey(TRAIN_STREAM, 0, number, Label.FLOWING) for number in range(20)]
    other = many.open(tmp_path, recipe_of(), 4)
    assert [number_of(data.dataset[k]) for k in keys] != [number_of(other.dataset[k]) for k in keys]


def test_each_epoch_draws_anew(many: Videos, tmp_path: Path) -> None:
    """The flowing ones, of which an epoch shows a part, and the order of the stalled ones."""
    data = many.open(tmp_path, recipe_of(), 0)
    shown = {}
    for epoch in (0, 1):
        numbers = [number_of(sample) for sample in drawn(data, 40, epoch)]
        shown[epoch] = (
            [number for number in numbers if number >= 30],
            [number for number in numbers if number < 30],
        )
    for label in (0, 1):
        assert shown[0][label] != shown[1][label]
    assert len(set(shown[0][0]) & set(shown[1][0])) < len(set(shown[0][0]))
    everything = {number_of(s) for epoch in range(30) for s in drawn(data, 40, epoch)}
    assert everything == set(range(150)) - {int(name[1:4]) for name in data.names}


@pytest.mark.parametrize("label", Label)
def test_every_video_of_a_label_is_as_likely(many: Videos, tmp_path: Path, label: Label) -> None:
    data = many.open(tmp_path, recipe_of(), 0)
    n = 1500
    counts = Counter(
        number_of(data.dataset[SampleKey(TRAIN_STREAM, 0, i, label)]) for i in range(n)
    )
    p = 1 / len(counts)
    assert len(counts) == (15 if label else 60)
    assert max(counts.values()) < n * p + 5 * np.sqrt(n * p)
    assert min(counts.values()) > n * p - 5 * np.sqrt(n * p)


def test_without_a_share_the_data_s_own_is_natural(many: Videos, tmp_path: Path) -> None:
    assert many.open(tmp_path, recipe_of(), 0).natural_share == 0.2


def test_projects_first(tmp_path: Path) -> None:
    """Nine in ten videos are of project A; half of the samples are not."""
    videos = [
        Video(stalled=n % 2, project="B" if n % 20 < 2 else "A", crowd_score=0.5) for n in range(80)
    ]
    source = write_labelled(tmp_path, videos)
    n = 600
    for by_project, share in (("true", 0.5), ("false", 0.1)):
        data = source.open(tmp_path, recipe_of(f"sampler.by_project={by_project}"), 0)
        samples = drawn(data, n)
        found = np.mean([videos[number_of(sample)].project == "B" for sample in samples])
        assert found == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / n))
        assert all(sample.label == videos[number_of(sample)].stalled for sample in samples)


def test_a_project_without_stalled_videos_is_not_drawn_for_them(tmp_path: Path) -> None:
    videos = [Video(stalled=int(n < 8), project="A" if n < 20 else "B") for n in range(40)]
    source = write_labelled(tmp_path, videos)
    data = source.open(tmp_path, recipe_of("sampler.by_project=true"), 0)
    samples = drawn(data, 200)
    assert all(sample.label == videos[number_of(sample)].stalled for sample in samples)
    flowing = [videos[number_of(sample)].project for sample in samples if not sample.label]
    assert 0.3 < flowing.count("B") / len(flowing) < 0.7


def test_targets_and_weights_reach_the_sample(tmp_path: Path) -> None:
    """Soft ones in training; validation compares with the label."""
    videos = [
        Video(stalled=n % 2, project="A", crowd_score=0.8 if n % 2 else 0.3) for n in range(8)
    ]
    videos += [Video(stalled=n % 2, project="L") for n in range(8)]
    source = write_labelled(tmp_path, videos)
    data = source.open(tmp_path, recipe_of("data={target: crowd, reliability: true}"), 0)
    right = {entry.least: (entry.stalled + 0.5) / (entry.n + 1) for entry in STALLED_BY_SCORE}
    seen = set()
    for sample in drawn(data, 200):
        video = videos[number_of(sample)]
        seen.add((video.project, video.stalled))
        if video.project == "L":  # the crowd saw none of these
            assert (sample.target, sample.weight) == (video.stalled, 1)
            continue
        assert sample.target == video.crowd_score
        expected = right[0.75] if video.stalled else 1 - right[0.25]
        assert sample.weight == pytest.approx(expected)
    assert len(seen) == 4
    for key in data.held_out:
        sample = data.dataset[key]
        assert (sample.target, sample.weight) == (sample.label, 1)


def test_subsets_reach_the_set(many: Videos, tmp_path: Path) -> None:
    data = many.open(tmp_path, recipe_of("data.max_flowing=20"), 0)
    learnt = {number_of(sample) for sample in drawn(data, 1000)}
    held_out = {int(name[1:4]) for name in data.names}
    assert len(learnt | held_out) == 50 and set(range(30)) < learnt | held_out
    whole = many.open(tmp_path, recipe_of(), 0)
    assert held_out <= {int(name[1:4]) for name in whole.names}


def test_a_sample_is_the_augmented_roi(data: Path, tmp_path: Path) -> None:
    """Of real clips: mirrored in training, as it is in validation."""
    recipe = tiny("augmentation={preset: mirror3, resize: false}")
    opened = Videos(data=data, labels=data / "train_labels.csv").open(tmp_path / "r", recipe, 3)
    store = RoiStore(tmp_path / "r" / "rois.lmdb")
    plain = {}
    for name in store:
        volume = store[name].volume
        if volume is not None:
            plain[name] = preprocess(volume, recipe.must_input.preprocessing())
    mirrored = 0
    for sample in drawn(opened, 12):
        array = sample.input.numpy()  # type: ignore[union-attr]
        values = np.sort(array, None)
        names = [n for n, x in plain.items() if np.allclose(np.sort(x, None), values, atol=1e-4)]
        assert len(names) == 1 and int(names[0][1]) % 2 == sample.label
        mirrored += not np.allclose(plain[names[0]], array, atol=1e-4)
    assert mirrored >= 6
    for key in opened.held_out:
        assert key.stream == VALIDATION_STREAM
        found = opened.dataset[key].input
        np.testing.assert_array_equal(found, plain[opened.names[key.number]])


def test_workers_change_nothing(many: Videos, tmp_path: Path) -> None:
    """Each opens the store for itself."""
    data = many.open(tmp_path, recipe_of("augmentation={preset: heavy, resize: false}"), 0)
    keys = [*BalancedSampler(0, 6, 0.5), *data.validation[:3]]
    found = []
    with safe_to_fork():
        for workers in (0, 1, 2):
            batches = BatchesOfRank(keys, 2, 0, 1)
            loader = make_loader(data.dataset, batches, workers=workers, persistent=False)
            found.append(list(loader))
    for batches in found[1:]:
        for batch, expected in zip(batches, found[0], strict=True):
            for one, other in zip(batch[:-1], expected[:-1], strict=True):
                assert torch.equal(one, other)


# --- Whole frames and outlines ----------------------------------------------------------------


@pytest.mark.parametrize(("stored", "wanted"), [("outline", "full"), ("full", "outline")])
def test_a_store_of_the_other_region(tmp_path: Path, stored: str, wanted: str) -> None:
    videos = [Video(stalled=n % 2) for n in range(6)]
    source = write_labelled(tmp_path, videos, region=stored)
    with pytest.raises(OptionError) as caught:
        source.open(tmp_path, recipe_of(f"data.region={wanted}"), 0)
    expected = (
        *("rois.lmdb", f"extracted with --roi {stored}", f"data.region {wanted}"),
        *(f"anew with --roi {wanted}", "another recipe"),
    )
    for part in expected:
        assert part in str(caught.value)
    assert len(source.open(tmp_path, recipe_of(f"data.region={stored}"), 0).names) == 3


def test_what_decides_the_samples(many: Videos, tmp_path: Path) -> None:
    """Store, labels, metadata and fold; not where they lie or who reads them."""
    plain = many.identity()
    moved = tmp_path / "elsewhere.csv"
    moved.write_bytes(many.labels.read_bytes())
    assert replace(many, labels=moved, workers=7).identity() == plain
    assert many.of_fold(1).identity() != plain
    table = pd.read_csv(many.labels)
    table.iloc[1:].to_csv(moved, index=False)
    assert replace(many, labels=moved).identity() != plain
    assert replace(many, metadata=None).identity() != plain
    assert replace(many, metadata=many.labels).identity() != plain
