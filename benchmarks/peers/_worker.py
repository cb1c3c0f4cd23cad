"""What all contenders share: the process that waits, warms up and measures when it is told to.

The driver writes one request a line (JSON) to stdin and gets one answer a line from stdout. While
another contender is measured this one waits for its line and takes no time from it.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from _displacement import statistics
from _volumes import volumes
from numpy.typing import NDArray

Augment = Callable[[NDArray], Any]
"""Takes ``(z, y, x, c)``; returns what the library returns: channels first or last, any dtype."""


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A library as its users would use it, at its fastest.

    Attributes:
        name: with version.
        licence: SPDX.
        pipeline: ``winner_v20`` for volumes of a shape ``(z, y, x, c)``, resized to ``(z, y, x)``.
        transforms: the single transforms by the names of ours, each with p = 1, made when asked
            for; those that the library lacks are left out.
        notes: by the same names and "pipeline", what the library lacks or does otherwise.
        elastic: for limits of the deformation, the elastic transform of float32 volumes with the
            border mode "nearest".
    """

    name: str
    licence: str
    pipeline: Callable[[tuple[int, ...], tuple[int, ...]], Augment]
    transforms: Callable[[tuple[int, ...], tuple[int, ...]], dict[str, Callable[[], Augment]]]
    notes: dict[str, str] = field(default_factory=dict)
    elastic: Callable[[tuple[float, float]], Augment] | None = None


class Worker:
    """Answers requests about one contender."""

    def __init__(self, contender: Contender) -> None:
        self.contender = contender
        self.call: Augment
        self.volumes: list[NDArray]

    def warm(self, what: str, shape: list[int], size: list[int], calls: int) -> dict[str, Any]:
        """Make a pipeline or transform ready, and call it."""
        if what == "pipeline":
            self.call = self.contender.pipeline(tuple(shape), tuple(size))
        else:
            offered = self.contender.transforms(tuple(shape), tuple(size))
            if what not in offered:
                return {"missing": True}
            self.call = offered[what]()
        as_float, framed = what == "FromFloat", what == "RemoveEmptyBorder"
        self.volumes = volumes(tuple(shape), as_float=as_float, framed=framed)
        before = [zlib.crc32(volume) for volume in self.volumes]
        got = tuple(contiguous(self.call(self.volumes[0])).shape)
        if what in ("pipeline", "Resize") and tuple(size) not in (got[:3], got[1:]):
            raise ValueError(f"{what} gave the shape {got}, not {size}")
        self.block(calls - 1)
        if [zlib.crc32(volume) for volume in self.volumes] != before:
            raise ValueError(f"{what} changes its input")
        return {"note": self.contender.notes.get(what, "")}

    def time(self, calls: int, least_s: float) -> dict[str, Any]:
        """Mean CPU milliseconds of so many calls, or of as many times more as fill `least_s`."""
        self.block(2)  # the caches are cold after the wait
        n, seconds, began = 0, 0.0, time.process_time()
        while n == 0 or seconds < least_s:
            self.block(calls)
            n, seconds = n + calls, time.process_time() - began
        return {"ms": 1000 * seconds / n}

    def block(self, calls: int) -> None:
        """Call, one volume after the other."""
        for index in range(calls):
            contiguous(self.call(self.volumes[index % len(self.volumes)]))

    def displacement(
        self, limits: tuple[float, float], shape: tuple[int, int, int], draws: int
    ) -> dict[str, Any]:
        """What the elastic transform does to coordinates; the largest displacement is σ / 2."""
        if self.contender.elastic is None:
            return {"missing": True}
        bend = self.contender.elastic(tuple(limits))
        return statistics(bend, tuple(shape), draws, reach=limits[1] / 2)


def contiguous(result: Any) -> Any:
    """Flips and crops that only look at memory otherwise still have to be done, for all alike."""
    return np.ascontiguousarray(result) if isinstance(result, np.ndarray) else result.contiguous()


def serve(contender: Contender) -> None:
    """Answer until stdin ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not get among the answers
    warnings.simplefilter("ignore")
    if "cv2" in sys.modules:
        sys.modules["cv2"].setNumThreads(1)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    worker = Worker(contender)
    print(json.dumps({"name": contender.name, "licence": contender.licence}), file=answers)
    answers.flush()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(worker, request.pop("do"))(**request)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)
