"""Where networks compute: what is refused, and a GPU where there is one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import stallscan
from stallscan.errors import OptionError
from stallscan.inference.choose import choose
from stallscan.inference.device import choose_device
from stallscan.inference.engine import make_engine
from stallscan.inference.member import LoadedMember
from stallscan.inference.options import PredictOptions
from stallscan.inference.torch_engine import MAX_GRAPHS, TorchEngine
from stallscan.models import create_model
from stallscan.models.box import find_model
from stallscan.models.checkpoint import load_checkpoint

on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Compute capabilities of GPUs that PyTorch says it sees."""
    found: list[tuple[int, int]] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(found))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(found))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Imaginary")
    monkeypatch.setattr(
        torch.cuda, "get_device_capability", lambda device: found[device.index or 0]
    )
    return found


def members() -> tuple[LoadedMember, ...]:
    return (LoadedMember(*load_checkpoint(find_model("fast"))),)


def test_auto_takes_a_gpu_that_is_there(gpus: list[tuple[int, int]]) -> None:
    assert choose_device() == torch.device("cpu")
    gpus.append((9, 0))
    assert choose_device() == torch.device("cuda")
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:7"])
def test_a_gpu_that_is_not_there(gpus: list[tuple[int, int]], name: str) -> None:
    with pytest.raises(OptionError, match=f"--device is {name}, PyTorch sees 0 GPUs; take"):
        choose_device(name)
    gpus += [(9, 0)] * 2
    assert name == "cuda:7" or choose_device(name).type == "cuda"
    if name == "cuda:7":
        with pytest.raises(OptionError, match="--device is cuda:7, PyTorch sees 2 GPUs"):
            choose_device(name)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_is_for_gpus(gpus: list[tuple[int, int]], precision: Any) -> None:
    with pytest.raises(OptionError, match=f"--precision is {precision} on a CPU"):
        choose_device("auto", precision=precision)
    with pytest.raises(OptionError, match=f"--precision is {precision} on a CPU"):
        stallscan.load_predictor(precision=precision)
    gpus += [(7, 5), (8, 0)]
    assert choose_device("cuda:1", precision=precision).index == 1
    if precision == "bf16":
        with pytest.raises(OptionError, match="bf16, which Imaginary only emulates; take fp16"):
            choose_device("cuda:0", precision=precision)


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:-1", "CUDA", "cuda:0:1", "", "cpu "])
def test_other_words_are_refused(name: str) -> None:
    with pytest.raises(OptionError, match=f"--device is '{name}', allowed are auto, cpu, cuda"):
        PredictOptions(device=name)


@pytest.mark.parametrize("batch", [0, -4])
def test_batches_have_at_least_one_vessel(batch: int) -> None:
    with pytest.raises(OptionError, match=f"--batch is {batch}, allowed are 1 and above"):
        PredictOptions(batch=batch)


def test_an_engine_for_processors_alone(gpus: list[tuple[int, int]]) -> None:
    gpus.append((9, 0))
    model = create_model("resnet18", width=0.0625).eval()
    with pytest.raises(OptionError, match="--engine is openvino and --device is cuda, on a GPU"):
        make_engine(model, "openvino", device="cuda")
    asked = PredictOptions(engine="openvino")
    choice = choose(asked, members(), flips=1, n_vessels=9)
    assert (choice.engine, choice.device, choice.batch) == ("openvino", "cpu", 1)


def test_a_gpu_needs_no_probe(gpus: list[tuple[int, int]]) -> None:
    gpus.append((9, 0))
    choice = choose(PredictOptions(), members(), flips=1, n_vessels=10**6)
    assert (choice.engine, choice.device, choice.batch) == ("torch", "cuda", 8)
    assert choice.seconds == {} and choice.reason == "a GPU, Imaginary"
    chosen = choose(PredictOptions(batch=3), members(), flips=1, n_vessels=10**6)
    assert chosen.batch == 3


@on_gpu
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-4), ("bf16", 0.1)])
def test_a_gpu_answers_as_the_processor_does(precision: Any, tolerance: float) -> None:
    """More shapes than graphs are kept for, each twice, so that graphs are replayed."""
    model, _ = load_checkpoint(find_model("fast"))
    engine = make_engine(model, "torch", device="cuda", precision=precision)
    expected = make_engine(model, "torch")
    rng = np.random.default_rng(0)
    for n in (*range(1, MAX_GRAPHS + 3), 1, 2):
        x = rng.standard_normal((n, model.options.in_channels, 48, 64, 64), np.float32)
        assert engine(x) == pytest.approx(expected(x), abs=tolerance)
        assert (engine(x) == engine(x)).all()


def test_a_batch_too_large_for_a_gpu_says_so(
    gpus: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: TorchEngine, x: torch.Tensor) -> torch.Tensor:
        raise torch.cuda.OutOfMemoryError

    engine = TorchEngine(create_model("resnet18", width=0.0625).eval())
    monkeypatch.setattr(TorchEngine, "_on_gpu", full)
    engine._device = torch.device("cuda")
    message = (
        r"--batch: 64 inputs \(vessels × flips\) of 3×8×9×9 need more memory than Imaginary has"
    )
    with pytest.raises(OptionError, match=message):
        engine(np.zeros((64, 3, 8, 9, 9), np.float32))
