"""The benchmark of inference runs without its peers, and measures what it says."""

from __future__ import annotations

import csv
import importlib
import shutil
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stallscan.models.ensemble import EnsembleCard, Member, write_ensemble

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SCRIPT = BENCHMARKS / "inference.py"


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], types.ModuleType]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return lambda name: importlib.import_module(f"predicting.{name}")


Run = Callable[..., str]


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


# The script


def test_networks_alone(run_script: Run, tmp_path: Path) -> None:
    once = ("--rounds", 1, "--results", tmp_path)
    labels = ("--contenders", "eager", "monai", "eager, one at a time", "openvino")
    size = ("--networks", "resnet18", "--size", "32", "32", "32", "--matmul", "64", "--calls", "1")
    less = ("--members", "1", "--flips", "2", "--threads", "1")
    peers = ("--peers-python", str(tmp_path / "no-python"))
    what = ("--what", "forward", "protocol")
    printed = run_script("inference.py", *once, *what, *labels, *size, *less, *peers)
    assert printed.count("left out:") == printed.count("left out: resnet18 of monai (") == 1

    eager, openvino, peak = read(tmp_path / "inference-forward-cpu.csv")
    assert eager["contender"] == "eager" and openvino["contender"] == "openvino"
    assert float(eager["speed_over_eager"]) == 1 and eager["time_over_auto"] == ""
    ratio = float(eager["ms"]) / float(openvino["ms"])
    assert float(openvino["speed_over_eager"]) == pytest.approx(ratio, rel=0.01)
    assert eager["GMACs"] == openvino["GMACs"] and float(peak["GFLOP_per_s"]) > 0
    assert eager["parameters"] == openvino["parameters"] == "33204417"
    assert eager["threads"] == "1" and "openvino 20" in eager["versions"]

    peer, ours = read(tmp_path / "inference-protocol-cpu.csv")
    assert peer["note"] == "the peer" and peer["speed_over_peer"] == "1"
    assert peer["protocol"] == "1 networks x 2 flips"
    assert float(ours["probability"]) == pytest.approx(float(peer["probability"]), abs=1e-3)
    assert float(ours["GMACs"]) == pytest.approx(2 * float(eager["GMACs"]), rel=1e-3)


def test_videos(run_script: Run, write_drawn_clip: Callable[..., Path], tmp_path: Path) -> None:
    once = ("--rounds", 1, "--results", tmp_path)
    clips = [write_drawn_clip(f"work/given/v{index}.mp4") for index in range(2)]
    folder = clips[0].parent
    few = ("--given", str(folder), "--work", str(tmp_path), "--workers", "1", "--counts", "3")
    run_script("inference.py", *once, "--what", "video", "memory", *few)
    rows = read(tmp_path / "inference-video-cpu.csv")
    assert [row["what"] for row in rows] == [
        "decoding alone",
        "decoding to RGB",
        "outline, crop, resize",
        "predict_all",
        "stallscan predict",
    ]
    assert rows[0]["time_over_decoding"] == "1"
    assert [row["GMACs"] for row in rows] == ["", "", "", "2.139", "2.139"]
    assert float(rows[4]["ms_per_video"]) > float(rows[0]["ms_per_video"])
    (three,) = read(tmp_path / "inference-memory-cpu.csv")
    assert (three["videos"], three["ratio_to_fewest"]) == ("3", "1")
    assert 100 < float(three["MiB"]) < 4000


# Its parts


def test_nobody_is_always_first(part: Callable[[str], types.ModuleType]) -> None:
    in_turn = part("_turns").in_turn
    assert [in_turn("abc", turn) for turn in range(4)] == [
        ["a", "b", "c"],
        ["b", "c", "a"],
        ["c", "a", "b"],
        ["a", "b", "c"],
    ]
    assert in_turn([], 3) == []


def test_the_peak_uses_the_threads_it_is_given(
    part: Callable[[str], types.ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = part("_turns")
    took = {8: 4.0, 16: 2.0}
    given: list[int] = []
    monkeypatch.setattr(turns.torch, "set_num_threads", given.append)
    monkeypatch.setattr(turns.torch, "get_num_threads", lambda: 7)
    monkeypatch.setattr(turns, "seconds", lambda run: took[len(run())])
    assert turns.matmul_peak([8, 16], 3) == 2 * 16**3 / 2.0
    assert given == [3, 7]


class Process:
    name, licence = "library 1.0", "MIT"


def test_ratios_and_shares_are_medians_of_the_rounds(
    part: Callable[[str], types.ModuleType],
) -> None:
    forward = part("forward")
    facts: dict[str, Any] = {"macs": 10**9, "parameters": 7, "note": "n"}

    def ready(label: str, ms: list[float]) -> Any:
        return forward.Ready(label=label, process=Process(), facts=facts, ms=ms)

    # The machine was three times slower in the second round, for all.
    three = [
        ready("eager", [20.0, 60.0, 21.0]),
        ready("auto", [10.0, 30.0, 10.5]),
        ready("monai", [40.0, 120.0, 42.0]),
    ]
    eager, auto, monai = forward.table(three, [4e11, 4e11 / 3, 4e11 / 1.05], 1)
    assert [row["speed_over_eager"] for row in (eager, auto, monai)] == [1.0, 2.0, 0.5]
    assert [row["time_over_auto"] for row in (eager, auto, monai)] == [2.0, 1.0, 4.0]
    assert auto["share_of_peak"] == pytest.approx(0.5)  # 2e9 in 10 ms of 4e11 a second
    assert auto["volumes_per_s"] == pytest.approx(1 / 0.0105) and auto["spread"] == 20.0
    (alone,) = forward.table(three[2:], [1.0, 1.0, 1.0], 1)
    assert alone["speed_over_eager"] is alone["time_over_auto"] is None


def test_the_faster_loop_is_the_peer(part: Callable[[str], types.ModuleType]) -> None:
    protocol = part("protocol")
    times = {
        "eager, one at a time": [12.0, 24.0, 12.0],
        "eager, batch of flips": [15.0, 30.0, 15.0],
        "openvino": [6.0, 12.0, 6.0],
        "int8": [3.0, 6.0, 3.0],
    }
    answers = dict.fromkeys(times, 0.5) | {"int8": 0.6}  # int8 may be off
    rows = protocol.table(times, answers, [1e12] * 3, 3 * 10**12)
    assert [row["speed_over_peer"] for row in rows] == [1.0, 0.8, 2.0, 4.0]
    assert [row["note"] for row in rows] == ["the peer", "", "", ""]
    assert rows[2]["share_of_peak"] == 1.0 and rows[2]["h_of_test_set"] == 14160 * 6 / 3600
    with pytest.raises(RuntimeError, match="not the same networks"):
        protocol.table(times, answers | {"openvino": 0.6}, [1e12] * 3, 1)


def test_the_clock_runs_while_all_are_busy(
    part: Callable[[str], types.ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    video = part("video")
    seen: list[Path] = []

    def way(paths: list[Path]) -> Iterator[Path]:
        for path in paths:
            seen.append(path)
            yield path

    clock = types.SimpleNamespace(perf_counter=lambda: float(len(seen)))
    monkeypatch.setattr(video, "time", clock)
    paths = [Path(f"{index}") for index in range(5)]
    assert video.steady(way, paths, workers=2) == 5  # a video takes a second
    assert (
        len(seen) == 12 + 5 and sorted(seen[12:]) == paths
    )  # each once; the end is not waited for


def test_memory_of_all_processes(part: Callable[[str], types.ModuleType]) -> None:
    memory = part("memory")
    child = "import time; held = b'x' * (64 << 20); time.sleep(0.5)"
    parent = "import subprocess, sys; held = b'x' * (64 << 20); "
    parent += f"subprocess.run([sys.executable, '-c', {child!r}])"
    mib = memory.peak_mib([sys.executable, "-c", parent])
    assert 128 < mib < 200
    with pytest.raises(RuntimeError, match=r"exit code 1\n[^$]*ZeroDivisionError"):
        memory.peak_mib([sys.executable, "-c", "1/0"])


def test_many_videos_are_links_to_the_few(
    part: Callable[[str], types.ModuleType], tmp_path: Path
) -> None:
    few = [tmp_path / f"{name}.mp4" for name in "ab"]
    for path in few:
        path.write_text(path.stem)
    made = sorted(part("memory").many(few, tmp_path / "many", 5).iterdir())
    assert "".join(path.read_text() for path in made) == "ababa"
    assert np.array([path.stat().st_nlink for path in made]).sum() == 3 * 4 + 2 * 3


def test_parity(run_script: Run, tiny_model_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "parity.csv"
    model = tmp_path / "twice"
    for fold in ("one", "other"):
        shutil.copytree(tiny_model_dir, model / fold)
    write_ensemble(EnsembleCard(name="twice", members=(Member("one"), Member("other"))), model)
    few = ("--rois", 3, "--flips", 1, 2, "--batches", 1, 2, "--out", out)
    run_script("parity.py", "--model", model, *few)
    rows = read(out)
    engines = [name for name in ("torch", "openvino", "onnxruntime") for _ in range(4)]
    assert [row["engine"] for row in rows] == engines
    assert [(row["flips"], row["batch"]) for row in rows[:4]] == [
        *(("1", "1"), ("1", "2"), ("2", "1"), ("2", "2"))
    ]
    assert all(0 < float(row["from_reference"]) < 1e-5 for row in rows)
    assert {row["calls_changed"] for row in rows} == {"0"}
    early = read(tmp_path / "parity-early.csv")
    assert [(row["flips"], row["networks"], row["calls_changed"]) for row in early] == [
        *(("1", "2", "0"), ("2", "2", "0"))
    ]
