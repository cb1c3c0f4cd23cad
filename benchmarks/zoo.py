"""Forward time and memory of our networks against MONAI's and the paper's authors'.

Run as `python benchmarks/zoo.py [--networks NAME …]`; peers/README.md says how to get the peers.
Each contender is a process for itself with the interpreter of its environment, the same number of
threads and the same float32 input, laid out beforehand as it likes it. All are built and run once,
then take turns: in each round a run that does not count and `--calls` that do, on the wall. ms is
the median over the rounds, spread the largest minus the smallest, ratio_to_ours and
ratio_to_ours_channels_last the medians of the rounds' ratios to our network, in PyTorch's common
layout and in channels_last_3d as the predictor has it (2: twice the time of ours).

MiB is the largest resident memory since building began, over what the process held before it:
weights, activations, the code that computing loads, and what the allocator keeps of the freed, so
that some tens of MiB are chance. GMACs and parameters are counted on each contender's own layers.
Written to results/zoo-cpu.csv, where rows of other networks stay.

`--what training` (the default with `--device cuda`) measures a training step in bfloat16 autocast:
volumes_per_s, and share_of_peak, the floating-point operations of forward and backward pass in a
second over what the device can do at most in dense bfloat16. On a CUDA device MiB is the device
memory in use at most. Written to results/zoo-training-<device>.csv.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import re
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peers._process import ContenderProcess

REPOSITORY = Path(__file__).parents[1]
BF16_TFLOPS = {
    "H200 NVL": 835.5,
    "H200": 989.4,
    "H100 PCIe": 756.5,
    "H100 NVL": 835.5,
    "H100": 989.4,
    "A100": 311.9,
    "L40S": 362.1,
    "L4": 121.0,
}
"""Dense bfloat16 peak by words of the device's name, from the data sheets; the first is taken."""
COLUMNS = (
    *("what", "network", "input", "contender", "licence", "ms", "spread", "ratio_to_ours"),
    *("ratio_to_ours_channels_last", "volumes_per_s", "share_of_peak", "MiB", "GMACs"),
    *("parameters", "note"),
)
Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A contender in one layout.

    Attributes:
        script: in peers/zoo.
        environment: whose interpreter runs it: "ours", "peers" or "keras".
        channels_last: lay out weights and input as channels_last_3d.
    """

    script: str
    environment: str
    channels_last: bool = False


ENTRIES = (
    Entry(script="ours", environment="ours"),
    Entry(script="ours", environment="ours", channels_last=True),
    Entry(script="monai_1", environment="peers"),
    Entry(script="monai_1", environment="peers", channels_last=True),
    Entry(script="classification_models_3d", environment="keras"),
)


@dataclass(kw_only=True)
class Found:
    """A contender that is ready, and what was measured of it."""

    entry: Entry
    process: Any
    facts: Row
    ms: list[float]
    mib: float = 0.0

    @property
    def name(self) -> str:
        """Library, version, layout."""
        return f"{self.process.name}{', channels_last_3d' if self.entry.channels_last else ''}"


def start(stack: ExitStack, network: str, options: argparse.Namespace) -> list[Found]:
    """All contenders that are installed and have the network, ready; the others are named."""
    pythons = {
        "ours": sys.executable,
        "peers": options.peers_python,
        "keras": options.keras_python,
    }
    found = []
    for entry in ENTRIES:
        try:
            process = stack.enter_context(
                ContenderProcess(pythons[entry.environment], f"zoo/{entry.script}")
            )
            facts = process.ask(
                "build",
                network=network,
                what=options.what,
                size=options.size,
                batch=options.batch,
                threads=options.threads,
                device=options.device,
                channels_last=entry.channels_last,
            )
        except (OSError, ChildProcessError) as error:
            facts = {"error": str(error)}
        if "missing" in facts:
            facts = {"error": f"has no {options.what} of it"}
        if "error" in facts:
            layout = ", channels_last_3d" if entry.channels_last else ""
            print(f"left out: {network} of {entry.script}{layout} ({facts['error']})")
        else:
            found.append(Found(entry=entry, process=process, facts=facts, ms=[]))
    return found


def take_turns(found: Sequence[Found], rounds: int, calls: int) -> None:
    """One block of each contender a round, then their memory."""
    for turn in range(rounds):
        first = turn % max(len(found), 1)  # nobody is always first
        for contender in (*found[first:], *found[:first]):
            contender.ms.append(_asked(contender, "time", calls=calls)["ms"])
    for contender in found:
        contender.mib = _asked(contender, "memory")["mib"]


def _asked(contender: Found, do: str, **request: Any) -> Row:
    answer: Row = contender.process.ask(do, **request)
    if "error" in answer:
        raise RuntimeError(f"{do} of {contender.name}: {answer['error']}")
    return answer


def table(
    network: str, found: Sequence[Found], options: argparse.Namespace, peak_tflops: float | None
) -> list[Row]:
    """A row for each contender."""
    ours = [each for each in found if each.entry.environment == "ours"]
    references = [[each.ms for each in ours if each.entry.channels_last == k] for k in (0, 1)]
    rows = []
    for each in found:
        per_s = 1000 * options.batch / float(np.median(each.ms))
        flops = 2 * per_s * each.facts["training_macs"]
        share = flops / (1e12 * peak_tflops) if peak_tflops and options.what == "training" else None
        row = (
            *(options.what, network, "x".join(map(str, (options.batch, 3, *options.size)))),
            *(each.name, each.process.licence),
            *(f"{np.median(each.ms):.1f}", f"{max(each.ms) - min(each.ms):.1f}"),
            *(f"{np.median(np.divide(each.ms, ms[0])):.2f}" if ms else "" for ms in references),
            *(f"{per_s:.2f}", "" if share is None else f"{share:.3f}", f"{each.mib:.0f}"),
            *(f"{each.facts['macs'] / 1e9:.2f}", each.facts["parameters"], each.facts["note"]),
        )
        rows.append(dict(zip(COLUMNS, row, strict=True)))
    return rows


def read(path: Path) -> list[Row]:
    """What was measured before; nothing where there is no table."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def write(path: Path, rows: list[Row]) -> None:
    """The table, after every network: a killed run loses little."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def line(row: Row) -> str:
    """One contender's figures."""
    share = f", {float(row['share_of_peak']):.1%} of peak" if row["share_of_peak"] else ""
    return (
        f"{row['network']:<12} {row['contender']:<34} {row['ms']:>8} ms (spread {row['spread']}) "
        f"{row['ratio_to_ours']:>5} × {row['ratio_to_ours_channels_last']:>5} × "
        f"{row['volumes_per_s']:>6} a second{share} {row['MiB']:>6} MiB  {row['GMACs']} GMACs, "
        f"{row['parameters']} parameters; {row['note']}"
    )


def device_name(device: str) -> str:
    """What computes."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    words = [
        text.partition(":")[2].strip()
        for text in Path("/proc/cpuinfo").read_text().splitlines()
        if text.startswith("model name")
    ]
    return f"{words[0] if words else platform.machine()}, {os.cpu_count()} cores"


def peak_of(name: str) -> float | None:
    """The bfloat16 peak in TFLOP/s, if it is known."""
    peaks = (peak for part, peak in BF16_TFLOPS.items() if re.search(rf"\b{part}\b", name))
    return next(peaks, None)


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=["densenet121", "resnet18"])
    parser.add_argument("--what", choices=("forward", "training"), help="default: by the device")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--size", type=int, nargs=3, default=(96, 128, 128), metavar="N")
    parser.add_argument("--batch", type=int, help="default: 1, training 8")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--calls", type=int, default=3, help="a round, after one more")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peak-tflops", type=float, help="dense bfloat16; default: by the device")
    for peers, folder in (("peers", ".venv-bench"), ("keras", ".venv-keras")):
        python = REPOSITORY / folder / "bin/python"
        parser.add_argument(f"--{peers}-python", type=Path, default=python, metavar="FILE")
    parser.add_argument("--out", type=Path, metavar="FILE", help="of the table")
    options = parser.parse_args()
    options.what = options.what or ("training" if options.device == "cuda" else "forward")
    options.batch = options.batch or (8 if options.what == "training" else 1)
    kind = "zoo-training" if options.what == "training" else "zoo"
    out = options.out or Path(__file__).parent / f"results/{kind}-{options.device}.csv"

    name = device_name(options.device)
    peak_tflops = options.peak_tflops or peak_of(name)
    print(
        f"{name}; {options.threads} threads; Python {platform.python_version()}, torch "
        f"{version('torch')}, NumPy {version('numpy')}; {options.rounds} rounds of {options.calls} "
        f"{'steps in bfloat16' if options.what == 'training' else 'forwards in float32'}"
        + (f"; bfloat16 peak {peak_tflops:g} TFLOP/s" if peak_tflops else "")
    )
    rows = [row for row in read(out) if row["network"] not in options.networks]
    for network in options.networks:
        with ExitStack() as stack:
            found = start(stack, network, options)
            take_turns(found, options.rounds, options.calls)
            rows += table(network, found, options, peak_tflops)
            print(*map(line, rows[-len(found) :] if found else ()), sep="\n", flush=True)
        write(out, rows)


if __name__ == "__main__":
    main()
