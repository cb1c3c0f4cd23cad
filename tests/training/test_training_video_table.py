"""Which labelled videos a run learns from: folds, subsets, targets, weights."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from labelled import METADATA, Video, name_of, write_store, write_tables
from stallscan.data.folds import assign_folds
from stallscan.data.reliability import label_reliability
from stallscan.data.store import RoiStore
from stallscan.errors import OptionError, TableError
from stallscan.training import Recipe, load_recipe
from stallscan.training.video_table import read_video_table


def recipe_of(*overrides: str) -> Recipe:
    recipe = load_recipe("smoke", ["folds.n=3", *overrides])
    assert isinstance(recipe, Recipe)
    return recipe


VIDEOS = {
    number: Video(
        stalled=int(number % 3 == 0),
        project="ABGL"[number % 4],
        crowd_score=0.0 if number % 4 == 3 else (0.8 if number % 3 == 0 else 0.1),
        tier1=number % 5 != 0,
        micro=number % 2 == 0,
        nano=number % 6 == 0,
    )
    for number in range(48)
}


class Written:
    """Tables and a store in a folder, and what `read_video_table` makes of them."""

    def __init__(self, folder: Path, videos: Mapping[int, Video] = VIDEOS) -> None:
        self.labels, self.metadata = write_tables(folder, videos)
        self.store_path = write_store(folder / "rois.lmdb", videos)

    def read(self, *overrides: str, metadata: bool = True) -> pd.DataFrame:
        return self.read_with_words(*overrides, metadata=metadata)[0]

    def read_with_words(self, *overrides: str, metadata: bool = True) -> tuple[pd.DataFrame, str]:
        path = self.metadata if metadata else None
        store = RoiStore(self.store_path)
        return read_video_table(self.labels, path, store, recipe_of(*overrides))

    def numbers(self, *overrides: str) -> set[int]:
        return {int(name[1:4]) for name in self.read(*overrides)["filename"]}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return Written(tmp_path_factory.mktemp("tables"))


def test_all_labelled_videos_in_the_order_of_the_store(written: Written) -> None:
    table = written.read()
    assert table["filename"].tolist() == [name_of(number) for number in sorted(VIDEOS)]
    assert table["stalled"].tolist() == [VIDEOS[number].stalled for number in sorted(VIDEOS)]
    assert (table["target"] == table["stalled"]).all() and table["target"].dtype == np.float64
    assert (table["weight"] == 1).all()
    assert table["project_id"].tolist() == [VIDEOS[number].project for number in sorted(VIDEOS)]


def test_metadata_is_not_needed_for_labels_alone(written: Written) -> None:
    table, by = written.read_with_words(metadata=False)
    assert len(table) == len(VIDEOS) and "project_id" not in table
    assert by == "stratified by label"


# --- Folds ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("stratified", "stratified by project and label"),
        ("project", "whole projects"),
        ("plain", "plain"),
    ],
)
def test_folds_are_dealt_as_the_recipe_says(written: Written, kind: str, words: str) -> None:
    table, by = written.read_with_words(f"folds.by={kind}", "folds.seed=7")
    assert by == words
    expected = assign_folds(table, n_folds=3, seed=7, by=kind)
    assert table["fold"].tolist() == expected.tolist()
    assert set(table["fold"]) == {0, 1, 2}
    projects = table.groupby("project_id", observed=True)["fold"].nunique()
    assert (projects == 1).all() if kind == "project" else (projects == 3).any()


def test_another_seed_deals_anew(written: Written) -> None:
    folds = [written.read(f"folds.seed={seed}")["fold"].tolist() for seed in (1, 1, 2)]
    assert folds[0] == folds[1] != folds[2]


@pytest.mark.parametrize(
    "subset",
    ["data.subset=micro", "data.subset=nano", "data.tier1=true", "data.max_flowing=5"],
)
@pytest.mark.parametrize("kind", ["stratified", "plain"])
def test_a_video_s_fold_does_not_depend_on_the_subset(
    written: Written, subset: str, kind: str
) -> None:
    """A later stage on a subset holds out nothing that an earlier one has learnt."""
    whole = written.read(f"folds.by={kind}").set_index("filename")["fold"]
    part = written.read(f"folds.by={kind}", subset).set_index("filename")["fold"]
    assert 0 < len(part) < len(whole)
    pd.testing.assert_series_equal(part, whole[part.index])


def test_too_few_videos_for_the_folds(written: Written) -> None:
    with pytest.raises(OptionError) as caught:
        written.read("folds.n=17")
    for part in (str(written.labels), "17 folds", "16 of its 48", "fewer folds"):
        assert part in str(caught.value)
    with pytest.raises(OptionError, match=r"5 folds by project .*has 4 \(.*fewer folds"):
        written.read("folds={n: 5, by: project}")


# --- Subsets ----------------------------------------------------------------------------------


def numbers_where(wanted: str) -> set[int]:
    return {number for number, video in VIDEOS.items() if getattr(video, wanted)}


def test_subsets(written: Written) -> None:
    assert written.numbers("data.subset=full") == set(VIDEOS)
    assert written.numbers("data.subset=micro") == numbers_where("micro")
    assert written.numbers("data.subset=nano") == numbers_where("nano")
    assert written.numbers("data.tier1=true") == numbers_where("tier1")
    both = written.numbers("data.tier1=true", "data.subset=micro")
    assert both == numbers_where("tier1") & numbers_where("micro")


def test_of_the_flowing_at_most_so_many(written: Written) -> None:
    stalled = {number for number, video in VIDEOS.items() if video.stalled}
    drawn = written.numbers("data.max_flowing=10")
    assert stalled < drawn and len(drawn - stalled) == 10
    assert written.numbers("data.max_flowing=10") == drawn
    assert written.numbers("data.max_flowing=10", "folds.seed=1") != drawn
    assert written.numbers("data.max_flowing=32") == set(VIDEOS)
    of_tier1 = written.numbers("data.max_flowing=10", "data.tier1=true")
    assert of_tier1 <= numbers_where("tier1") and len(of_tier1 - stalled) == 10


def test_a_subset_of_nothing(tmp_path: Path) -> None:
    written = Written(tmp_path, {n: replace(video, nano=False) for n, video in VIDEOS.items()})
    with pytest.raises(TableError, match=r"none of its 48 videos is marked nano"):
        written.read("data.subset=nano")


# --- Targets and weights ----------------------------------------------------------------------


def test_the_crowd_s_score_is_the_target_where_no_expert_looked(tmp_path: Path) -> None:
    videos = {
        0: Video(stalled=1, project="A", crowd_score=0.8),
        1: Video(stalled=0, project="A", crowd_score=0.3),
        2: Video(stalled=0, project="G", crowd_score=0.8),  # an expert said no
        3: Video(stalled=0, project="G", crowd_score=0.3, tier1=False),  # none looked
        4: Video(stalled=1, project="L", crowd_score=0.0),  # no crowd: an expert's yes
        5: Video(stalled=0, project="L", crowd_score=0.0),
        **{number: Video(stalled=number % 2, project="A") for number in range(6, 12)},
    }
    table = Written(tmp_path, videos).read("data.target=crowd", "folds.n=2")
    assert table["target"].tolist()[:6] == [0.8, 0.3, 0.0, 0.3, 1.0, 0.0]
    assert table["stalled"].tolist()[:6] == [1, 0, 0, 0, 1, 0]
    assert (table["weight"] == 1).all()


def test_labels_weigh_what_they_are_worth(written: Written) -> None:
    table = written.read("data.reliability=true")
    expected = label_reliability(written.read())
    np.testing.assert_array_equal(table["weight"], expected)
    weights = table.set_index("filename")["weight"]
    assert weights[name_of(3)] == 1  # project L: no crowd, so an expert
    # Stalled by a crowd of 0.8: 75 of 147 were.
    assert weights[name_of(0)] == pytest.approx(75.5 / 148)
    assert (table["target"] == table["stalled"]).all()


NEEDING = {
    "data.subset=micro": "data.subset",
    "data.tier1=true": "data.tier1",
    "data.target=crowd": "data.target",
    "data.reliability=true": "data.reliability",
    "sampler.by_project=true": "sampler.by_project",
    "folds.by=project": "folds.by",
}


@pytest.mark.parametrize("override", NEEDING)
def test_what_only_metadata_tell(written: Written, override: str) -> None:
    written.read(override)
    with pytest.raises(OptionError) as caught:
        written.read(override, metadata=False)
    expected = (NEEDING[override], "recipe smoke", "pass --metadata FILE", "train_metadata.csv")
    for part in expected:
        assert part in str(caught.value)
    with pytest.raises(OptionError, match=r"data\.tier1, sampler\.by_project need"):
        written.read("sampler.by_project=true", "data.tier1=true", metadata=False)


# --- Tables that do not match -----------------------------------------------------------------


def append(path: Path, line: str) -> None:
    path.write_text(path.read_text() + line + "\n")


def test_a_label_without_a_video(tmp_path: Path) -> None:
    written = Written(tmp_path)
    append(written.labels, "lost.mp4,1")
    with pytest.raises(TableError) as caught:
        written.read(metadata=False)
    for part in (str(written.labels), "1 of its 49 labelled", "lost.mp4", "names must be equal"):
        assert part in str(caught.value)


def test_a_video_outside_the_subset_may_be_missing(tmp_path: Path) -> None:
    """Who works on the micro subset has not got the rest."""
    written = Written(tmp_path)
    append(written.labels, "lost.mp4,1")
    append(written.metadata, "lost.mp4,u,A,4,0.9,True,False,False")
    assert len(written.read("data.subset=micro")) == 24
    with pytest.raises(TableError, match=r"lost\.mp4"):
        written.read("data.tier1=true")


def test_a_video_without_a_label_is_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    written = Written(tmp_path)
    lines = written.labels.read_text().splitlines()
    written.labels.write_text("\n".join(lines[:-2]) + "\n")
    with caplog.at_level(logging.INFO):
        assert len(written.read()) == len(VIDEOS) - 2
    assert "2 videos are not labelled, or not of the subset" in caplog.text


def test_a_label_without_metadata(tmp_path: Path) -> None:
    written = Written(tmp_path)
    lines = written.metadata.read_text().splitlines()
    written.metadata.write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(TableError) as caught:
        written.read()
    expected = (str(written.metadata), "no row for the labelled video v047.mp4", "add it")
    for part in expected:
        assert part in str(caught.value)


def test_metadata_of_the_test_set(tmp_path: Path) -> None:
    """It has no projects, so that nothing of it can be used."""
    written = Written(tmp_path)
    rows = [f"{name_of(number)},u,4" for number in VIDEOS]
    written.metadata.write_text("\n".join(["filename,url,num_frames", *rows]) + "\n")
    with pytest.raises(TableError, match=r"train_metadata\.csv.*project_id"):
        written.read("data.tier1=true")


def test_undecidable_videos_are_left_out_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    unsure = {number: replace(VIDEOS[number], stalled=None) for number in (1, 7)}
    written = Written(tmp_path, VIDEOS | unsure)
    assert written.numbers() == set(VIDEOS) - {1, 7}
    said = f"{written.labels}: 2 of 48 labels are empty (undecidable); their videos are left out"
    assert said in caplog.text


def test_nothing_but_undecidable_videos(tmp_path: Path) -> None:
    videos = {number: replace(video, stalled=None) for number, video in VIDEOS.items()}
    with pytest.raises(TableError, match="nothing is labelled"):
        Written(tmp_path, videos).read()


def test_the_columns_of_the_metadata() -> None:
    """As the competition has them; the helper of these tests writes no others."""
    from stallscan.data.tables import METADATA_COLUMNS

    assert METADATA.split(",") == list(METADATA_COLUMNS)
