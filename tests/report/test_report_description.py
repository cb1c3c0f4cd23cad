"""What is in a data set: counted right, and never more than was looked at."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stallscan.data.extract import ExtractOptions, extract_to_store
from stallscan.errors import OptionError, TableError
from stallscan.report import DescribeOptions, Description, describe, description_figure
from stallscan.report.description_text import text_of, write_tables
from stallscan.roi import RoiOptions, find_roi
from stallscan.video import read_clip

REAL_DATA = os.environ.get("STALLSCAN_REAL_DATA")
OPTIONS = DescribeOptions()
Write = Callable[..., Path]


@pytest.fixture
def data(tmp_path: Path, write_drawn_clip: Write) -> Path:
    """Three train and two test videos of two sizes of outline, with tables."""
    folder = tmp_path / "ds"
    for split, numbers in (("train", (0, 1, 2)), ("test", (3, 4))):
        for number in numbers:
            write_drawn_clip(f"ds/{split}/v{number}.mp4", number, number != 4, 8 + number)
    (folder / "train_metadata.csv").write_text(
        "filename,url,project_id,num_frames,crowd_score,tier1,micro,nano\n"
        "v0.mp4,u,A,8,0.0,True,True,True\n"
        "v1.mp4,u,A,9,0.6,False,True,False\n"
        "v2.mp4,u,G,12,0.2,True,False,False\n"
    )
    (folder / "train_labels.csv").write_text("filename,stalled\nv0.mp4,0\nv1.mp4,1\nv2.mp4,1\n")
    (folder / "test_metadata.csv").write_text("filename,url,num_frames\nv3.mp4,u,11\nv4.mp4,u,12\n")
    return folder


def row(description: Description, table: str, name: str) -> dict[str, object]:
    return dict(description.tables[table].loc[name])


def test_tables_and_videos(data: Path) -> None:
    seen: list[tuple[int, int]] = []
    found = describe(data, OPTIONS, progress=lambda n, total: seen.append((n, total)))
    assert seen == [(n, 5) for n in range(1, 6)]
    assert row(found, "subsets", "train, micro") == {
        "videos": 2, "stalled": 1, "flowing": 1, "stalled_percent": 50.0,
    }  # fmt: skip
    assert row(found, "subsets", "train, nano")["videos"] == 1
    assert row(found, "subsets", "train, full")["stalled"] == 2
    assert row(found, "subsets", "train, tier1")["videos"] == 2
    assert row(found, "subsets", "test")["videos"] == 2
    assert found.tables["resolutions"].to_dict() == {"train": {"128×96": 3}, "test": {"128×96": 2}}
    assert row(found, "frames", "train")["max"] == 12 and row(found, "frames", "test")["min"] == 11
    assert row(found, "projects", "A")["label_differences"] == 0
    assert not any("undecidable" in note for note in found.notes)
    assert row(found, "projects", "G") == {
        "n": 1, "stalled": 1, "tier1": 1, "crowd_answers": 1, "label_differences": 1,
        "tier1_differences": 1,
    }  # fmt: skip
    sizes = []
    for number in range(3):
        roi = find_roi(read_clip(data / "train" / f"v{number}.mp4"))
        sizes.append(roi.box.size)
    np.testing.assert_array_equal(found.roi_sizes["train"], sizes)
    mean = np.mean(sizes, axis=0).round(1)
    for axis, value in zip("zyx", mean, strict=True):
        assert row(found, "roi_sizes", f"train, {axis}")["mean"] == value
    assert found.tables["outlines"].loc["missing"].to_dict() == {"train": 0, "test": 1}
    notes = "\n".join(found.notes)
    assert "subset paper: fewer than 50,000 flowing videos" in notes
    assert "label rule (stalled from a crowd score of 0.5): 0 rows differ outside" in notes
    assert "1 in them, which have expert labels" in notes
    assert "train: 1 of 3 videos have another number of frames than the metadata" in notes
    assert "(v2.mp4: 10, not 12)" in notes


def test_empty_labels_are_left_out_and_told(data: Path) -> None:
    for split, names in (("train", "012"), ("test", "34")):
        rows = [f"v{n}.mp4,{'' if n in '23' else int(n == '1')}\n" for n in names]
        (data / f"{split}_labels.csv").write_text("filename,stalled\n" + "".join(rows))
    found = describe(data, OPTIONS)
    assert row(found, "subsets", "train, full") == {
        "videos": 2, "stalled": 1, "flowing": 1, "stalled_percent": 50.0,
    }  # fmt: skip
    assert row(found, "subsets", "test")["flowing"] == 1
    assert row(found, "subsets", "test")["videos"] == 1
    for split, n in (("train", 3), ("test", 2)):
        assert any(f"{split}: 1 of {n} labels are empty (undecidable)" in x for x in found.notes)


def test_a_store_instead_of_the_videos(data: Path, tmp_path: Path) -> None:
    store = tmp_path / "r.lmdb"
    extract_to_store([data], store, ExtractOptions(), RoiOptions(), workers=1)
    one, other = describe(data, OPTIONS), describe(data, DescribeOptions(store=store))
    assert text_of(one) == text_of(other)
    alone = describe(store, OPTIONS)
    assert set(alone.tables) == {"resolutions", "frames", "roi_sizes", "outlines"}
    assert alone.tables["resolutions"].to_dict() == {"all": {"128×96": 5}}


def test_a_part_is_drawn_by_the_seed_and_said(data: Path) -> None:
    found = describe(data, DescribeOptions(max_videos=1))
    assert found.tables["resolutions"].to_numpy().sum() == 2
    assert any("1 of 3 videos, drawn with seed 0" in note for note in found.notes)
    others = (describe(data, DescribeOptions(max_videos=1, seed=seed)) for seed in range(1, 6))
    sizes = found.roi_sizes["train"]  # texts differ anyway: they name the seed
    assert any(not np.array_equal(other.roi_sizes["train"], sizes) for other in others)
    none = describe(data, DescribeOptions(max_videos=0))
    assert "resolutions" not in none.tables and "frames" in none.tables


def test_tables_alone(data: Path, tmp_path: Path) -> None:
    for name in ("train", "test"):
        for video in (data / name).iterdir():
            video.unlink()
        (data / name).rmdir()
    found = describe(data, OPTIONS)
    assert set(found.tables) == {"subsets", "frames", "projects"}
    paths = write_tables(found, tmp_path)
    assert [path.name for path in paths] == [
        *("subsets.csv", "frames.csv", "projects.csv", "describe.txt")
    ]
    again = pd.read_csv(tmp_path / "subsets.csv", index_col="set")
    assert again.loc["train, full", "stalled"] == 2
    description_figure(found).savefig(tmp_path / "d.png")


def test_videos_beside_the_tables_are_told_apart_by_them(data: Path) -> None:
    expected = text_of(describe(data, OPTIONS))
    for split in ("train", "test"):
        for path in (data / split).iterdir():
            path.rename(data / path.name)
        (data / split).rmdir()
    assert text_of(describe(data, OPTIONS)) == expected


def test_damaged_tables_are_told(data: Path) -> None:
    (data / "train_labels.csv").write_text("filename,stalled\nv0.mp4,0\n")
    with pytest.raises(TableError, match=r"train_labels\.csv: 2 of the 3 .* have no label"):
        describe(data, OPTIONS)


def test_no_workers(data: Path) -> None:
    with pytest.raises(OptionError, match="--workers is 0, allowed are 1 and above"):
        describe(data, OPTIONS, workers=0)


@pytest.mark.parametrize(("name", "value"), [("max_videos", -1), ("seed", -1)])
def test_options_that_cannot_be(name: str, value: int) -> None:
    with pytest.raises(OptionError, match=f"--{name.replace('_', '-')} is -1, allowed"):
        DescribeOptions(**{name: value})


@pytest.mark.skipif(not REAL_DATA, reason="STALLSCAN_REAL_DATA is not set")
def test_the_real_tables(tmp_path: Path) -> None:
    found = describe(Path(str(REAL_DATA)) / "clogloss", OPTIONS)
    micro = row(found, "subsets", "train, micro")
    assert (micro["videos"], micro["stalled"]) == (2399, 706)
    assert row(found, "subsets", "test")["videos"] == 14160
    assert row(found, "subsets", "train, paper")["videos"] == 51_887
    notes = "\n".join(found.notes)
    assert "0 rows differ outside the expert projects G, J, L, 1,179 in them" in notes
    assert "0 rows differ outside the expert projects G, J, L, 12,782 in them" in notes
    assert "project L: all 444 crowd scores are 0, which means no crowd answers" in notes
    frames = row(found, "frames", "train")
    assert (frames["min"], frames["median"], frames["max"]) == (17, 56, 434)
