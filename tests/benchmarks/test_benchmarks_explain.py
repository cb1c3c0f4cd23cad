"""Explanations: the script runs, and its measures measure what they say."""

from __future__ import annotations

import dataclasses
import importlib
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from stallscan.simulate import Truth, phantom_clip
from stallscan.video.clip import Clip

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    """As from the command line; here, for to start takes longer than the little that is done."""
    monkeypatch.setattr(sys, "argv", ["explain.py", *map(str, arguments)])
    importlib.import_module("explain").main()


def test_localise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = ("--model", "fast", "--n", 1, "--workers", 0, "--preset", "clean")
    run(monkeypatch, "localise", *few, "--results", tmp_path)
    table = pd.read_csv(tmp_path / "explain-localise-cpu.csv").set_index("map")
    assert {"attention", "grad-cam", "occlusion", "random voxel", "centre of the box"} <= {
        *table.index
    }
    shares = table.drop(index="centre of the box")
    assert shares["energy in the vessel"].between(0, 1).all()
    assert table["energy in the vessel"]["grad-cam"] > table["energy in the vessel"]["random voxel"]
    assert table["peak in the vessel"].isin([0, 1]).all()


def test_physics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ("--model", "fast", "--n", 20, "--workers", 0, "--preset", "clean")
    run(monkeypatch, "physics", *few, "--results", tmp_path)
    table = pd.read_csv(tmp_path / "explain-physics-clean-cpu.csv").set_index("score")
    assert table["auc"]["persistence along the vessel"] > 0.8
    assert len(table) == 4 and "stalled: " in capsys.readouterr().out


def test_speed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the first frames of its video."""
    speed = importlib.import_module("explaining.speed")

    def short(*arguments: Any) -> tuple[Clip, Truth]:
        clip, truth = phantom_clip(*arguments)
        return dataclasses.replace(clip, array=clip.array[:4]), truth

    monkeypatch.setattr(speed, "phantom_clip", short)
    few = ("--model", "fast", "--rounds", 1, "--size", 32, 64, 64)
    run(monkeypatch, "speed", *few, "--results", tmp_path)
    table = pd.read_csv(tmp_path / "explain-speed-cpu.csv")
    assert len(table) == 7 and table["step"].iloc[-1] == "DenseNet121's attention at 32×64×64"
    assert table["seconds"].drop(5).gt(0).all()
