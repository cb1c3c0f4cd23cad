"""Training on labelled videos: from a store, from a folder, by folds."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from stallscan.augment import Preprocessing, preprocess
from stallscan.data.extract import ExtractOptions, extract_to_store
from stallscan.data.store import RoiStore
from stallscan.errors import OutputConflictError, TableError, TrainingError
from stallscan.models import load_checkpoint
from stallscan.roi import RoiOptions
from stallscan.training import RECIPES, TrainOptions, Videos, train
from stallscan.training.samples import TRAIN_STREAM, BalancedSampler, SampleKey
from stallscan.training.store_data import StoreRois
from stallscan.types import Label

SMALL = Preprocessing(size=(4, 16, 16))
RECIPE = replace(RECIPES["smoke"], preprocessing=SMALL, augmentation="mirror3")
OPTIONS = TrainOptions(recipe="smoke", seed=1, max_epochs=1, workers=0, device="cpu", n_folds=2)
Write = Callable[..., Path]


@pytest.fixture
def data(tmp_path: Path, write_drawn_clip: Write) -> Path:
    """A data set of 8 videos, one of them without an outline."""
    rows = ["filename,stalled"]
    for number in range(8):
        write_drawn_clip(f"ds/train/v{number}.mp4", seed=number, outline=number != 7)
        rows.append(f"v{number}.mp4,{number % 2}")
    (tmp_path / "ds" / "train_labels.csv").write_text("\n".join(rows) + "\n")
    return tmp_path / "ds"


@pytest.fixture
def store_path(data: Path, tmp_path: Path) -> Path:
    path = tmp_path / "r.lmdb"
    extract_to_store([data / "train"], path, ExtractOptions(), RoiOptions(), workers=1)
    return path


def source(data: Path, labels: Path, **options: int) -> Videos:
    return Videos(data=data, labels=labels, n_folds=2, **options)  # type: ignore[arg-type]


def test_a_store_and_its_folder_train_the_same(
    data: Path, store_path: Path, tmp_path: Path
) -> None:
    labels = data / "train_labels.csv"
    seen: list[tuple[int, int]] = []
    videos = replace(source(data, labels), progress=lambda n, total: seen.append((n, total)))
    train(tmp_path / "a", OPTIONS, source=videos, progress=False)
    assert seen[-1] == (8, 8) and RoiStore(tmp_path / "a" / "rois.lmdb").is_complete
    train(tmp_path / "b", OPTIONS, source=source(store_path, labels), progress=False)
    (one, card), (other, _) = (load_checkpoint(tmp_path / name) for name in "ab")
    for name, weights in one.state_dict().items():
        assert torch.equal(weights, other.state_dict()[name])
    assert card.training["data"] == "8 labelled videos"
    assert (card.training["stalled"], card.training["without_roi"]) == (4, 1)
    assert card.training["fold"] == "0 of 2, stratified by label"
    assert card.metrics["validation"]["n"] + 1 in (4, 5)


def test_projects_are_spread_over_the_folds(
    data: Path, tmp_path: Path, write_drawn_clip: Write
) -> None:
    """Where the metadata tell them; and the store may hold videos without labels."""
    rows = ["filename,url,project_id,num_frames,crowd_score,tier1,micro,nano"]
    rows += [f"v{n}.mp4,u,{'AB'[n // 4]},8,0,True,True,True" for n in range(8)]
    (data / "train_metadata.csv").write_text("\n".join(rows) + "\n")
    opened = source(data, data / "train_labels.csv").open(tmp_path, RECIPES["smoke"], 0)
    assert opened.description["fold"] == "0 of 2, stratified by project and label"
    assert isinstance(opened.dataset, StoreRois)
    held_out = [int(name[1]) for name, _ in opened.dataset.validation]
    assert {n // 4 for n in held_out} == {0, 1}
    write_drawn_clip("ds/test/t0.mp4", seed=9)
    both = tmp_path / "both.lmdb"
    extract_to_store([data], both, ExtractOptions(), RoiOptions(), workers=1)
    again = source(both, data / "train_labels.csv").open(tmp_path, RECIPES["smoke"], 0)
    assert again.description["data"] == "8 labelled videos"


def test_other_labels_and_folds_are_another_run(
    data: Path, store_path: Path, tmp_path: Path
) -> None:
    labels = data / "train_labels.csv"
    train(tmp_path / "a", OPTIONS, source=source(store_path, labels), progress=False)
    record = json.loads((tmp_path / "a" / "run.json").read_text())
    assert record["options"]["fold"] == "0 of 2"
    with pytest.raises(OutputConflictError, match="fold was '0 of 2', now '1 of 2'"):
        train(tmp_path / "a", OPTIONS, source=source(store_path, labels, fold=1), progress=False)
    labels.write_text(labels.read_text().replace("v0.mp4,0", "v0.mp4,1"))
    with pytest.raises(OutputConflictError, match="labels was 'sha256"):
        train(tmp_path / "a", OPTIONS, source=source(store_path, labels), progress=False)


def test_folds_share_nothing_and_miss_nothing(data: Path, store_path: Path, tmp_path: Path) -> None:
    recipe = RECIPES["smoke"]
    seen: Counter[str] = Counter()
    for fold in (0, 1):
        opened = source(store_path, data / "train_labels.csv", fold=fold)
        dataset = opened.open(tmp_path, recipe, 0).dataset
        assert isinstance(dataset, StoreRois)
        held_out = {name for name, _ in dataset.validation}
        training = {name for names in dataset.names.values() for name in names}
        assert not held_out & training and held_out | training == {f"v{n}.mp4" for n in range(7)}
        for label in Label:
            assert all(int(name[1]) % 2 == label for name in dataset.names[label])
        seen.update(held_out)
    assert set(seen.values()) == {1} and len(seen) == 7


def test_a_label_without_video(data: Path, store_path: Path, tmp_path: Path) -> None:
    labels = data / "train_labels.csv"
    labels.write_text(labels.read_text() + "lost.mp4,1\n")
    with pytest.raises(TableError, match=r"train_labels\.csv: 1 of its 9 labelled .*lost\.mp4"):
        source(store_path, labels).open(tmp_path, RECIPES["smoke"], 0)


def test_undecidable_videos_are_left_out_and_told(
    data: Path, store_path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    labels = data / "train_labels.csv"
    labels.write_text(labels.read_text().replace("v2.mp4,0", "v2.mp4,"))
    opened = source(store_path, labels).open(tmp_path, RECIPES["smoke"], 0)
    assert "1 of 8 labels are empty (undecidable); their videos are left out" in caplog.text
    assert opened.description["data"] == "7 labelled videos"
    assert opened.description["undecidable"] == 1
    assert isinstance(opened.dataset, StoreRois)
    used = {name for names in opened.dataset.names.values() for name in names}
    used |= {name for name, _ in opened.dataset.validation}
    assert used == {f"v{n}.mp4" for n in (0, 1, 3, 4, 5, 6)}
    (data / "train_labels.csv").write_text(labels.read_text() + "lost.mp4,\n")
    with pytest.raises(TableError, match=r"1 of its 9 labelled .*lost\.mp4"):
        source(store_path, labels).open(tmp_path, RECIPES["smoke"], 0)


def test_a_fold_without_a_class(data: Path, tmp_path: Path, write_drawn_clip: Write) -> None:
    for number in (1, 3, 5):  # with v7 all that are stalled
        write_drawn_clip(f"ds/train/v{number}.mp4", seed=number, outline=False)
    with pytest.raises(TrainingError, match=r"no stalled video for .*4 of 8 videos have no ROI"):
        source(data, data / "train_labels.csv").open(tmp_path / "run", RECIPES["smoke"], 0)


def test_samples_are_those_of_the_label_and_depend_on_the_key_alone(store_path: Path) -> None:
    store = RoiStore(store_path)
    members = [(f"v{n}.mp4", Label(n % 2)) for n in range(6)]
    dataset = StoreRois(store, members, members[:2], 3, RECIPE)
    sampler = BalancedSampler(3, 40, 0.5)
    plain = {}
    for name, label in members:
        volume = store[name].volume
        assert volume is not None
        plain[name] = (np.sort(preprocess(volume, SMALL), None), label)
    drawn: Counter[str] = Counter()
    for key in sampler:
        array, label = dataset[key]
        again, _ = dataset[key]
        assert torch.equal(array, again) and label.item() == key.label
        values = np.sort(array.numpy(), None)
        names = [n for n, (known, _) in plain.items() if np.allclose(known, values, atol=1e-4)]
        assert len(names) == 1 and plain[names[0]][1] is key.label
        drawn.update(names)
    assert len(drawn) == 6
    other = StoreRois(store, members, members[:2], 4, RECIPE)
    keys = [SampleKey(TRAIN_STREAM, 0, n, Label.STALLED) for n in range(6)]
    assert not all(torch.equal(dataset[key][0], other[key][0]) for key in keys)
