"""A folder of explanations, from the command line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from stallscan.cli import main
from stallscan.errors import OptionError
from stallscan.explain.localise import energy_inside, heat_mask, overlap, peak
from stallscan.explain.options import ExplainOptions
from stallscan.explain.run import COLUMNS
from stallscan.video import read_clip


def explain(*arguments: object) -> int:
    return main(["-q", "explain", *map(str, arguments)])


@pytest.fixture
def videos(write_drawn_clip: Callable[..., Path]) -> Path:
    folder = write_drawn_clip("videos/a.mp4", seed=1).parent
    write_drawn_clip("videos/b.mp4", seed=2, outline=False)
    return folder


def test_pictures_videos_and_numbers(
    videos: Path, tiny_model_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, labels = tmp_path / "why", tmp_path / "labels.csv"
    labels.write_text("filename,stalled\na.mp4,1\nb.mp4,0\n")
    code = explain(
        *(videos, "--out", out, "--model", tiny_model_dir, "--labels", labels, "--reel"),
    )
    assert code == 3  # b has no outline
    table = pd.read_csv(out / "explained.csv")
    assert table.columns.tolist() == list(COLUMNS)
    assert table["filename"].tolist() == ["a.mp4", "b.mp4"]
    assert table["status"].tolist()[1] == "failed" and "outline" in table["message"][1]
    record = json.loads((out / "a.json").read_text())
    assert record["probability"] == pytest.approx(table["probability"][0])
    assert record["truth"] == 1 and record["map"] == "grad-cam"
    depth = len(read_clip(videos / "a.mp4").array)
    assert np.shape(record["kymograph"])[0] == depth
    assert len(record["course_px"]) == np.shape(record["kymograph"])[1]
    film = read_clip(out / "a.mp4").array
    assert film.shape == (depth, 1080, 1920, 3)
    assert len(read_clip(out / "reel.mp4").array) == depth
    with Image.open(out / "a.gif") as gif:
        assert gif.n_frames == depth
    with Image.open(out / "a.png") as picture:
        assert picture.width > 1000 and np.asarray(picture).std() > 20
    assert not (out / "b.png").exists() and not list(out.glob(".*.p*"))

    before = (out / "a.json").stat().st_mtime_ns
    assert (
        explain(
            *(videos, "--out", out, "--model", tiny_model_dir, "--labels", labels, "--reel"),
        )
        == 3
    )
    assert (out / "a.json").stat().st_mtime_ns == before  # complete: nothing was done
    assert explain(videos, "--out", out, "--model", tiny_model_dir) == 2
    assert "was started with other options" in capsys.readouterr().err


def test_a_run_that_was_stopped_goes_on(videos: Path, tiny_model_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "why"
    asked = (videos, "--out", out, "--model", tiny_model_dir, "--picture-alone")
    assert explain(*asked) == 3
    record = json.loads((out / "run.json").read_text())
    (out / "run.json").write_text(json.dumps(record | {"state": "partial"}))
    kept = (out / "a.json").stat().st_mtime_ns
    (out / "b.json").unlink()
    assert explain(*asked) == 3
    assert (out / "a.json").stat().st_mtime_ns == kept and (out / "b.json").exists()
    assert not list(out.glob("*.mp4"))


@pytest.mark.parametrize("map_", ["attention", "occlusion"])
def test_other_maps(map_: str, videos: Path, tiny_model_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "why"
    asked = (videos / "a.mp4", "--out", out, "--model", tiny_model_dir)
    assert explain(*asked, "--map", map_, "--picture-alone", "--size", 32, 64, 64) == 0
    record = json.loads((out / "a.json").read_text())
    assert record["map"] == map_ and record["speaks_for"] == (
        None if map_ == "attention" else ("stalled" if record["stalled"] else "flowing")
    )


def test_two_files_of_one_stem(videos: Path, tiny_model_dir: Path, tmp_path: Path) -> None:
    shutil.copy(videos / "a.mp4", videos / "a.mov")
    assert explain(videos, "--out", tmp_path / "why", "--model", tiny_model_dir) == 2


def test_what_is_refused(
    videos: Path, tiny_model_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = (videos / "a.mp4", "--out", tmp_path / "why", "--model", tiny_model_dir)
    refused = {
        ("--roi", "full"): "what is explained is the outlined vessel",
        ("--reel", "--picture-alone"): "drop one",
    }
    for arguments, message in refused.items():
        assert explain(*asked, *arguments) == 2
        assert message in capsys.readouterr().err
    assert explain(*asked, "--layer", "layer9", "--picture-alone") == 3
    table = pd.read_csv(tmp_path / "why" / "explained.csv")
    assert "resnet18 has the levels" in table["message"][0]


def test_too_large_a_map_names_a_size_that_fits(
    videos: Path, tiny_model_dir: Path, tmp_path: Path
) -> None:
    asked = (videos / "a.mp4", "--out", tmp_path / "why", "--model", tiny_model_dir)
    assert explain(*asked, "--picture-alone", "--size", 3200, 4000, 4000) == 3
    message = pd.read_csv(tmp_path / "why" / "explained.csv")["message"][0]
    assert "of memory, available are" in message and "size" in message


def test_options_that_make_no_sense() -> None:
    with pytest.raises(OptionError, match="has no choice of layers"):
        ExplainOptions(map="occlusion", layer="layer1")
    with pytest.raises(OptionError, match="allowed are three positive extents"):
        ExplainOptions(size=(0, 64, 64))


def test_localisation() -> None:
    heat = np.zeros((4, 5, 6), np.float32)
    heat[1, 2, 3], heat[2, 2, 3], heat[0, 0, 0] = 4, 2, 1
    assert peak(heat) == (1, 2, 3)
    assert heat_mask(heat).sum() == 2 and heat_mask(heat, 0.2).sum() == 3
    truth = np.zeros(heat.shape, bool)
    truth[1:3, 2, 3] = True
    assert energy_inside(heat, truth) == pytest.approx(6 / 7)
    assert overlap(heat_mask(heat), truth) == 1
    nothing = np.zeros_like(heat)
    assert not heat_mask(nothing).any() and energy_inside(nothing, truth) == 0
    assert overlap(truth & False, truth & False) == 0
    with pytest.raises(OptionError, match="share is 0"):
        heat_mask(heat, 0)
