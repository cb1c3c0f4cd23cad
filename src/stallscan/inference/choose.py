"""What computes, where nothing was asked for: a GPU, or the fastest engine in a short probe."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray

from stallscan.inference.device import BATCH, choose_device
from stallscan.inference.engine import ENGINES, Engine, is_installed, make_engine, readers
from stallscan.inference.member import LoadedMember
from stallscan.inference.options import EngineName, Precision, PredictOptions

SHORT_S = 10.0
"""Seconds of work below which PyTorch, which is loaded anyway, is done before others are ready."""
FRAMES = 48
"""Depth that is probed where a network takes stacks as deep as they are."""
ROUNDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What computes, and why.

    Attributes:
        engine: by name.
        device: as PyTorch names it.
        precision: of the computation.
        batch: vessels at once.
        seconds: a vessel takes, flips and members together, per engine that was tried.
        reason: for the user, in a few words; empty where nothing was left to choose.
    """

    engine: EngineName
    device: str
    precision: Precision
    batch: int
    seconds: dict[EngineName, float] = field(default_factory=dict)
    reason: str = ""


def choose(
    options: PredictOptions, members: tuple[LoadedMember, ...], *, flips: int, n_vessels: int
) -> Choice:
    """Settle what the user left open.

    Args:
        options: of the user.
        members: of which the first is probed; the others are taken to cost as much each.
        flips: mirrored copies that make a batch.
        n_vessels: how many there are to predict.

    Raises:
        OptionError: what was asked for is not to be had on this machine.
    """
    graphs = [member.graph for member in members if member.graph is not None]
    on_cpu = options.device == "auto" and (graphs or options.engine not in ("auto", "torch"))
    device = choose_device("cpu" if on_cpu else options.device, precision=options.precision)
    batch = options.batch or BATCH[device.type]
    chosen = Choice(engine="torch", device=str(device), precision=options.precision, batch=batch)
    if options.engine != "auto":
        return replace(chosen, engine=options.engine)
    if graphs:
        able = [name for name in ENGINES if all(name in readers(graph) for graph in graphs)]
        there = [name for name in able if is_installed(name)] or able
        return replace(chosen, engine=there[0], reason="the model is an export")
    if device.type != "cpu":
        return replace(chosen, reason=f"a GPU, {torch.cuda.get_device_name(device)}")
    engine, seconds, reason = _probe(members, flips=flips, n_vessels=n_vessels)
    return replace(chosen, engine=engine, seconds=seconds, reason=reason)


def _probe(
    members: tuple[LoadedMember, ...], *, flips: int, n_vessels: int
) -> tuple[EngineName, dict[EngineName, float], str]:
    """Time the engines on one member with random input, and take the fastest.

    For little work PyTorch is taken unprobed against others.
    """
    network, batch = members[0].model, _batch(members[0], flips)
    engines: dict[EngineName, Engine] = {"torch": make_engine(network, "torch")}
    engines["torch"](batch)  # warms up
    seconds: dict[EngineName, float] = {"torch": len(members) * _time(engines["torch"], batch)}
    if (expected := n_vessels * seconds["torch"]) < SHORT_S:
        return "torch", seconds, f"{expected:.1f} s of work, too little for another engine"
    # ONNX Runtime is for where OpenVINO is not.
    others: tuple[EngineName, ...] = ("openvino", "onnxruntime")
    if other := next((name for name in others if is_installed(name)), None):
        engines[other] = make_engine(network, other)
        engines[other](batch)
    # In turn, and the least counts: what else the machine does at a moment shall not decide.
    for _ in range(ROUNDS):
        for name, engine in engines.items():
            took = len(members) * _time(engine, batch)
            seconds[name] = min(seconds.get(name, took), took)
    best = min(seconds, key=seconds.__getitem__)
    found = ", ".join(f"{name} {1000 * took:.0f} ms" for name, took in seconds.items())
    return best, seconds, f"a vessel takes {found}"


def _batch(member: LoadedMember, flips: int) -> NDArray[np.float32]:
    z, y, x = member.preprocessing.size
    shape = (flips, len(member.preprocessing.channels), z or FRAMES, y, x)
    return np.random.default_rng(0).standard_normal(shape, np.float32)


def _time(engine: Engine, batch: NDArray[np.float32]) -> float:
    """Seconds of a call."""
    began = time.perf_counter()
    engine(batch)
    return time.perf_counter() - began
