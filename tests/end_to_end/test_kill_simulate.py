"""A killed `simulate` leaves no orphans in the way and goes on."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from pathlib import Path

from stallscan.simulate.dataset import SimulateOptions, simulate


def contents(folder: Path) -> dict[str, str]:
    """Digest of every file but the record, which has times in it."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "run.json"
    }


def test_kill_9_of_the_parent_alone_then_the_same_command(tmp_path: Path) -> None:
    out = tmp_path / "data"
    # A seed with two short clips and a longer one, which begins when the first of them is done.
    options = SimulateOptions(n_train=0, n_test=3, undecidable=0.34, seed=35)
    arguments = ("--n-train", "0", "--n-test", "3", "--undecidable", "0.34", "--seed", "35")
    command = [sys.executable, "-m", "stallscan", "simulate", str(out), *arguments]
    command += ["--workers", "2", "-q"]
    process = subprocess.Popen(command)
    while not list(out.glob("test/[0-9]*.mp4")):
        assert process.poll() is None, "ended before it was killed"
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert not (out / "truth.csv").exists() and not (out / "truth.jsonl").exists()
    assert subprocess.run(command, check=False).returncode == 0
    simulate(tmp_path / "whole", options, workers=1)
    assert contents(out) == contents(tmp_path / "whole")
