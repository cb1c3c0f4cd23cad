"""Kill −9 in the middle of a run, then the same command again.

The tests use it on a few drawn clips; by hand it takes any videos:
`python tests/end_to_end/killing.py predict|extract VIDEOS… --work DIR [--kills N]`.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

ENGINE = ("--engine", "openvino")
"""The same for runs that are compared: of two engines the sixth digit may differ, and which one
auto finds faster may depend on the moment. A resumed run keeps that of its first start."""


def command(verb: str, videos: list[Path], out: Path, *options: str) -> list[str]:
    """The command line under test."""
    return [
        sys.executable, "-m", "stallscan", verb, *map(str, videos), "--out", str(out), "-q",
        *options,
    ]  # fmt: skip


def kill_when(
    command: list[str], due: Callable[[], bool], *, group: bool, seconds: float = 120
) -> None:
    """Start, and kill as soon as it is due: the process group, or the parent alone."""
    process = subprocess.Popen(command, start_new_session=True)
    began = time.perf_counter()
    while not due():
        assert process.poll() is None, f"ended (code {process.returncode}) before it was killed"
        assert time.perf_counter() - began < seconds, "never due"
        time.sleep(0.01)
    if group:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()


def rows_in(table: Path) -> int:
    """Whole rows, without the header; 0 where there is no table."""
    return max(table.read_bytes().count(b"\n") - 1, 0) if table.exists() else 0


def partial_of(table: Path) -> Path:
    """Where a table grows."""
    return table.with_name(table.name + ".partial")


def rows_done(table: Path) -> int:
    """Rows of a table, finished or not."""
    return max(rows_in(table), rows_in(partial_of(table)))


def is_due(done: Callable[[Path], int], out: Path, n: float) -> bool:
    """Whether a run has got that far."""
    return done(out) >= n


def entries_in(store: Path) -> int:
    """Committed entries of a store; 0 where it cannot be read yet."""
    from stallscan.data.store import RoiStore
    from stallscan.errors import StoreError

    try:
        return len(RoiStore(store, allow_incomplete=True))
    except StoreError:
        return 0


def same(verb: str, one: Path, other: Path) -> bool:
    """Tables byte for byte; stores by every key and value, and their tables byte for byte."""
    if verb == "predict":
        return one.read_bytes() == other.read_bytes()
    from stallscan.data.store import store_digest

    tables = (path.with_name(path.name + ".csv").read_bytes() for path in (one, other))
    return store_digest(one) == store_digest(other) and len(set(tables)) == 1


def main() -> None:
    """Kill at random moments, resume each time, compare with an undisturbed run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("verb", choices=("predict", "extract"))
    parser.add_argument("videos", type=Path, nargs="+")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    suffix, more = {"predict": (".csv", ENGINE), "extract": (".lmdb", ())}[options.verb]
    whole = options.work / f"whole{suffix}"
    began = time.perf_counter()
    undisturbed = subprocess.run(
        command(options.verb, options.videos, whole, "--overwrite", *more), check=False
    )
    wall_s = time.perf_counter() - began
    done = rows_done if options.verb == "predict" else entries_in
    n = done(whole)
    print(f"undisturbed: exit {undisturbed.returncode}, {n} videos, {wall_s:.0f} s", flush=True)
    random.seed(options.seed)
    for kill in range(options.kills):
        out = options.work / f"killed{kill}{suffix}"
        run = command(options.verb, options.videos, out, *more)
        share = 0.1 + 0.8 * (kill + random.random()) / options.kills
        kill_when(run, partial(is_due, done, out, share * n), group=kill % 2 == 0, seconds=1e9)
        left = done(out)
        again = subprocess.run(run, check=False)
        equal = same(options.verb, out, whole)
        who = "group" if kill % 2 == 0 else "parent"
        print(
            f"kill -9 of the {who} at {left} of {n} videos ({left / n:.0%}): exit "
            f"{again.returncode}, {'identical' if equal else 'DIFFERENT'}",
            flush=True,
        )
        if not equal or again.returncode != undisturbed.returncode:
            sys.exit(1)


if __name__ == "__main__":
    main()
