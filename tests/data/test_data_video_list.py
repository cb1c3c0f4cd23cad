"""Tables that say where videos are."""

from __future__ import annotations

from pathlib import Path

import pytest

from stallscan.data.video_list import is_table, read_video_list
from stallscan.data.videos import find_videos, fingerprint
from stallscan.errors import OptionError, TableError


def table(folder: Path, *rows: str, name: str = "metadata.csv") -> Path:
    path = folder / name
    path.write_text("\n".join(["url,filename,more", *rows]) + "\n")
    return path


def test_urls_paths_and_what_is_relative_to_the_table(tmp_path: Path) -> None:
    path = table(
        tmp_path, "s3://b/k/1.mp4,1.mp4,", "/data/2.tif,2.tif,x", "train/3.mp4,3.mp4,", ",,",
        "file:///x/4.mp4,4.mp4,",
    )  # fmt: skip
    found = [
        "s3://b/k/1.mp4", Path("/data/2.tif"), tmp_path / "train" / "3.mp4", Path("/x/4.mp4"),
    ]  # fmt: skip
    assert read_video_list(path) == found == find_videos([path])
    assert fingerprint(found) != fingerprint(["s3://c/k/1.mp4", *found[1:]])
    (tmp_path / "5.mp4").write_bytes(b"x")
    assert find_videos([path, tmp_path / "5.mp4"]) == [*found, tmp_path / "5.mp4"]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("s3://b/2.mp4,1.mp4,", "url is 's3://b/2.mp4' in line 3, whose filename is '1.mp4'"),
        (",1.mp4,", "url is '' in line 3"),
        ("../1.mp4,1.mp4,", "line 3: '../1.mp4' leaves the folder of the table"),
        ("a/../../1.mp4,1.mp4,", "leaves the folder of the table"),
        ("https://b/1.mp4,1.mp4,", "line 3: https://b/1.mp4: is not a place that can be read"),
        ("x/0.mp4,0.mp4,", "0.mp4"),
    ],
)
def test_wrong_rows(tmp_path: Path, row: str, why: str) -> None:
    path = table(tmp_path, "0.mp4,0.mp4,", row)
    with pytest.raises(TableError, match=why) as caught:
        read_video_list(path)
    assert str(path) in str(caught.value)


def test_other_tables(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("filename,probability\n1.mp4,0.5\n")
    with pytest.raises(TableError, match="has no column 'url'"):
        find_videos([path])
    with pytest.raises(OptionError, match="--split is 'train', and this has no splits"):
        find_videos([table(tmp_path, "1.mp4,1.mp4,")], split="train")
    assert is_table(Path("a.CSV.gz")) and is_table("s3://b/a.csv") and not is_table(Path("a.mp4"))


def test_without_s3fs_nothing_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert find_videos([table(tmp_path, "/data/1.mp4,1.mp4,")])
    for place in (table(tmp_path, "s3://b/1.mp4,1.mp4,"), "s3://b/1.mp4", "s3://b/prefix"):
        with pytest.raises(OptionError, match=r"pip install 'stallscan\[s3\]'"):
            find_videos([place])
