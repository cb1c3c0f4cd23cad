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
    # A vessel that stands still, with little in it that moves: well above one half.
    assert header == "filename,probability" and 0.6 < float(row.split(",")[1]) < 1


def test_store(write_drawn_clip: Callable[..., Path], tmp_path: Path) -> None:
    write_drawn_clip("clips/0000.mp4")
    out = tmp_path / "store.csv"
    command = [sys.executable, str(BENCHMARKS / "store.py"), "--clips", "1", "--rounds", "1"]
    cache = ["--cache", str(tmp_path / "clips")]
    subprocess.run([*command, *cache, "--out", str(out)], check=True, capture_output=True)
    header, *rows = out.read_text().splitlines()
    assert header.startswith("way,kB,raw_to_size,write_ms,read_ms") and len(rows) > 50
    assert rows[0].startswith("RGB; none,") and rows[-1].startswith("RoiStore,")


def test_flags(tmp_path: Path) -> None:
    out = tmp_path / "flags.csv"
    command = [sys.executable, str(BENCHMARKS / "flags.py"), "--sound", "1", "--defective", "0"]
    subprocess.run([*command, "--out", str(out)], check=True, capture_output=True)
    assert out.read_text() == "case,clips,word,flagged,share\nsound,1,any,0,0.0\n"


def test_roi(write_drawn_clip: Callable[..., Path], tmp_path: Path) -> None:
    write_drawn_clip("clips/clip0.mp4")
    out = tmp_path / "roi.csv"
    command = [sys.executable, str(BENCHMARKS / "roi.py"), "--clips", "1", "--rounds", "1"]
    quick = ["--scaling-clips", "6", "--memory-clips", "10", "--work", str(tmp_path / "clips")]
    subprocess.run([*command, *quick, "--out", str(out)], check=True, capture_output=True)
    header, first, *rows = out.read_text().splitlines()
    assert (header, first) == (
        "what,value,unit",
        'decoding alone,1.0,"throughput, decoding alone = 1"',
    )
    assert [row.split(",")[0] for row in rows] == [
        *("ours", '"ours', "ours through RGB", "winner's method", "ours over winner's method"),
        *("2 processes over 1", "growth over 10 clips"),
    ]


def test_every_script_has_a_test() -> None:
    here = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert all(f'"{script.name}"' in here for script in BENCHMARKS.glob("*.py"))
