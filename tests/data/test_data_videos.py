"""Which videos are meant by files and folders."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from stallscan.data.videos import find_videos, fingerprint
from stallscan.errors import OptionError


def touch(folder: Path, *names: str) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / name for name in names]
    for path in paths:
        path.write_bytes(b"x")
    return paths


def test_files_as_given_and_folders_sorted(tmp_path: Path) -> None:
    touch(tmp_path / "f", "b.MP4", "a.tif", ".hidden.mp4", "notes.txt")
    (last,) = touch(tmp_path, "z.gif")
    found = find_videos([last, tmp_path / "f", tmp_path / "missing.mp4"])
    assert [path.name for path in found] == ["z.gif", "a.tif", "b.MP4", "missing.mp4"]


def test_a_folder_of_frames_is_a_video(tmp_path: Path) -> None:
    touch(tmp_path / "f", "a.mp4")
    (tmp_path / "f" / "stack").mkdir()
    for z in range(3):
        cv2.imwrite(str(tmp_path / "f" / "stack" / f"{z}.png"), np.zeros((4, 4), np.uint8))
    assert [path.name for path in find_videos([tmp_path / "f"])] == ["a.mp4", "stack"]
    assert find_videos([tmp_path / "f" / "stack"]) == [tmp_path / "f" / "stack"]


def test_a_data_set_is_train_and_test(tmp_path: Path) -> None:
    touch(tmp_path / "ds" / "train", "2.mp4", "1.mp4")
    touch(tmp_path / "ds" / "test", "0.mp4")
    touch(tmp_path / "ds", "train_labels.csv")
    assert [path.name for path in find_videos([tmp_path / "ds"])] == ["1.mp4", "2.mp4", "0.mp4"]


def test_a_picture_beside_stacks_is_no_stack(tmp_path: Path) -> None:
    for name in ("preview.png", "s1/0.png", "s1/1.png", "s2/0.png", "plots/a.png"):
        (tmp_path / "f" / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / "f" / name), np.zeros((4, 4), np.uint8))
    touch(tmp_path / "f" / "plots", "run.json")  # a folder that stallscan wrote
    assert [path.name for path in find_videos([tmp_path / "f"])] == ["s1", "s2"]


def test_train_and_test_come_before_what_lies_beside(tmp_path: Path) -> None:
    touch(tmp_path / "ds" / "train", "1.mp4")
    touch(tmp_path / "ds", "preview.mp4")
    assert [path.name for path in find_videos([tmp_path / "ds"])] == ["1.mp4"]


def test_here_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stack").mkdir()
    cv2.imwrite(str(tmp_path / "stack" / "0.png"), np.zeros((4, 4), np.uint8))
    monkeypatch.chdir(tmp_path / "stack")
    assert find_videos([Path()]) == [tmp_path / "stack"]


@pytest.mark.parametrize("name", ["a\nb.mp4", " a.mp4", "a\u2028.mp4", "\udcff.npy"])
def test_names_that_tables_cannot_hold(tmp_path: Path, name: str) -> None:
    touch(tmp_path / "f", name)
    with pytest.raises(OptionError, match=r"f/.*its name has characters .* rename it"):
        find_videos([tmp_path / "f"])


def test_a_link_to_nowhere_is_left_to_the_reader(tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "a.mp4").symlink_to("nowhere")
    assert fingerprint(find_videos([tmp_path / "f"]))


def test_what_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(OptionError, match=r"empty: holds no videos among 0 entries .*\.mp4.*name"):
        find_videos([tmp_path / "empty"])
    with pytest.raises(OptionError, match="no videos given; name files"):
        find_videos([])
    touch(tmp_path / "a", "1.mp4")
    touch(tmp_path / "b", "1.mp4")
    with pytest.raises(OptionError, match=r"b/1\.mp4: has the same base name as .*a/1\.mp4.*two"):
        find_videos([tmp_path / "a", tmp_path / "b"])


def test_the_fingerprint_is_of_names_and_sizes(tmp_path: Path) -> None:
    here, there = touch(tmp_path / "a", "1.mp4", "2.mp4"), touch(tmp_path / "b", "1.mp4", "2.mp4")
    first = fingerprint(here)
    assert fingerprint(there) == first and fingerprint(here[:1]) != first
    there[1].write_bytes(b"xy")
    assert fingerprint(there) != first


@pytest.mark.parametrize(("name", "changed"), [("a.npy", True), ("a.tif", True), ("a.mp4", False)])
def test_where_other_pixels_have_the_same_size_the_time_counts(
    tmp_path: Path, name: str, changed: bool
) -> None:
    paths = touch(tmp_path, name)
    first = fingerprint(paths)
    os.utime(paths[0], (1, 1))
    assert (fingerprint(paths) != first) is changed
