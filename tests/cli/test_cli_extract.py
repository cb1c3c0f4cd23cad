"""``stallscan extract``, and what predict and train do with its store."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from stallscan.cli import main

Write = Callable[..., Path]


@pytest.fixture
def videos(tmp_path: Path, write_drawn_clip: Write) -> Path:
    for seed in range(3):
        write_drawn_clip(f"videos/v{seed}.mp4", seed)
    write_drawn_clip("videos/v3.mp4", outline=False)
    return tmp_path / "videos"


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_predict_takes_a_store_as_it_takes_the_folder(
    videos: Path, tmp_path: Path, tiny_model_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "r.lmdb"
    assert run("extract", videos, "--out", store, "--workers", 1) == 3
    said = capsys.readouterr().out
    assert "r.lmdb: 4 videos, 3 ok, 0 flagged, 1 failed;" in said
    assert "The column message of" in said and "r.lmdb.csv says why" in said
    for name, source in (("a.csv", videos), ("b.csv", store)):
        out = tmp_path / name
        assert run("predict", source, "--out", out, "--model", tiny_model_dir, "-q") == 3
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert run("predict", store, "--roi", "full", "--out", tmp_path / "c.csv", "-q") == 2
    assert "decided when it was made" in capsys.readouterr().err


def test_whole_frames_of_one_size(videos: Path, tmp_path: Path) -> None:
    store = tmp_path / "r.lmdb"
    arguments = (videos, "--out", store, "--roi", "full", "--size", "4,24,32", "--workers", 1, "-q")
    assert run("extract", *arguments) == 0
    table = pd.read_csv(tmp_path / "r.lmdb.csv")
    assert set(table["outline"]) == {"full"} and set(table["roi_x1"]) == {128}
    record = json.loads((tmp_path / "r.lmdb.run.json").read_text())
    assert record["options"]["roi"] == "full" and record["options"]["size"] == [4, 24, 32]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--size", "4,24"), "4,24"),
        (("--size", "4,24,x"), "4,24,x"),
        (("--outline-color", "0,255"), "0,255"),
    ],
)
def test_triples_that_are_none(
    videos: Path,
    tmp_path: Path,
    options: tuple[str, ...],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as caught:
        run("extract", videos, "--out", tmp_path / "r.lmdb", *options)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_train_needs_labels_and_says_so(
    videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("train", videos, "--out", tmp_path / "run", "--recipe", "smoke") == 2
    assert "has no train_labels.csv in it; pass --labels" in capsys.readouterr().err
    assert run("train", "nowhere", "--out", tmp_path / "run") == 2
    assert "nowhere: no such store or folder; give one, or 'phantom'" in capsys.readouterr().err
    assert run("train", "phantom", "--labels", "l.csv", "--out", tmp_path / "run") == 2
    assert "the phantom knows its own" in capsys.readouterr().err


def test_train_takes_a_store(videos: Path, tmp_path: Path) -> None:
    store, labels = tmp_path / "r.lmdb", tmp_path / "labels.csv"
    labels.write_text("filename,stalled\nv0.mp4,0\nv1.mp4,1\nv2.mp4,0\nv3.mp4,1\n")
    run("extract", videos, "--roi", "full", "--out", store, "--workers", 1, "-q")
    keys = ("data.region=full", "stop.max_epochs=1", "folds.n=2")
    options = ("--recipe", "smoke", "--set", *keys, "--workers", 2)
    out = tmp_path / "run"
    assert run("train", store, "--labels", labels, "--out", out, *options, "-q") == 0
    assert (out / "weights.safetensors").exists() and not (out / "rois.lmdb").exists()
