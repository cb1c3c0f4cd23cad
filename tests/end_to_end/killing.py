"""Kill −9 in the middle of `stallscan predict`, then the same command again.

The tests use it on a few drawn clips; by hand it takes any videos:
`python tests/end_to_end/killing.py VIDEOS… --work DIR [--kills N] [--flips N]`.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path


def predict_command(videos: list[Path], out: Path, *options: str) -> list[str]:
    """The command line under test."""
    return [
        sys.executable, "-m", "stallscan", "predict", *map(str, videos), "--out", str(out), "-q",
        *options,
    ]  # fmt: skip


def kill_when(command: list[str], out: Path, n_rows: int, *, group: bool) -> int:
    """Start, kill when at least ``n_rows`` rows are written; the rows found after the kill."""
    partial = out.with_name(out.name + ".partial")
    process = subprocess.Popen(command, start_new_session=True)
    while not partial.exists() or rows_in(partial) < n_rows:
        assert process.poll() is None, f"ended (code {process.returncode}) before it was killed"
        time.sleep(0.01)
    if group:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()
    return rows_in(partial)


def rows_in(table: Path) -> int:
    """Whole rows, without the header."""
    return max(table.read_bytes().count(b"\n") - 1, 0)


def main() -> None:
    """Kill at random places, resume each time, compare with an undisturbed run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("videos", type=Path, nargs="+")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--flips", default="8")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    whole = options.work / "whole.csv"
    began = time.perf_counter()
    flips = ("--flips", options.flips)
    undisturbed = subprocess.run(
        predict_command(options.videos, whole, *flips, "--overwrite"), check=False
    )
    n_rows = rows_in(whole)
    print(f"undisturbed: {n_rows} rows, exit {undisturbed.returncode}, "
          f"{time.perf_counter() - began:.0f} s")  # fmt: skip
    random.seed(options.seed)
    for kill in range(options.kills):
        out = options.work / f"killed{kill}.csv"
        command = predict_command(options.videos, out, *flips)
        share = random.uniform(0.1, 0.9)
        left = kill_when(command, out, round(share * n_rows), group=kill % 2 == 0)
        again = subprocess.run(command, check=False)
        same = out.read_bytes() == whole.read_bytes()
        who = "group" if kill % 2 == 0 else "parent"
        print(f"kill -9 of the {who} at {left} of {n_rows} rows ({left / n_rows:.0%}): exit "
              f"{again.returncode}, {'identical' if same else 'DIFFERENT'}")  # fmt: skip
        if not same or again.returncode != undisturbed.returncode:
            sys.exit(1)


if __name__ == "__main__":
    main()
