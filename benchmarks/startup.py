"""How long `stallscan --help` and `import stallscan` take, against a bare interpreter.

Run as `python benchmarks/startup.py [--rounds N]`. The variants take turns, so that a noisy machine
is noisy for all; the figure is the median over the rounds, written to results/startup-cpu.csv.
"""

from __future__ import annotations

import argparse
import csv
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

VARIANTS = {
    "python -c pass": ("-c", "pass"),
    "python -c 'import numpy'": ("-c", "import numpy"),
    "python -c 'import stallscan'": ("-c", "import stallscan"),
    "stallscan --help": ("-m", "stallscan", "--help"),
}


def seconds(arguments: tuple[str, ...]) -> float:
    """Wall time of one interpreter."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
    return time.perf_counter() - began


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results/startup-cpu.csv"
    )
    options = parser.parse_args()
    for arguments in VARIANTS.values():
        seconds(arguments)  # warm-up: byte code, file cache
    times: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for _ in range(options.rounds):
        for name, arguments in VARIANTS.items():
            times[name].append(seconds(arguments))
    bare = statistics.median(times["python -c pass"])
    print(f"Python {platform.python_version()}, {options.rounds} rounds, median")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with options.out.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("what", "median_ms", "ratio_to_bare"))
        for name, values in times.items():
            median = statistics.median(values)
            print(f"{name:<30} {1000 * median:6.0f} ms  {median / bare:5.1f} ×")
            writer.writerow((name, round(1000 * median, 1), round(median / bare, 2)))


if __name__ == "__main__":
    main()
