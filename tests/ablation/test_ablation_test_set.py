"""Vessels of the test: phantoms that no run has seen, and labelled videos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from labelled import Video, name_of, write_store
from stallscan.ablation.test_set import PhantomVessels, VideoVessels, ask
from stallscan.errors import OptionError
from stallscan.inference.predictor import load_predictor
from stallscan.roi.volume import Volume


def test_phantoms(tmp_path: Path) -> None:
    """Thirty in a hundred are stalled; a shelf gives what was rendered."""
    test = PhantomVessels(n=10, preset="clean", shelf_dir=tmp_path)
    assert list(test.labels.values()) == [1] * 3 + [0] * 7
    first = dict(_two(test))
    assert len(list(tmp_path.iterdir())) == 2
    for name, volume in _two(test):
        np.testing.assert_array_equal(volume.array, first[name].array)
    with pytest.raises(OptionError, match="--n-test is 9, allowed are 10 and above"):
        PhantomVessels(n=9)


def _two(test: PhantomVessels) -> list[tuple[str, Volume]]:
    volumes = test.volumes("outline")
    return [next(volumes) for _ in range(2)]


def test_a_store_and_its_labels(tmp_path: Path, tiny_model_dir: Path) -> None:
    """Without a ROI or a label a video is left out."""
    videos = {
        0: Video(stalled=0),
        1: Video(stalled=1),
        2: Video(stalled=1, failed=True),
        3: Video(stalled=None),
        4: Video(stalled=0),
    }
    store = write_store(tmp_path / "test.lmdb", videos)
    labels = tmp_path / "labels.csv"
    rows = [f"{name_of(n)},{'' if v.stalled is None else v.stalled}" for n, v in videos.items()]
    labels.write_text("\n".join(["filename,stalled", *rows]) + "\n")
    test = VideoVessels(data=store, table=labels, work_dir=tmp_path)
    done: list[tuple[int, int]] = []
    table = ask(load_predictor(tiny_model_dir, flips=1), test, progress=lambda *n: done.append(n))
    assert table["filename"].tolist() == [name_of(n) for n in (0, 1, 4)]
    assert table["label"].tolist() == [0, 1, 0]
    assert table["probability"].between(0, 1).all()
    assert done[-1] == (4, 4)
    other = VideoVessels(data=store, table=tmp_path / "other.csv", work_dir=tmp_path)
    (tmp_path / "other.csv").write_text(labels.read_text().replace(",1", ",0"))
    assert other.identity() != test.identity()
