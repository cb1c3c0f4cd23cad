"""Devices, their numbers, and what each has to do."""

from __future__ import annotations

import pytest
import torch

from noise_set import tiny_recipe
from stallscan.errors import OptionError
from stallscan.training.devices import rank_of_process, resolve_devices
from stallscan.training.options import TrainOptions

RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID")


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No GPU and no launcher, whatever runs the tests."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for name in RANKS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of them, of an age of one's choice."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Old Card")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)


def refusal(*keys: str, **options: object) -> str:
    with pytest.raises(OptionError) as caught:
        resolve_devices(tiny_recipe(*keys), TrainOptions(**options))
    return str(caught.value)


@pytest.mark.parametrize("device", ["auto", "cpu"])
@pytest.mark.parametrize("precision", ["auto", "float32"])
def test_a_cpu_computes_in_float32(device: str, precision: str) -> None:
    recipe = tiny_recipe(f"engine.precision={precision}")
    found = resolve_devices(recipe, TrainOptions(device=device))
    assert (found.accelerator, found.precision) == ("cpu", "float32")
    assert (found.n_ranks, found.rank, found.is_first) == (1, 0, True)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_numbers_are_refused_on_a_cpu(precision: str) -> None:
    message = refusal(f"engine.precision={precision}", device="cpu")
    for part in (
        f"engine.precision is {precision}",
        "allowed on a CPU is float32",
        "gradients of 3D convolutions are wrong",
        "--set engine.precision=auto",
    ):
        assert part in message


@pytest.mark.usefixtures("gpus")
@pytest.mark.parametrize("has_bf16", [True, False])
def test_auto_is_bf16_on_a_gpu_that_has_it(monkeypatch: pytest.MonkeyPatch, has_bf16: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: has_bf16)
    recipe = tiny_recipe("engine.precision=auto")
    found = resolve_devices(recipe, TrainOptions(device="auto"))
    assert found.accelerator == "cuda"
    assert found.precision == ("bf16" if has_bf16 else "float32")


@pytest.mark.usefixtures("gpus")
def test_bf16_is_refused_where_it_would_be_emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {}
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **how: bool(asked.update(how)))
    message = refusal("engine.precision=bf16", device="gpu")
    assert asked == {"including_emulation": False}
    assert "Old Card" in message and "--set engine.precision=fp16" in message
    assert resolve_devices(tiny_recipe("engine.precision=fp16"), TrainOptions()).precision == "fp16"


def test_a_gpu_that_is_not_there_is_refused() -> None:
    assert "--device is gpu" in refusal(device="gpu")
    assert "use --device cpu" in refusal(device="gpu")


@pytest.mark.usefixtures("gpus")
def test_more_gpus_than_there_are_are_refused() -> None:
    message = refusal("optimizer.accumulate=3", device="gpu", devices=3)
    assert "--devices is 3" in message and "has 2 GPUs" in message


def test_an_unknown_device_is_refused() -> None:
    message = refusal(device="tpu")
    assert "--device is 'tpu'" in message and "auto, cpu and gpu" in message


def test_ranks_are_devices_times_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "5")
    recipe = tiny_recipe("optimizer.accumulate=6", "sampler.batches_per_epoch=12")
    found = resolve_devices(recipe, TrainOptions(device="cpu", devices=2, nodes=3))
    assert (found.n_ranks, found.rank, found.is_first) == (6, 5, False)


@pytest.mark.parametrize("name", RANKS)
def test_a_rank_is_what_the_launcher_says(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    assert rank_of_process() == 0
    monkeypatch.setenv(name, "3")
    assert rank_of_process() == 3


def test_over_all_machines_it_is_not_the_rank_within_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("RANK", "3")
    assert rank_of_process() == 3


def test_a_run_alone_is_the_first_whatever_started_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job array's tasks, say, where each task is a run."""
    monkeypatch.setenv("SLURM_PROCID", "3")
    assert resolve_devices(tiny_recipe(), TrainOptions(device="cpu")).is_first


def test_batches_that_a_step_cannot_share_are_refused() -> None:
    message = refusal(
        "optimizer.accumulate=3", "sampler.batch_size=8", "sampler.batches_per_epoch=12",
        device="cpu", devices=2,
    )  # fmt: skip
    for part in (
        "2 devices share the 3 batches of a step",
        "optimizer.accumulate=2",
        "sampler.batch_size=12",
    ):
        assert part in message


def test_batches_that_an_epoch_cannot_share_are_refused() -> None:
    keys = ("optimizer.accumulate=4", "sampler.batches_per_epoch=7")
    message = refusal(*keys, device="cpu", devices=4)
    assert "4 devices share the 7 batches of an epoch" in message
    assert "--set sampler.batches_per_epoch=8" in message
