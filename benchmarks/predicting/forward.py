"""One forward pass: PyTorch eager, our engines, MONAI and the paper's authors' networks."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from peers._process import ContenderProcess
from tqdm import tqdm

from predicting._turns import in_turn, matmul_peak, ratio, spread

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A contender.

    Attributes:
        label: in the table.
        script: in peers/zoo.
        environment: whose interpreter runs it: "ours", "peers" or "keras".
        task: what it is told beside the task that all share.
    """

    label: str
    script: str
    environment: str = "ours"
    task: dict[str, Any] = field(default_factory=dict)


def _engine(label: str, **task: Any) -> Entry:
    return Entry(label=label, script="ours_engine", task=task)


BF16 = {"precision": "bf16"}
ENTRIES = {
    "cpu": (
        Entry(label="eager", script="ours"),
        *(_engine(name, engine=name) for name in ("torch", "openvino", "int8", "onnxruntime")),
        _engine("auto", engine="auto"),
        Entry(label="monai", script="monai_1", environment="peers"),
        Entry(label="keras", script="classification_models_3d", environment="keras"),
    ),
    "cuda": (
        Entry(label="eager", script="ours"),
        Entry(label="eager bf16", script="ours", task=BF16),
        _engine("torch", engine="torch"),
        _engine("torch bf16", engine="torch", **BF16),
        Entry(label="monai", script="monai_1", environment="peers"),
        Entry(label="monai bf16", script="monai_1", environment="peers", task=BF16),
        Entry(
            label="monai bf16, channels_last_3d",
            script="monai_1",
            environment="peers",
            task={**BF16, "channels_last": True},
        ),
    ),
}
"""bf16 of networks that are no engine of ours is autocast."""


@dataclass(kw_only=True)
class Ready:
    """A contender that is built, and the milliseconds of its rounds."""

    label: str
    process: ContenderProcess
    facts: Row
    ms: list[float]


def forward(options: argparse.Namespace, peak_tflops: float | None) -> pd.DataFrame:
    """Rows of all networks.

    Args:
        options: of the command line.
        peak_tflops: of the device; None measures that of float32 products in each round.
    """
    rows: list[Row] = []
    for network in options.networks:
        with ExitStack() as stack:
            ready = _start(stack, network, options)
            peaks = []
            for turn in tqdm(range(options.rounds or 7), desc=f"forward, {network}"):
                peaks.append(
                    1e12 * peak_tflops
                    if peak_tflops
                    else matmul_peak(options.matmul, options.threads)
                )
                for each in in_turn(ready, turn):
                    answer = each.process.ask("time", calls=options.calls)
                    if "error" in answer:
                        raise RuntimeError(f"{network} of {each.label}: {answer['error']}")
                    each.ms.append(answer["ms"])
            shape = "x".join(map(str, (options.batch, 3, *options.size)))
            rows += [
                {"network": network, "input": shape, **row}
                for row in table(ready, peaks, options.batch)
            ]
            if not peak_tflops:
                rows.append({"network": network, **_peak_row(peaks, options.matmul)})
    return pd.DataFrame(rows).astype({"parameters": "Int64"})  # the peak has none


def _start(stack: ExitStack, network: str, options: argparse.Namespace) -> list[Ready]:
    """All contenders that are installed and have the network; the others are named."""
    pythons = {
        "ours": sys.executable,
        "peers": options.peers_python,
        "keras": options.keras_python,
    }
    ready = []
    for entry in ENTRIES[options.device]:
        if options.contenders and entry.label not in options.contenders:
            continue
        task = {"network": network, "what": "forward", "size": options.size, **entry.task}
        task |= {"batch": options.batch, "threads": options.threads, "device": options.device}
        try:
            process = stack.enter_context(
                ContenderProcess(pythons[entry.environment], f"zoo/{entry.script}")
            )
            facts = process.ask("build", **task)
        except (OSError, ChildProcessError) as error:
            facts = {"error": str(error)}
        if "missing" in facts:
            facts = {"error": "has no such network"}
        if "error" in facts:
            print(f"left out: {network} of {entry.label} ({facts['error']})")
        else:
            ready.append(Ready(label=entry.label, process=process, facts=facts, ms=[]))
    return ready


def table(ready: list[Ready], peaks: list[float], batch: int) -> list[Row]:
    """A row for each contender; ratios and shares are medians over the rounds.

    Args:
        ready: contenders with their rounds.
        peaks: operations a second of the rounds.
        batch: volumes at once.
    """
    ms = {each.label: each.ms for each in ready}
    rows = []
    for each in ready:
        per_s = 1000 * batch / np.array(each.ms)
        macs = each.facts["macs"]
        rows.append(
            {
                "contender": each.label,
                "library": each.process.name,
                "licence": each.process.licence,
                "ms": float(np.median(each.ms)),
                "spread": spread(each.ms),
                "speed_over_eager": ratio(ms["eager"], each.ms) if "eager" in ms else None,
                "time_over_auto": ratio(each.ms, ms["auto"]) if "auto" in ms else None,
                "volumes_per_s": float(np.median(per_s)),
                "GFLOP_per_s": float(np.median(2 * macs * per_s)) / 1e9,
                "share_of_peak": ratio(2 * macs * per_s, peaks),
                "GMACs": macs / 1e9,
                "parameters": each.facts["parameters"],
                "note": each.facts["note"],
            }
        )
    return rows


def _peak_row(peaks: list[float], sizes: list[int]) -> Row:
    best = [peak / 1e9 for peak in peaks]
    tried = ", ".join(map(str, sizes))
    return {
        "contender": "float32 matmul, the peak",
        "GFLOP_per_s": float(np.median(best)),
        "share_of_peak": 1.0,
        "note": f"best of {tried} rows; rounds {min(best):.0f} to {max(best):.0f}",
    }
