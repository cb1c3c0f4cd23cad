"""Every benchmark script still runs; its figures are not looked at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


Run = Callable[..., str]


def test_startup(run_script: Run, tmp_path: Path) -> None:
    out = tmp_path / "startup.csv"
    run_script("startup.py", "--rounds", 1, "--out", out)
    assert out.read_text().startswith("what,median_ms,ratio_to_bare\npython -c pass,")


def test_persistence(
    run_script: Run, write_drawn_clip: Callable[..., Path], tmp_path: Path
) -> None:
    write_drawn_clip("data/test/v0.mp4")
    out = tmp_path / "scores.csv"
    run_script("persistence.py", tmp_path / "data", "--out", out)
    header, row = out.read_text().splitlines()
    # A vessel that stands still, with little in it that moves: well above one half.
    assert header == "filename,probability" and 0.6 < float(row.split(",")[1]) < 1


def test_store(run_script: Run, write_drawn_clip: Callable[..., Path], tmp_path: Path) -> None:
    write_drawn_clip("clips/0000.mp4")
    out = tmp_path / "store.csv"
    cache = ("--cache", tmp_path / "clips")
    run_script("store.py", "--clips", 1, "--rounds", 1, *cache, "--out", out)
    header, *rows = out.read_text().splitlines()
    assert header.startswith("way,kB,raw_to_size,write_ms,read_ms") and len(rows) > 50
    assert rows[0].startswith("RGB; none,") and rows[-1].startswith("RoiStore,")


def test_flags(run_script: Run, tmp_path: Path) -> None:
    out = tmp_path / "flags.csv"
    run_script("flags.py", "--sound", 1, "--defective", 0, "--out", out)
    assert out.read_text() == "case,clips,word,flagged,share\nsound,1,any,0,0.0\n"


def test_roi(run_script: Run, write_drawn_clip: Callable[..., Path], tmp_path: Path) -> None:
    write_drawn_clip("clips/clip0.mp4")
    out = tmp_path / "roi.csv"
    quick = ("--scaling-clips", 6, "--memory-clips", 10, "--work", tmp_path / "clips")
    run_script("roi.py", "--clips", 1, "--rounds", 1, *quick, "--out", out)
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
