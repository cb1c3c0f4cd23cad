"""What the driver holds, and how long it takes, for a whole bucket."""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import os
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from stallscan.data.cluster import ClusterOptions, connected
from stallscan.data.source import RoiSource, open_source
from stallscan.inference.cluster import Model, predict_on_cluster
from stallscan.inference.parts import Parts
from stallscan.models.box import find_model
from stallscan.roi.extraction import Extraction
from stallscan.roi.options import RoiOptions

N = 573_048
"""Videos of the competition's training set."""


def measure(options: argparse.Namespace) -> None:
    """Each size in a process of its own, so that its memory is its own."""
    n = options.n or N
    lines = []
    for size in (n // 10, n):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            lines.append(pool.apply(_run, (size, options.work, options.model)))
        print(
            "{:,} videos: planned in {} s, all rows after {} s more, table after {} s more; "
            "driver: {} MiB at the start, {} when planned, at most {} while rows came, {} in "
            "all; CSV {} MB".format(*lines[-1]),
            flush=True,
        )
    with options.out.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            (
                *("videos", "plan_s", "rows_s", "table_s"),
                *("start_mib", "planned_mib", "peak_rows_mib", "peak_mib", "csv_mb"),
            )
        )
        writer.writerows(lines)


def stub(name: str) -> Extraction:
    """In place of a video."""
    return Extraction(filename=name.rpartition("/")[2], message="a stub in place of the video")


def _run(n: int, work: Path, model: Path) -> tuple[Any, ...]:
    own = psutil.Process(os.getpid())
    table = work / f"table-{n}.csv"
    rows = (f"{k}.mp4,s3://bucket/train/{k}.mp4\n" for k in range(100_000, 100_000 + n))
    table.write_text("filename,url\n" + "".join(rows))
    loaded = Model.of(find_model(model), batch=1, engine="torch", flips=1, device="cpu")
    start = own.memory_info().rss
    with Peak(own) as whole:
        began = time.perf_counter()
        source = open_source([table], RoiOptions())
        names = source.names
        plan_s = time.perf_counter() - began
        planned = own.memory_info().rss
        parts = Parts(work / f"parts-{os.getpid()}", "benchmark")
        stubbed = RoiSource(items=source.items, load=stub, identity={})
        with connected(ClusterOptions()) as resources, Peak(own) as coming:
            began = time.perf_counter()
            predict_on_cluster(
                stubbed,
                loaded,
                parts,
                is_done=parts.done(n),
                n_actors=resources.n_cpus,
            )
            rows_s = time.perf_counter() - began
        began = time.perf_counter()
        out = work / f"predictions-{n}.csv"
        counts = parts.write_csv(out, names)
        table_s = time.perf_counter() - began
    assert counts["failed"] == n, counts
    mib = [round(value / 2**20) for value in (start, planned, coming.rss, whole.rss)]
    seconds = [round(value, 1) for value in (plan_s, rows_s, table_s)]
    return (n, *seconds, *mib, round(out.stat().st_size / 1e6, 1))


class Peak:
    """The most memory that a process had, looked at every twentieth of a second."""

    def __init__(self, process: psutil.Process) -> None:
        self.rss = 0
        self._process = process
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self._stop.wait(0.05):
            self.rss = max(self.rss, self._process.memory_info().rss)

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()
