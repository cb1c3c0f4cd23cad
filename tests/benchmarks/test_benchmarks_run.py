"""Every benchmark script still runs; its figures are not looked at."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_startup(tmp_path: Path) -> None:
    out = tmp_path / "startup.csv"
    script = BENCHMARKS / "startup.py"
    command = [sys.executable, str(script), "--rounds", "1", "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True)
    assert out.read_text().startswith("what,median_ms,ratio_to_bare\npython -c pass,")


def test_persistence(write_drawn_clip: Callable[..., Path], tmp_path: Path) -> None:
    write_drawn_clip("data/test/v0.mp4")
    out = tmp_path / "scores.csv"
    command = [sys.executable, str(BENCHMARKS / "persistence.py"), str(tmp_path / "data")]
    subprocess.run([*command, "--out", str(out)], check=True, capture_output=True)
    header, row = out.read_text().splitlines()
    # Noise alone: a score near 0, so near one half.
    assert header == "filename,probability" and 0.4 < float(row.split(",")[1]) < 0.6


def test_every_script_has_a_test() -> None:
    here = Path(__file__).read_text()
    assert all(f'"{script.name}"' in here for script in BENCHMARKS.glob("*.py"))
