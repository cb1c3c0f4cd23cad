"""``--engine auto``: a short probe of what is installed."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stallscan.inference.engine import Engine, is_installed, make_engine
from stallscan.inference.member import LoadedMember
from stallscan.inference.options import EngineName

SHORT_S = 10.0
"""Seconds of work below which PyTorch, which is loaded anyway, is done before others are ready."""
FRAMES = 48
"""Depth that is probed where a network takes stacks as deep as they are."""
ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Choice:
    """An engine and why it was chosen.

    Attributes:
        name: of the engine.
        seconds: a vessel takes, flips and members together, per engine that was tried.
        reason: for the user, in a few words.
    """

    name: EngineName
    seconds: dict[EngineName, float]
    reason: str


def choose_engine(members: tuple[LoadedMember, ...], *, flips: int, n_vessels: int) -> Choice:
    """Time the engines on one member with random input, and take the fastest.

    Args:
        members: of which the first is probed; the others are taken to cost as much each.
        flips: mirrored copies that make a batch.
        n_vessels: how many there are to predict; for few of them PyTorch is taken unprobed
            against others.
    """
    network, batch = members[0].model, _batch(members[0], flips)
    seconds: dict[EngineName, float] = {}
    seconds["torch"] = len(members) * _time(make_engine(network, "torch"), batch)
    if (expected := n_vessels * seconds["torch"]) < SHORT_S:
        return Choice("torch", seconds, f"{expected:.1f} s of work, too little for another engine")
    others: tuple[EngineName, ...] = ("openvino", "onnxruntime")
    for name in others:
        if is_installed(name):
            seconds[name] = len(members) * _time(make_engine(network, name), batch)
            break  # ONNX Runtime is for where OpenVINO is not
    best = min(seconds, key=seconds.__getitem__)
    found = ", ".join(f"{name} {1000 * took:.0f} ms" for name, took in seconds.items())
    return Choice(best, seconds, f"a vessel takes {found}")


def _batch(member: LoadedMember, flips: int) -> NDArray[np.float32]:
    z, y, x = member.preprocessing.size
    shape = (flips, len(member.preprocessing.channels), z or FRAMES, y, x)
    return np.random.default_rng(0).standard_normal(shape, np.float32)


def _time(engine: Engine, batch: NDArray[np.float32]) -> float:
    """Median seconds of a call, after one that warms up."""
    engine(batch)
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        engine(batch)
        times.append(time.perf_counter() - began)
    return statistics.median(times)
