"""What `scale.py` measures of a bucket. Nodes and driver take minutes: they are left to hands."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest


def test_s3(
    run_script: Callable[..., str],
    write_drawn_clip: Callable[..., Path],
    tiny_model_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import scaling.s3

    from stallscan.video import remote

    for seed in range(8):
        write_drawn_clip(f"videos/{seed}.mp4", seed)
    monkeypatch.setattr(scaling.s3, "make_videos", lambda *_: tmp_path / "videos")
    monkeypatch.setattr(remote.time, "sleep", lambda seconds: None)
    out = tmp_path / "s3.csv"
    run_script(
        "scale.py", "s3", "--work", tmp_path / "work", "--n", 8, "--workers", 0, "--model",
        tiny_model_dir, "--out", out,
    )  # fmt: skip
    disk, bucket, flaky = csv.DictReader(out.read_text().splitlines())
    assert disk["requests"] == "0" and bucket["requests"] == "9" and bucket["failed"] == "0"
    assert {row["same_table"] for row in (disk, bucket, flaky)} == {"True"}
    assert int(flaky["requests"]) - int(flaky["failed"]) == 9
