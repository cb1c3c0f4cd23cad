"""Memory: what the system leaves, what a network takes, and what is said when it is too much."""

from __future__ import annotations

import copy
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from stallscan.errors import OptionError
from stallscan.models import Network, create_model
from stallscan.models.footprint import MARGIN, _Live, estimate_memory, require_memory_for
from stallscan.models.memory import _cpu_memory, available_memory, require_memory

GIB = 2**30

FLOAT = 4  # bytes


def on_meta(name: str, **options: object) -> Network:
    with torch.device("meta"):
        return create_model(name, **options)


def n_bytes(model: Network) -> int:
    return sum(t.numel() * t.element_size() for t in model.state_dict().values())


# --- What there is ----------------------------------------------------------------------------


def write(path: Path, text: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n")


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    write(tmp_path / "proc/meminfo", "MemTotal: 9000 kB\nMemAvailable:    5000 kB\nHugePages: 0")
    return tmp_path / "proc"


def test_without_groups_it_is_what_the_kernel_calls_available(proc: Path, tmp_path: Path) -> None:
    assert _cpu_memory(proc, tmp_path / "none") == 5000 * 1024


@pytest.mark.parametrize("limited", ["batch", "batch/job"])
def test_a_group_of_version_2_or_one_around_it(limited: str, proc: Path, tmp_path: Path) -> None:
    write(proc / "self/cgroup", "0::/batch/job")
    for group in ("batch", "batch/job"):
        write(tmp_path / f"groups/{group}/memory.max", 3000 if group == limited else "max")
        write(tmp_path / f"groups/{group}/memory.current", 1000)
        write(tmp_path / f"groups/{group}/memory.stat", "anon 800\ninactive_file 150\nfile 200")
    assert _cpu_memory(proc, tmp_path / "groups") == 3000 - 1000 + 150


def test_a_group_of_version_1_in_a_container(proc: Path, tmp_path: Path) -> None:
    """There the group's own path does not exist: the container sees itself as the root."""
    write(proc / "self/cgroup", "5:cpu,cpuacct:/docker/ab\n4:memory:/docker/ab\n1:name=systemd:/x")
    root = tmp_path / "groups/memory"
    write(root / "memory.limit_in_bytes", 4000)
    write(root / "memory.usage_in_bytes", 3500)
    write(root / "memory.stat", "inactive_file 7\ntotal_inactive_file 100")
    assert _cpu_memory(proc, tmp_path / "groups") == 600


def test_a_limit_above_the_machine_is_none(proc: Path, tmp_path: Path) -> None:
    write(proc / "self/cgroup", "0::/")
    write(tmp_path / "groups/memory.max", 2**60)
    write(tmp_path / "groups/memory.current", 1000)
    assert _cpu_memory(proc, tmp_path / "groups") == 5000 * 1024


def test_this_machine_says_something_plausible() -> None:
    available = available_memory()
    assert available is not None and 2**26 < available < 2**50
    assert available_memory("meta") is None


def test_too_much_is_refused_with_need_rest_and_remedy() -> None:
    with pytest.raises(OptionError) as caught:
        require_memory(int(12.3 * GIB), "the network", "cpu", limit=4 * GIB)
    assert str(caught.value) == (
        "the network needs about 12.3 GiB of memory, available are 4 GiB; "
        "lower the width, the batch or the size"
    )
    with pytest.raises(OptionError, match=r"available are .* on cpu; lower the width"):
        require_memory(2**60, "the network")
    require_memory(4 * GIB, "the network", "cpu", limit=4 * GIB)
    require_memory(2**60, "shapes alone", torch.device("meta"))


def test_weights_that_do_not_fit_are_refused_before_they_are_allocated() -> None:
    with pytest.raises(OptionError, match=r"weights of densenet121 of width 64 needs? about"):
        create_model("densenet121", width=64)


# --- What a network takes ---------------------------------------------------------------------


def test_storages_count_once_and_until_they_die() -> None:
    with torch.no_grad(), _Live() as live:
        x = torch.empty(10, device="meta")
        view = x.view(2, 5)[1:]
        view.add_(1)
        assert live.now == 40
        y = x + 1
        assert (live.now, live.peak) == (80, 80)
        del x
        assert live.now == 80  # the view holds it
        del view
        assert (live.now, live.peak) == (40, 80)
        del y
        assert live.now == 0


def test_inference_in_closed_form() -> None:
    """A narrow ResNet peaks at its first normalisation, whose input and output are both alive."""
    model = on_meta("resnet18", in_channels=2)
    stem = 64 * 48 * 64 * 64
    for batch_size in (1, 3):
        expected = n_bytes(model) + FLOAT * batch_size * (2 * 96 * 128 * 128 + 2 * stem)
        found = estimate_memory(model, (96, 128, 128), batch_size)
        assert found == pytest.approx(expected, rel=1e-4)


def test_training_keeps_activations_and_gradients_and_states() -> None:
    model = on_meta("resnet50", width=0.25)
    size = (48, 64, 64)
    inference = estimate_memory(model, size, 2)
    steps = [estimate_memory(model, size, n, training=True) for n in (2, 4, 6)]
    assert steps[0] > 1.5 * inference
    assert steps[2] - steps[1] == pytest.approx(steps[1] - steps[0], rel=0.02)
    weights = FLOAT * sum(p.numel() for p in model.parameters())
    with_adam = estimate_memory(model, size, 2, training=True, optimizer_states=2)
    assert with_adam - steps[0] == 2 * weights


def test_with_hardly_any_activations_training_takes_weights_and_gradients() -> None:
    model = on_meta("resnet50")
    weights = FLOAT * sum(p.numel() for p in model.parameters())
    found = estimate_memory(model, (32, 32, 32), 2, training=True)
    assert 2 * weights < found < 2.2 * weights


@pytest.mark.parametrize("name", ["densenet121", "resnet50", "mobilenetv2_100"])
def test_checkpointing_shows(name: str) -> None:
    size = (64, 96, 96)
    plain, sparing = (
        estimate_memory(on_meta(name, checkpointing=each, width=0.5), size, 2, training=True)
        for each in (False, True)
    )
    assert sparing < 0.8 * plain


def test_checkpointing_does_nothing_to_inference() -> None:
    plain, sparing = (
        estimate_memory(on_meta("resnet18", checkpointing=each), (64, 96, 96))
        for each in (False, True)
    )
    assert plain == sparing


MEASURE = """
import torch
from stallscan.models import create_model
from stallscan.models.footprint import estimate_memory
torch.set_num_threads(1)
model, size = create_model("densenet121"), (96, 128, 128)
estimate = estimate_memory(model, size, training=True)
weights = sum(t.numel() * t.element_size() for t in model.state_dict().values())
def peak():  # not ru_maxrss, which begins with that of the process that started this one
    lines = open("/proc/self/status").read().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
before = peak()
model(torch.ones(1, 3, *size)).sum().backward()
print(estimate, peak() - before + weights)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_process_grows_by_about_the_estimate() -> None:
    """Measured 0.93 to 1.30 over four networks; wider here, for what the library loads."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE],
        check=True,
        capture_output=True,
        text=True,
    )
    estimate, measured = map(int, done.stdout.split())
    assert 0.8 < measured / estimate < 1.5


def test_the_model_stays_as_it_is() -> None:
    model = create_model("resnet18", width=0.125, head="paper").train()
    before, random = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    estimate_memory(model, (40, 40, 40), 2, training=True)
    estimate_memory(model, (40, 40, 40))
    assert model.training and torch.equal(torch.get_rng_state(), random)
    assert all(p.grad is None and p.device.type == "cpu" for p in model.parameters())
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key])


@pytest.mark.parametrize(
    ("size", "batch_size", "message"),
    [
        ((5, 40, 40), 2, "input is 5×40×40, allowed are"),
        ((40, 40, 40), 0, "batch_size is 0, allowed are whole numbers from 1"),
        ((32, 32, 32), 1, "leaves 1 voxel of features, allowed in training are 2 or more"),
    ],
)
def test_what_cannot_be_estimated(size: tuple[int, ...], batch_size: int, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        estimate_memory(on_meta("densenet121", width=0.25), size, batch_size, training=True)


# --- What is said -----------------------------------------------------------------------------


def refusal(model: Network, size: tuple[int, ...], batch_size: int, **options: object) -> str:
    with pytest.raises(OptionError) as caught:
        require_memory_for(model, size, batch_size, **options)
    return str(caught.value)


def test_a_batch_and_a_size_that_fit_are_named() -> None:
    model, size, batch_size = on_meta("resnet50", width=0.25), (64, 128, 128), 6
    needed = estimate_memory(model, size, batch_size, training=True)
    limit = int(0.9 * needed)
    message = refusal(model, size, batch_size, training=True, limit=limit)
    assert message.startswith(
        "training of ResNet on a batch of 6×3×64×128×128 needs about "
        f"{needed / GIB:.3g} GiB of memory, available are {limit / GIB:.3g} GiB; "
    )
    found = re.search(r"; lower the batch to (\d+), or lower the size to ([\d×]+), or set", message)
    assert found, message
    batch, smaller = int(found[1]), tuple(map(int, found[2].split("×")))
    for fitting in ((size, batch), (smaller, batch_size)):
        estimate = estimate_memory(model, *fitting, training=True)
        assert estimate * MARGIN <= limit
        require_memory_for(model, *fitting, training=True, limit=limit)
    assert estimate_memory(model, size, batch + 1, training=True) * MARGIN > limit
    assert all(
        extent % 32 == 0 and extent <= old for extent, old in zip(smaller, size, strict=True)
    )
    assert smaller[0] < smaller[1] == smaller[2]  # about the same aspect
    assert message.endswith("set checkpointing=True")
    sparing = on_meta("resnet50", width=0.25, checkpointing=True)
    assert estimate_memory(sparing, size, batch_size, training=True) * MARGIN <= limit


def test_strides_by_axis_are_kept() -> None:
    model = on_meta("resnet18", stride=(1, 2, 2), width=0.25)
    size = (20, 224, 224)
    limit = estimate_memory(model, size) // 2
    message = refusal(model, size, 1, limit=limit)
    found = re.search(r"; lower the size to (\d+)×(\d+)×(\d+)$", message)
    assert found, message
    depth, *plane = map(int, found.groups())
    assert depth < 20 and all(extent % 32 == 0 and extent < 224 for extent in plane)


def test_where_nothing_smaller_fits_the_width_is_left() -> None:
    message = refusal(on_meta("resnet18"), (64, 64, 64), 2, limit=2**20)
    assert message.endswith("; lower the width, or use a smaller network")


def test_what_fits_is_let_through_and_the_weights_that_are_there_do_not_count_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = create_model("resnet18", width=0.25)
    weights = FLOAT * sum(p.numel() for p in model.parameters())
    free = estimate_memory(model, (32, 32, 32), 2) - weights
    monkeypatch.setattr("stallscan.models.footprint.available_memory", lambda device: free)
    require_memory_for(model, (32, 32, 32), 2)
    monkeypatch.setattr("stallscan.models.footprint.available_memory", lambda device: free - 1)
    refusal(model, (32, 32, 32), 2)
    monkeypatch.setattr("stallscan.models.footprint.available_memory", lambda device: None)
    require_memory_for(model, (32, 32, 32), 2)
