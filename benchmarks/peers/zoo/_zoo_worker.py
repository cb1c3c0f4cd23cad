"""What the contenders of `benchmarks/zoo.py` share: one process, one network, on the driver's word.

The driver writes one request a line (JSON) to stdin and gets one answer a line from stdout. A
process that waits for its line takes no time from the others.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class Task:
    """What all contenders have to do alike.

    Attributes:
        network: registry name of ours.
        what: a forward pass without gradients, or a training step in bfloat16.
        size: ``(z, y, x)`` of the input, which has three channels.
        batch: volumes at once.
        threads: that the library may use.
        device: "cpu" or "cuda".
        channels_last: keep the channels innermost in memory; of PyTorch's networks.
        precision: of a forward pass; bf16 of PyTorch's networks is autocast.
        engine: that computes; of `ours_engine` alone.
    """

    network: str
    what: Literal["forward", "training"]
    size: tuple[int, int, int]
    batch: int
    threads: int
    device: Literal["cpu", "cuda"]
    channels_last: bool = False
    precision: Literal["float32", "bf16"] = "float32"
    engine: str = ""

    def input(self) -> NDArray[np.float32]:
        """``(n, c, z, y, x)`` about zero: the same numbers for all."""
        rng = np.random.default_rng(0)
        return rng.standard_normal((self.batch, 3, *self.size), dtype=np.float32)


@dataclass(frozen=True, kw_only=True)
class Job:
    """A network that is built and has its input.

    Attributes:
        run: does the task once; returns the logits ``(n, 1)``, or the loss.
        macs: multiply-accumulates of the forward pass of one volume.
        training_macs: of a training step of one volume.
        parameters: trainable ones.
        note: what tells the network from ours.
        wait: returns when the device has done all that was asked.
        device_peak: largest number of bytes in use on the device; None where that is the host.
    """

    run: Callable[[], Any]
    macs: int
    training_macs: int
    parameters: int
    note: str = ""
    wait: Callable[[], None] = lambda: None
    device_peak: Callable[[], int] | None = None


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A library as its users would use it.

    Attributes:
        name: with version.
        licence: SPDX.
        runtime: what computes, with version.
        build: makes the job of a task; None where it has no such network or task.
    """

    name: str
    licence: str
    runtime: str
    build: Callable[[Task], Job | None]


class Worker:
    """Answers requests about one contender."""

    def __init__(self, contender: Contender) -> None:
        self.contender = contender
        self.job: Job
        self.resting: int

    def build(self, *, size: list[int], **task: Any) -> dict[str, Any]:
        """Build the network and run it once."""
        forget_peak()
        self.resting = resident("VmRSS")
        asked = Task(size=(size[0], size[1], size[2]), **task)
        job = self.contender.build(asked)
        if job is None:
            return {"missing": True}
        self.job = job
        result = job.run()
        got = np.asarray(result.cpu() if hasattr(result, "cpu") else result)
        if asked.what == "forward" and got.shape != (asked.batch, 1):
            raise ValueError(f"the logits have the shape {got.shape}, not {(asked.batch, 1)}")
        if not np.isfinite(got).all():
            raise ValueError("the result is not finite")
        return {
            "macs": job.macs,
            "training_macs": job.training_macs,
            "parameters": job.parameters,
            "note": "; ".join(filter(None, (job.note, self.contender.runtime))),
        }

    def time(self, calls: int) -> dict[str, Any]:
        """Mean milliseconds on the wall of so many runs in a row."""
        self.job.run()  # caches are cold after the wait, and threads of others may still spin
        self.job.wait()
        began = time.perf_counter()
        for _ in range(calls):
            self.job.run()
        self.job.wait()
        return {"ms": 1000 * (time.perf_counter() - began) / calls}

    def memory(self) -> dict[str, Any]:
        """Peak since the request to build, over what the process held before it."""
        if self.job.device_peak is not None:
            return {"mib": self.job.device_peak() / MIB}
        return {"mib": (resident("VmHWM") - self.resting) / MIB}


def resident(field: Literal["VmRSS", "VmHWM"]) -> int:
    """Bytes of this process in memory, now or at most (Linux).

    ``ru_maxrss`` will not do: a process starts with its parent's.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return 1024 * int(line.split()[1])
    raise OSError(f"/proc/self/status has no {field}; memory is measured on Linux only")


def forget_peak() -> None:
    """Let the peak start from what is resident now; importing may have taken more for a while."""
    with suppress(OSError):  # not every container allows it
        Path("/proc/self/clear_refs").write_text("5")


def serve(contender: Contender) -> None:
    """Answer until stdin ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not get among the answers
    warnings.simplefilter("ignore")
    worker = Worker(contender)
    greeting = {"name": contender.name, "licence": contender.licence}
    print(json.dumps(greeting), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(worker, request.pop("do"))(**request)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)
