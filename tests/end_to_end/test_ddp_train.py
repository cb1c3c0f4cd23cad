"""Two processes that share a run do what one does that accumulates their batches."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

Done = tuple[Path, dict[str, dict[str, Any]]]

# Accumulation over all devices: of 6 batches, 4 make a step and the 2 that are left another one.
# Plain descent, for Adam divides by gradients near zero, whose rounding would decide the step; and
# batches of eight, for BN divides by a spread that two values of the last stage hardly have.
KEYS = (
    "augmentation=null", "stop.patience=null", "sampler.batch_size=8", "validation.n=7",
    "sampler.batches_per_epoch=6", "stop.max_epochs=2", "optimizer.name=sgd", "optimizer.lr=0.05",
    "optimizer.accumulate=4", "optimizer.clip=1", "validation.flowing_per_stalled=2",
)  # fmt: skip

PAIR = ("optimizer.accumulate=2",)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def arguments(out: Path, n_devices: int, *keys: str) -> list[str]:
    return [
        "train", "phantom", "--recipe", "smoke", "--out", str(out), "--device", "cpu",
        "--devices", str(n_devices), "--workers", "0", "-q", "--set", *KEYS, *keys,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Runs by one process and by two ranks, started as torchrun starts them."""
    folder = tmp_path_factory.mktemp("ranks")

    def shared(name: str, **more: Any) -> dict[str, Any]:
        return {"arguments": arguments(folder / name, 2), "ranks": 2, "port": free_port(), **more}

    commands: dict[str, dict[str, Any]] = {
        "one, of two batches": {"arguments": arguments(folder / "one, of two batches", 1, *PAIR)},
        "two, of two batches": {
            **shared("two, of two batches"),
            "arguments": arguments(folder / "two, of two batches", 2, *PAIR),
        },
        "one": {"arguments": arguments(folder / "one", 1)},
        "two": shared("two"),
        "second diverges": shared("broken", moment=("batch", 1, 1, "diverge"), rank=1),
        "first fails": shared("broken", moment=("batch", 1, 1, "fail"), rank=0),
        "second is killed": shared("broken", moment=("batch", 1, 1, "kill the parent"), rank=1),
        "and again": shared("broken"),
    }
    plan = folder / "plan.json"
    plan.write_text(json.dumps(list(commands.values())))
    script = Path(__file__).with_name("killing_training.py")
    subprocess.run([sys.executable, str(script), str(plan)], check=True, timeout=300)
    results = json.loads(plan.with_suffix(".results").read_text())
    return folder, dict(zip(commands, results, strict=True))


def parameters(run_dir: Path) -> dict[str, torch.Tensor]:
    """Of the last epoch, without BN's running statistics, which are of a rank's own batches."""
    state = torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    return {key: value for key, value in state.items() if not re.search("running|num_batches", key)}


def assert_same_training(one: Path, two: Path) -> None:
    """Up to the order in which float32 gradients are summed."""
    first, second = parameters(one), parameters(two)
    assert first.keys() == second.keys()
    for key, value in first.items():
        torch.testing.assert_close(second[key], value, rtol=1e-5, atol=1e-6)
    losses = [pd.read_csv(path / "history.csv")["train_loss"] for path in (one, two)]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)


def test_two_ranks_train_what_one_process_accumulates(done: Done) -> None:
    folder, results = done
    assert results["one"]["codes"] == [0], results["one"]["said"]
    assert results["two"]["codes"] == [0, 0], results["two"]["said"]
    assert_same_training(folder / "one", folder / "two")


def test_of_two_batches_the_sum_has_one_order_and_the_parameters_are_the_same_bits(
    done: Done,
) -> None:
    folder, results = done
    assert results["two, of two batches"]["codes"] == [0, 0]
    one, two = (parameters(folder / f"{n}, of two batches") for n in ("one", "two"))
    assert all(torch.equal(two[key], value) for key, value in one.items())


def test_it_has_trained_at_all(done: Done) -> None:
    """So that equal parameters mean something."""
    folder, _ = done
    best = torch.load(folder / "one" / "checkpoints" / "best.ckpt", weights_only=True)
    state = parameters(folder / "one")
    moved = [float((best["state_dict"][key] - state[key]).abs().max()) for key in state]
    history = pd.read_csv(folder / "one" / "history.csv")
    assert best["epoch"] == 1 or max(moved) > 1e-3
    assert len(history) == 2 and history["train_loss"].nunique() == 2


def test_each_held_out_sample_is_asked_about_once(done: Done) -> None:
    """Seven of them, which two ranks cannot share evenly."""
    folder, _ = done
    tables = [pd.read_csv(folder / name / "validation.csv") for name in ("one", "two")]
    assert list(tables[1]["filename"]) == [f"phantom-0-{number:06d}" for number in range(7)]
    assert tables[1].drop(columns="probability").equals(tables[0].drop(columns="probability"))
    history = pd.read_csv(folder / "two" / "history.csv")
    assert list(history["epoch"]) == [0, 1]  # one process alone writes it


@pytest.mark.parametrize("name", ["second diverges", "first fails", "second is killed"])
def test_a_rank_that_fails_ends_them_all(done: Done, name: str) -> None:
    _, results = done
    assert 0 not in results[name]["codes"]
    assert results[name]["seconds"] < 60


def test_a_rank_whose_loss_is_not_finite_says_so(done: Done) -> None:
    _, results = done
    assert "loss is nan in epoch 1" in results["second diverges"]["said"]


def test_the_same_command_goes_on_after_that(done: Done) -> None:
    folder, results = done
    assert results["and again"]["codes"] == [0, 0], results["and again"]["said"]
    assert_same_training(folder / "one", folder / "broken")


@pytest.mark.full
def test_the_command_line_starts_its_ranks_itself(tmp_path: Path) -> None:
    """`--devices 2` on real phantoms, as a user types it."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    for name, n_devices in (("one", 1), ("two", 2)):
        typed = arguments(tmp_path / name, n_devices, "stop.max_epochs=1")
        command = [sys.executable, "-m", "stallscan", *typed]
        subprocess.run(command, check=True, timeout=300, env=environment)
    assert_same_training(tmp_path / "one", tmp_path / "two")
