"""A bucket against a disk."""

from __future__ import annotations

import argparse
import csv
import sys
import time
from pathlib import Path

import pytest

from scaling.videos import make_videos
from stallscan.cli import main as stallscan

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
from s3_server import BUCKET, put, s3_server


def measure(options: argparse.Namespace) -> None:
    """The same videos from disk, from a bucket, and from one that fails now and then."""
    n = options.n or 300
    folder = make_videos(options.work, min(options.unique, n), n)
    command = ["--model", str(options.model), "--flips", str(options.flips), "--overwrite", "-q"]
    command += ["--engine", "openvino", "--workers", str(options.workers)]
    tables, lines = {}, []
    with pytest.MonkeyPatch.context() as patch, s3_server(patch) as server:
        for path in sorted(folder.iterdir()):
            put(path, f"test/{path.name}")
        url = f"s3://{BUCKET}/test"
        for name, place, share in (("disk", folder, 0.0), ("s3", url, 0.0), ("flaky", url, 0.1)):
            server.share, server.n_failed, server.n_requests = share, 0, 0
            out = options.work / f"{name}.csv"
            began = time.perf_counter()
            code = stallscan(["predict", str(place), "--out", str(out), *command])
            seconds = time.perf_counter() - began
            tables[name] = out.read_bytes()
            same = tables[name] == tables["disk"]
            lines.append(
                (name, n, round(seconds, 1), server.n_requests, server.n_failed, code, same)
            )
            print(
                f"{name}: {n} videos in {seconds:.0f} s, {server.n_requests} requests, "
                f"{server.n_failed} failed, exit code {code}, same table as from disk: {same}",
                flush=True,
            )
        server.share = 0.0
    with options.out.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            ("what", "videos", "seconds", "requests", "failed", "exit_code", "same_table")
        )
        writer.writerows(lines)
