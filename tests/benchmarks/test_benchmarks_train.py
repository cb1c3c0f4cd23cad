"""The benchmark of training runs without its peers and without a GPU, and measures what it says."""

from __future__ import annotations

import argparse
import csv
import importlib
import importlib.util
import itertools
import os
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from stallscan.models import create_model
from stallscan.models.cost import cost
from stallscan.roi.extraction import Extraction
from stallscan.simulate import phantom_roi
from stallscan.training import phantom_data
from stallscan.training.samples import Batch
from stallscan.types import Label

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SCRIPT = str(BENCHMARKS / "train.py")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    spec = importlib.util.spec_from_file_location("train_benchmark", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "train_benchmark", module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("peers.train.ours")


@pytest.fixture
def plain_loop(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("peers.train.plain_loop")


@pytest.fixture
def rois(script: types.ModuleType) -> dict[str, Extraction]:
    return {f"{k}.mp4": Extraction(filename=f"{k}.mp4", volume=script.roi(k)) for k in (0, 1)}


def a_minute(rate: float) -> Any:
    return iter([rate, 3 * rate, 2 * rate]).__next__


# The script


def test_train(
    run_script: Callable[..., str],
    ours: types.ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rendered = phantom_roi(0, Label.STALLED)  # one for all that the loader would render
    monkeypatch.setattr(phantom_data, "phantom_roi", lambda *_: rendered)
    monkeypatch.setattr(ours, "matmul_flops", lambda device: 1e11)  # it has a test of its own
    out = tmp_path / "new" / "train.csv"
    few = ("--recipes", "smoke", "--rounds", 1, "--rois", 4, "--seconds", 0.01, "--workers", 1)
    printed = run_script("train.py", *few, "--step-size", 32, 32, 32, "--out", out)
    assert f", torch {torch.__version__}, Lightning " in printed
    assert "'s network has 33,204,417 parameters, ours 13" in printed  # no fair match

    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    parts = [(part, [*group]) for part, group in itertools.groupby(rows, lambda row: row["part"])]
    assert [part for part, _ in parts] == ["loader", "step", "both", "appetite"]
    loader, step, both, appetite = (group for _, group in parts)
    whats = ["host, store", "device, store", "host, phantom", "device, phantom"]
    assert [row["what"] for row in loader] == whats
    assert {row["input"] for row in loader} == {"4x3x16x32x32"}
    assert [row["what"] for row in step] == [
        *("ours, trainer", "ours, trainer, it augments"),
        "ours, plain loop, channels_last_3d",
    ]
    assert {row["input"] for row in (*step, *both)} == {"2x3x32x32x32"}
    assert len(both) == 6 and len(appetite) == 4 * len(whats)
    assert all(float(row["samples_per_s"]) > 0 for row in rows)
    for alone in (both[:3], both[3:]):
        rates = [float(row["samples_per_s"]) for row in alone]
        assert float(alone[2]["ratio"]) == pytest.approx(rates[2] / min(rates[:2]), rel=0.05)


def test_rois_come_from_memory_where_lmdb_is_not_installed(
    script: types.ModuleType,
    rois: dict[str, Extraction],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe = script.recipe_of("smoke", "host")
    store = script.store_of(rois, tmp_path)
    assert script.sources_of(store)[0] == "store" and [*tmp_path.iterdir()]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    memory = script.store_of(rois, tmp_path / "unused")
    assert memory is rois and script.sources_of(memory)[0] == "memory"
    one, other = (script.one_batch(recipe, each, "cpu") for each in (store, memory))
    torch.testing.assert_close(one.inputs, other.inputs, rtol=0, atol=0)
    assert one.labels.tolist() == [0, 1, 0, 1]  # so both labels are in the table


def test_recipes_keep_their_work_whoever_augments(script: types.ModuleType) -> None:
    host, device = (script.recipe_of("winner-stage1", path) for path in script.PATHS)
    assert not host.augmentation.device and device.augmentation.device
    assert host.augmentation.preset == device.augmentation.preset == "winner_v13"
    assert host.engine.precision == "auto" and host.schedule.name == "constant"
    assert script.shape_of(host) == "6x3x96x128x128"
    small = script.recipe_of("winner-stage1", "host", (48, 64, 64), 2)
    assert script.shape_of(small) == "2x3x48x64x64"
    assert script.shape_of(script.recipe_of("second-place", "host")) == "1x3xanyx160x160"
    with pytest.raises(AssertionError, match="ensemble-18 is an ensemble"):
        script.recipe_of("ensemble-18", "host")


def test_contenders_take_turns_and_nobody_is_always_first(script: types.ModuleType) -> None:
    order: list[str] = []

    def run(name: str) -> float:
        order.append(name)
        return len(order)

    found = [script.Found(row={}, run=lambda name=name: run(name)) for name in "abc"]
    script.take_turns(found, 4)
    assert "".join(order) == "abc" + "bca" + "cab" + "abc"
    assert [each.rates for each in found] == [[1, 6, 8, 10], [2, 4, 9, 11], [3, 5, 7, 12]]


def test_ratios_are_medians_of_the_rounds_ratios(script: types.ModuleType) -> None:
    one = script.Found(row={"what": "x"}, run=float, rates=[10.0, 30.0, 12.0])
    # The machine was three times faster in the second round, for both.
    row = one.measured([20.0, 60.0, 12.0], note="n")
    assert row == {"what": "x", "samples_per_s": 12, "spread": 20, "ratio": 0.5, "note": "n"}
    assert "ratio" not in one.measured()


def test_together_is_held_against_the_slower_alone(
    script: types.ModuleType, rois: dict[str, Extraction], monkeypatch: pytest.MonkeyPatch
) -> None:
    warm: list[int] = []

    class Fake:
        def __init__(self, *rates: float) -> None:
            self.rates = iter(rates)

        def warm_up(self) -> None:
            pass

        def run(self) -> float:
            return next(self.rates)

    def engine(recipe: Any, batches: Any, *rest: Any) -> Fake:
        warm.append(rest[2] if len(rest) > 2 else 0)
        return Fake(12.0, 6.0) if "Again" in str(batches) else Fake(9.0, 3.0)

    monkeypatch.setattr(script, "Feed", lambda *_: Fake(10.0, 20.0))
    monkeypatch.setattr(script, "Engine", engine)
    options = argparse.Namespace(
        workers=[1], device="cpu", seconds=1, rounds=2, step_size=None, step_batch=None
    )
    rows = script.both_rows("smoke", rois, options)
    assert [row["what"] for row in rows[:3]] == [
        *("host, memory, loader alone", "host, memory, step alone", "host, memory, together"),
    ]
    assert rows[2]["ratio"] == pytest.approx((9 / 10 + 3 / 6) / 2)
    assert warm == [0, 3 + 2 * 1] * 2  # more than lies ready when the clock is started


def test_what_a_step_takes_is_its_operations_at_a_share_of_the_peak(
    script: types.ModuleType, ours: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    loader = {"part": "loader", "recipe": "smoke", "what": "device, store", "input": "i"}
    fewer = loader | {"workers": "1", "on_16_cores": "1", "samples_per_s": "1"}
    more = loader | {"workers": "2", "on_16_cores": "1000", "samples_per_s": "300"}
    other = more | {"recipe": "modern", "what": "host, store"}
    monkeypatch.setattr(script, "step_flops", lambda recipe: 989.4e9)
    rows = list(script.appetite_rows("smoke", [fewer, more, other]))
    assert [row["samples_per_s"] for row in rows] == [100, 200, 400, 1000]
    assert [row["ratio"] for row in rows] == [10, 5, 2.5, 1]
    assert rows[0]["what"] == "device, store; an H200 at 10% of peak"
    assert rows[3]["note"] == "NOT fed: the loader gives 1000 a second"

    # With a GPU: the step and the loader that were measured, where they are of the same size.
    steps = [
        {"part": "step", "recipe": "smoke", "what": what, "input": "i", "samples_per_s": rate}
        for what, rate in (("ours, trainer", "7"), ("ours, trainer, it augments", "250"))
    ]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    *_, here = script.appetite_rows("smoke", [more, *steps])
    assert (here["what"], here["workers"]) == ("device, store; measured here", "2")
    assert (here["samples_per_s"], here["ratio"]) == (250, 1.2)
    assert here["note"] == "fed: the loader gives 300 a second"
    for step in steps:
        step["input"] = "smaller"
    assert len(list(script.appetite_rows("smoke", [more, *steps]))) == 4


@pytest.mark.parametrize(
    ("error", "make", "said"),
    [
        (ImportError("No module named 'monai'"), None, "left out: MONAI's network (No module"),
        (None, None, "left out: MONAI has no resnet18"),
        (None, lambda channels: nn.Linear(channels, 2), "'s network has 8 parameters, ours 13"),
    ],
)
def test_peers_that_are_missing_or_other_networks_are_named(
    script: types.ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception | None,
    make: Any,
    said: str,
) -> None:
    def network(name: str) -> Any:
        if error:
            raise error
        return make

    monkeypatch.setattr(script, "monai_network", network)
    monkeypatch.setattr(script, "version", lambda name: "0")
    ((name, _, channels_last),) = script.networks(script.recipe_of("smoke", "host"))
    assert (name, channels_last) == ("ours", True)
    assert said in capsys.readouterr().out


def test_rows_of_parts_that_are_not_run_stay(script: types.ModuleType, tmp_path: Path) -> None:
    rows = [script.as_text({"part": part, "samples_per_s": 1.234}) for part in ("loader", "step")]
    assert rows[0]["samples_per_s"] == "1.23" and rows[0]["ratio"] == ""
    path = tmp_path / "train.csv"
    assert script.kept_rows(path, ["step"]) == []
    script.write(path, rows, [])
    assert script.kept_rows(path, ["step"]) == rows[:1]
    script.write(path, rows[1:], rows[:1])
    assert script.kept_rows(path, []) == rows


# Ours


def test_operations_of_a_step_spare_the_gradient_of_the_input(
    script: types.ModuleType, ours: types.ModuleType
) -> None:
    recipe = script.recipe_of("smoke", "host", (32, 32, 32))  # one voxel is left at the end
    macs = cost(create_model("resnet18", width=0.0625, in_channels=3), (32, 32, 32)).macs
    stem = 16 * 16 * 16 * 7**3 * 3 * 4
    assert ours.step_flops(recipe) == 2 * (3 * macs - stem)


def test_what_16_cores_give_is_the_slower_of_workers_and_main_process(
    ours: types.ModuleType,
) -> None:
    feed = ours.Feed.__new__(ours.Feed)
    feed.worker_ms, feed.main_ms = [30.0, 10.0, 99.0], [0.1, 0.5, 9.0]
    assert feed.on_16_cores() == pytest.approx(15 / 0.030)
    feed.main_ms = [4.0]
    assert feed.on_16_cores() == pytest.approx(1 / 0.004)


class Slow(torch.utils.data.Dataset):
    """Takes 4 ms of CPU time."""

    def __getitem__(self, key: Any) -> Any:
        from stallscan.training.samples import Sample

        until = time.process_time() + 0.004
        while time.process_time() < until:
            pass
        return Sample(torch.full((3, 2, 2, 2), 1.0), 0.0, 1.0, 0, key.number)


def test_a_feed_counts_the_samples_and_the_time_of_its_workers(
    script: types.ModuleType, ours: types.ModuleType
) -> None:
    recipe = script.recipe_of("smoke", "host")
    feed = ours.Feed(recipe, Slow(), 1, "cpu", 0.2)
    feed.warm_up()
    assert len(feed.pids) == 1 and feed.pids[0] != os.getpid()
    feed.n_batches = 25
    assert 1 < feed.run() < 250
    assert 3.8 < feed.worker_ms[0] < 6 and 0 < feed.main_ms[0] < 4
    assert feed.buffer is not None and feed.buffer.shape == (4, 3, 2, 2, 2)
    assert (feed.buffer == 1).all()


@pytest.mark.parametrize(("workers", "n_batches"), [(1, 40), (3, 39)])
def test_a_round_of_a_feed_has_as_many_batches_for_each_worker(
    script: types.ModuleType,
    ours: types.ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    workers: int,
    n_batches: int,
) -> None:
    feed = ours.Feed(script.recipe_of("smoke", "host"), Slow(), workers, "cpu", 2.0)
    monkeypatch.setattr(feed, "_empty", lambda n: 0.05 * n)
    feed.warm_up()
    assert feed.n_batches == n_batches


def test_cpu_time_of_a_process(ours: types.ModuleType) -> None:
    before, began = ours.cpu_seconds([os.getpid()]), time.process_time()
    while time.process_time() < began + 0.1:
        sum(range(10_000))  # user's time, not the system's
    assert ours.cpu_seconds([os.getpid()]) - before == pytest.approx(0.1, abs=0.03)
    assert ours.cpu_seconds([]) == 0


def test_the_engine_times_what_follows_the_warm_up(
    script: types.ModuleType, ours: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = script.recipe_of("smoke", "host")
    inputs, numbers = torch.rand(4, 3, 16, 32, 32), torch.arange(4)
    batch = Batch(inputs, numbers % 2 / 1.0, torch.ones(4), numbers % 2, numbers)
    asked: list[int] = []
    seen: list[int] = []
    waited: list[int] = []
    # Each look at the clock is a minute after the one before.
    clock = types.SimpleNamespace(perf_counter=iter(range(0, 6000, 60)).__next__)

    def batches(n: int) -> Any:
        asked.append(n)
        return ours.Again(batch, n)

    engine = ours.Engine(recipe, batches, "cpu", 1.0, warm_up=2)
    engine.n_batches = 3
    before = [parameter.clone() for parameter in engine.module.parameters()]
    monkeypatch.setattr(ours, "time", clock)
    monkeypatch.setattr(ours, "wait_for", lambda device: waited.append(len(seen)))
    step = engine.module.training_step
    monkeypatch.setattr(
        engine.module, "training_step", lambda *given: seen.append(1) or step(*given)
    )
    assert engine.run() == pytest.approx(3 * 4 / 60)
    assert asked == [5] and waited == [2, 5]
    changed = [
        not torch.equal(a, b) for a, b in zip(before, engine.module.parameters(), strict=True)
    ]
    assert all(changed)  # it trains
    engine.seconds = 600
    engine.warm_up()
    # 600 s at 3 batches a minute are 30, and at those 30 a minute they are 300.
    assert engine.n_batches == 300


def test_a_matrix_product_counts_two_operations_for_each_product(
    ours: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "randn", lambda *size, **options: torch.ones(1, 1))
    clock = types.SimpleNamespace(perf_counter=iter([100.0, 102.0]).__next__)
    monkeypatch.setattr(ours, "time", clock)
    assert ours.matmul_flops("cpu") == 10 * 2 * 2048**3 / 2


# The plain loop


class Counting(nn.Module):
    """One weight; remembers what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((1, 3, 1, 1, 1), 0.5))
        self.given: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.given.append(x)
        return (x * self.weight).sum((1, 2, 3, 4))[:, None]


@pytest.mark.parametrize(("accumulate", "steps"), [(1, 2 + 5), (2, 1 + 3), (20, 1 + 1)])
def test_the_plain_loop_accumulates(
    plain_loop: types.ModuleType, monkeypatch: pytest.MonkeyPatch, accumulate: int, steps: int
) -> None:
    waits: list[int] = []
    model = Counting()
    loop = plain_loop.PlainLoop(
        model,
        torch.ones(4, 3, 2, 2, 2),
        accumulate=accumulate,
        precision="float32",
        channels_last=True,
        wait=lambda: waits.append(len(model.given)),
    )
    taken: list[float] = []
    step = loop.optimizer.step
    monkeypatch.setattr(loop.optimizer, "step", lambda: taken.append(1) or step())
    clock = types.SimpleNamespace(perf_counter=iter([10.0, 14.0]).__next__)
    monkeypatch.setattr(plain_loop, "time", clock)
    assert loop.run(5) == 5 * 4 / 4
    assert len(taken) == steps and waits == [2, 7]
    assert all(x.is_contiguous(memory_format=torch.channels_last_3d) for x in model.given)
    assert not torch.equal(model.weight, torch.full_like(model.weight, 0.5))


def test_monai_has_the_networks_of_the_paper(plain_loop: types.ModuleType) -> None:
    pytest.importorskip("monai")
    assert plain_loop.monai_network("densenet169") is None
    for name in ("densenet121", "resnet18"):
        with torch.device("meta"):
            theirs, same = plain_loop.monai_network(name)(2), create_model(name, in_channels=2)
        sizes = [sum(p.numel() for p in model.parameters()) for model in (theirs, same)]
        assert sizes[0] == sizes[1]
