"""The benchmark of the networks runs without its peers, and measures what it says."""

from __future__ import annotations

import argparse
import csv
import importlib
import importlib.util
import sys
import types
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from stallscan.models import create_model
from stallscan.models.cost import cost

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SCRIPT = BENCHMARKS / "zoo.py"
MIB = 2**20


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    spec = importlib.util.spec_from_file_location("zoo_benchmark", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "zoo_benchmark", module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS / "peers" / "zoo"))
    return importlib.import_module("_zoo_worker")


class Process:
    """Answers as a contender would, and writes down who was asked what."""

    name, licence = "library 1.0", "MIT"

    def __init__(self, label: str, ms: list[float], asked: list[tuple[str, str]]) -> None:
        self.label, self.ms, self.asked = label, iter(ms), asked

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        self.asked.append((self.label, do))
        if do == "memory":
            return {"mib": 12.4}
        ms = next(self.ms)
        return {"ms": ms} if ms > 0 else {"error": "MemoryError: too large"}


def found(
    script: types.ModuleType, layout: int | None, ms: list[float], asked: list | None = None
) -> Any:
    """Ours in a layout, or (None) a peer."""
    entry = script.Entry(
        script="any", environment="peers" if layout is None else "ours", channels_last=bool(layout)
    )
    facts = {"macs": 2_000_000_000, "training_macs": 5 * 10**9, "parameters": 7, "note": "n"}
    process = Process(f"{layout}", ms, [] if asked is None else asked)
    return script.Found(entry=entry, process=process, facts=facts, ms=[])


def options(**changes: Any) -> argparse.Namespace:
    return argparse.Namespace(**({"what": "forward", "batch": 1, "size": (4, 5, 6)} | changes))


# The script


def test_zoo_names_what_it_left_out(
    run_script: Callable[..., str], script: types.ModuleType, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "zoo.csv"
    few = ("--networks", "resnet18", "--size", 32, 32, 32, "--rounds", 1, "--calls", 1)
    absent = [
        f"--{environment}-python={tmp_path / 'no-python'}" for environment in ("peers", "keras")
    ]
    printed = run_script("zoo.py", *few, "--threads", 1, *absent, "--out", out)
    assert "; 1 threads; Python " in printed and f", torch {torch.__version__}" in printed
    assert printed.count("left out: resnet18 of monai_1") == 2
    assert printed.count("left out: resnet18 of classification_models_3d (") == 1
    assert printed.count("left out:") == 3  # nothing of ours

    with out.open(newline="") as file:
        reader = csv.DictReader(file)
        common, last = reader
    assert reader.fieldnames == list(script.COLUMNS)
    assert last["contender"] == f"{common['contender']}, channels_last_3d"
    assert common["ratio_to_ours"] == last["ratio_to_ours_channels_last"] == "1.00"
    for row in (common, last):
        assert (row["network"], row["input"]) == ("resnet18", "1x3x32x32x32")
        assert row["parameters"] == "33204417"  # as MONAI's
        assert float(row["ms"]) > 0 and row["share_of_peak"] == ""
        # No less than the weights; a process that held other things before does not count them.
        assert 33204417 * 4 / MIB < float(row["MiB"]) < 600
    ratio = float(last["ratio_to_ours"]), float(common["ratio_to_ours_channels_last"])
    assert ratio[0] == pytest.approx(float(last["ms"]) / float(common["ms"]), abs=0.02)
    assert ratio[0] * ratio[1] == pytest.approx(1, abs=0.05)


def test_every_contender_gets_the_same_task_from_its_own_interpreter(
    script: types.ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started: list[tuple[str, str]] = []
    requests: list[dict[str, Any]] = []
    answers: list[Any] = [{"macs": 1}, {"error": "ValueError: no"}, OSError("no such file")]
    answers += [ChildProcessError("no module"), {"missing": True}]

    class Fake:
        name = "fake"

        def __init__(self, python: Any, name: str) -> None:
            started.append((python, name))

        def ask(self, do: str, **request: Any) -> Any:
            requests.append({"do": do, **request})
            answer = answers[len(requests) - 1]
            if isinstance(answer, Exception):
                raise answer
            return answer

        def __enter__(self) -> Fake:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(script, "ContenderProcess", Fake)
    asked = options(device="cpu", threads=3, peers_python="PEERS", keras_python="KERAS")
    with ExitStack() as stack:
        (ready,) = script.start(stack, "resnet19", asked)
    assert ready.facts == {"macs": 1} and ready.name == "fake"
    assert started == [
        (sys.executable, "zoo/ours"),
        (sys.executable, "zoo/ours"),
        ("PEERS", "zoo/monai_1"),
        ("PEERS", "zoo/monai_1"),
        ("KERAS", "zoo/classification_models_3d"),
    ]
    assert [request.pop("channels_last") for request in requests] == [False, True] * 2 + [False]
    same = {"do": "build", "network": "resnet19", "what": "forward", "size": (4, 5, 6)}
    assert requests == [same | {"batch": 1, "threads": 3, "device": "cpu"}] * 5
    assert capsys.readouterr().out.splitlines() == [
        "left out: resnet19 of ours, channels_last_3d (ValueError: no)",
        "left out: resnet19 of monai_1 (no such file)",
        "left out: resnet19 of monai_1, channels_last_3d (no module)",
        "left out: resnet19 of classification_models_3d (has no forward of it)",
    ]


def test_contenders_take_turns_and_nobody_is_always_first(script: types.ModuleType) -> None:
    asked: list[tuple[str, str]] = []
    three = [found(script, layout, [1, 2, 3, 4], asked) for layout in (0, 1, None)]
    script.take_turns(three, rounds=4, calls=3)
    order = [label for label, do in asked if do == "time"]
    assert [order[i : i + 3] for i in range(0, 12, 3)] == [
        ["0", "1", "None"],
        ["1", "None", "0"],
        ["None", "0", "1"],
        ["0", "1", "None"],
    ]
    assert asked[12:] == [(label, "memory") for label in ("0", "1", "None")]  # after all rounds
    assert all(each.ms == [1, 2, 3, 4] and each.mib == 12.4 for each in three)


def test_a_failure_between_the_rounds_names_who_failed(script: types.ModuleType) -> None:
    with pytest.raises(RuntimeError, match=r"time of library 1\.0: MemoryError: too large"):
        script.take_turns([found(script, None, [1, -1])], rounds=2, calls=1)


def test_ratios_are_medians_of_the_rounds_ratios(script: types.ModuleType) -> None:
    ours, last, peer = (found(script, layout, []) for layout in (0, 1, None))
    # The machine was three times slower in the second round, for all.
    ours.ms, last.ms, peer.ms = [10.0, 30.0, 11.0], [5.0, 15.0, 11.0], [20.0, 60.0, 12.0]
    peer.mib = 99.6
    rows = script.table("densenet121", [ours, last, peer], options(), None)
    assert [row["ratio_to_ours"] for row in rows] == ["1.00", "0.50", "2.00"]
    assert [row["ratio_to_ours_channels_last"] for row in rows] == ["2.00", "1.00", "4.00"]
    assert rows[2] == {
        "what": "forward",
        "network": "densenet121",
        "input": "1x3x4x5x6",
        "contender": "library 1.0",
        "licence": "MIT",
        "ms": "20.0",
        "spread": "48.0",
        "ratio_to_ours": "2.00",
        "ratio_to_ours_channels_last": "4.00",
        "volumes_per_s": "50.00",
        "share_of_peak": "",
        "MiB": "100",
        "GMACs": "2.00",
        "parameters": 7,
        "note": "n",
    }
    (alone,) = script.table("densenet121", [peer], options(), None)
    assert alone["ratio_to_ours"] == alone["ratio_to_ours_channels_last"] == ""


def test_share_of_peak_counts_two_operations_per_multiply_accumulate(
    script: types.ModuleType,
) -> None:
    peer = found(script, None, [])
    peer.ms = [80.0]
    training = options(what="training", batch=8)
    (row,) = script.table("resnet18", [peer], training, 2.0)
    assert row["volumes_per_s"] == "100.00"  # 8 in 80 ms
    assert row["share_of_peak"] == "0.500"  # 100 × 5e9 × 2 of 2e12
    assert script.table("resnet18", [peer], training, None)[0]["share_of_peak"] == ""
    assert script.table("resnet18", [peer], options(), 2.0)[0]["share_of_peak"] == ""


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA H200", 989.4),
        ("NVIDIA H100 80GB HBM3", 989.4),
        ("NVIDIA H100 PCIe", 756.5),
        ("NVIDIA A100-SXM4-80GB", 311.9),
        ("NVIDIA L40S", 362.1),
        ("NVIDIA L4", 121.0),
        ("NVIDIA L40", None),
        ("AMD EPYC, 2 cores", None),
    ],
)
def test_peaks_are_found_by_whole_words(
    script: types.ModuleType, name: str, peak: float | None
) -> None:
    assert script.peak_of(name) == peak


# A contender


def task(worker: types.ModuleType, **changes: Any) -> Any:
    given = {"network": "any", "what": "forward", "size": (4, 6, 8), "batch": 2, "threads": 1}
    return worker.Task(**(given | {"device": "cpu"} | changes))


def network() -> nn.Module:
    """2 × 3 × 4 voxels of 5 channels after the convolution; weights of 27 and of 120."""
    torch.manual_seed(0)
    layers = (nn.Conv3d(3, 5, 3, 2, 1, bias=False), nn.BatchNorm3d(5), nn.ReLU())
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(5 * 2 * 3 * 4, 1))


def test_everybody_gets_the_same_numbers(worker: types.ModuleType) -> None:
    one, two = (task(worker, channels_last=layout).input() for layout in (False, True))
    assert one.shape == (2, 3, 4, 6, 8) and one.dtype == np.float32
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one[0], one[1])


def test_multiply_accumulates_of_a_volume(worker: types.ModuleType) -> None:
    torch_job = importlib.import_module("_torch_job").torch_job
    job = torch_job(task(worker), network)
    convolution, linear = 5 * 24 * 27 * 3, 120
    assert job.macs == convolution + linear
    assert job.training_macs == 2 * convolution + 3 * linear  # volumes need no gradient
    assert job.parameters == 5 * 27 * 3 + 2 * 5 + 121
    assert job.run().shape == (2, 1)


def test_multiply_accumulates_are_those_of_the_operators(worker: types.ModuleType) -> None:
    model = create_model("resnet18", width=0.125)
    torch_job = importlib.import_module("_torch_job").torch_job
    job = torch_job(task(worker, size=(32, 32, 40)), lambda: model)
    assert job.macs == cost(model, (32, 32, 40)).macs
    stem = 16 * 16 * 20 * 7**3 * 3 * 8
    assert job.training_macs == 3 * job.macs - stem


def test_a_job_has_the_threads_it_is_given(
    worker: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", given.append)
    importlib.import_module("_torch_job").torch_job(task(worker, threads=5), network)
    assert given == [5]


@pytest.mark.parametrize("channels_last", [False, True])
def test_a_forward_pass_is_in_inference_mode(worker: types.ModuleType, channels_last: bool) -> None:
    torch_job = importlib.import_module("_torch_job").torch_job
    model = network()
    seen: list[torch.Tensor] = []
    model[0].register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    job = torch_job(task(worker, channels_last=channels_last), lambda: model)
    logits = job.run()
    assert logits.is_inference() and not model.training
    assert int(model[1].num_batches_tracked) == 0
    for tensor in (seen[-1], model[0].weight):
        assert tensor.is_contiguous(memory_format=torch.channels_last_3d) == channels_last


def test_a_training_step_trains_in_bfloat16(worker: types.ModuleType) -> None:
    torch_job = importlib.import_module("_torch_job").torch_job
    model = network()
    seen: list[torch.dtype] = []
    job = torch_job(task(worker, what="training"), lambda: model)
    model[0].register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    before = [parameter.clone() for parameter in model.parameters()]
    losses = [float(job.run()) for _ in range(30)]
    assert set(seen) == {torch.bfloat16}
    assert losses[-1] < losses[0]
    changed = [not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True)]
    assert all(changed)
    assert int(model[1].num_batches_tracked) == 30


class Zoo:
    """A contender whose job gives what it is told to, and holds some memory."""

    def __init__(self, worker: types.ModuleType, result: Any, mib: int = 0) -> None:
        self.held: list[Any] = []
        self.runs = 0

        def run() -> Any:
            self.runs += 1
            return result

        def build(asked: Any) -> Any:
            self.held.append(np.ones(mib * MIB, np.uint8))
            self.held.append(np.ones(mib * MIB, np.uint8)[:1].copy())  # a peak that passes
            return worker.Job(run=run, macs=1, training_macs=3, parameters=2, note="deeper")

        given = {"name": "fake", "licence": "MIT", "runtime": "NumPy"}
        self.worker = worker.Worker(worker.Contender(build=build, **given))

    def build(self, what: str = "forward") -> Any:
        given = {"network": "any", "what": what, "size": [4, 6, 8], "batch": 2, "threads": 1}
        return self.worker.build(**given, device="cpu")


def test_a_block_is_warmed_up_and_its_mean_is_taken(
    worker: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    zoo = Zoo(worker, np.zeros((2, 1)))
    answer = zoo.build()
    assert answer == {"macs": 1, "training_macs": 3, "parameters": 2, "note": "deeper; NumPy"}
    assert zoo.runs == 1
    # A run takes a second.
    clock = types.SimpleNamespace(perf_counter=lambda: float(zoo.runs))
    monkeypatch.setattr(worker, "time", clock)
    assert zoo.worker.time(5) == {"ms": 1000.0}
    assert zoo.runs == 1 + 1 + 5


def test_memory_is_the_peak_over_what_was_there(worker: types.ModuleType) -> None:
    np.ones(400 * MIB, np.uint8)  # came and went
    before = np.ones(64 * MIB, np.uint8)
    zoo = Zoo(worker, np.zeros((2, 1)), mib=96)
    zoo.build()
    assert 180 < zoo.worker.memory()["mib"] < 240  # both arrays; `before` is not counted
    assert before.all()


def test_results_may_lie_on_a_device(worker: types.ModuleType) -> None:
    class OnDevice:
        def cpu(self) -> Any:
            return np.zeros((2, 1))

        def __array__(self, *_: Any, **__: Any) -> Any:
            raise TypeError("can't convert to numpy")

    assert Zoo(worker, OnDevice()).build()["macs"] == 1


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (np.zeros((2, 3)), r"logits have the shape \(2, 3\), not \(2, 1\)"),
        (np.full((2, 1), np.nan), "not finite"),
    ],
)
def test_results_that_cannot_be_are_refused(
    worker: types.ModuleType, result: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Zoo(worker, result).build()


def test_what_a_contender_lacks_is_missing(worker: types.ModuleType) -> None:
    contender = worker.Contender(name="fake", licence="MIT", runtime="", build=lambda asked: None)
    asked = {"network": "any", "what": "training", "size": [4, 6, 8], "batch": 2, "threads": 1}
    assert worker.Worker(contender).build(**asked, device="cpu") == {"missing": True}
