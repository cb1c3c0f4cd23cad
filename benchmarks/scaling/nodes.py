"""Two nodes against one."""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from scaling.videos import make_videos
from stallscan.data.source import RoiSource, open_source
from stallscan.inference.cluster import Model, predict_on_cluster
from stallscan.inference.parts import Parts
from stallscan.models.box import find_model
from stallscan.roi.options import RoiOptions


def measure(options: argparse.Namespace) -> None:
    """Rates of one and of two nodes, in turns."""
    n = options.n or 600
    source = open_source([make_videos(options.work, options.unique, n)], RoiOptions())
    model = Model.of(
        find_model(options.model), batch=1, engine="openvino", flips=options.flips, device="cpu"
    )
    rates: dict[int, list[float]] = {1: [], 2: []}
    lines = []
    for number in range(options.rounds):
        for n_nodes in (1, 2):
            place = options.work / f"parts-{os.getpid()}-{number}-{n_nodes}"
            start_s, run_s, rate = _run(source, model, place, n_nodes)
            rates[n_nodes].append(rate)
            lines.append((number, n_nodes, n, round(start_s, 1), round(run_s, 1), round(rate, 3)))
            print(
                f"round {number}, {n_nodes} node(s): {n} videos, first chunk after {start_s:.0f} s,"
                f" then {run_s:.0f} s, {rate:.2f} videos/s",
                flush=True,
            )
    one, two = (statistics.median(rates[n_nodes]) for n_nodes in (1, 2))
    print(f"median {one:.2f} and {two:.2f} videos/s: two nodes are {two / one:.2f} × one")
    with options.out.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("round", "nodes", "videos", "start_s", "run_s", "videos_per_s"))
        writer.writerows(lines)
        writer.writerow(("median ratio", "", "", "", "", round(two / one, 3)))


def _run(source: RoiSource, model: Model, place: Path, n_nodes: int) -> tuple[float, float, float]:
    """Seconds to the first chunk, from there to the last, videos a second between them."""
    came: list[tuple[float, int]] = []
    with cluster(n_nodes):
        began = time.perf_counter()
        predict_on_cluster(
            source,
            model,
            Parts(place, "benchmark"),
            is_done=np.zeros(len(source.items), bool),
            n_actors=n_nodes,
            progress=lambda n: came.append((time.perf_counter() - began, n)),
        )
    first, last = came[0][0], came[-1][0]
    after_first = sum(n for _, n in came[1:])
    return first, last - first, after_first / (last - first)


@contextmanager
def cluster(n_nodes: int) -> Iterator[None]:
    """A head without cores, and nodes of one core each, pinned to it."""
    import ray
    from ray.cluster_utils import Cluster

    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < n_nodes:
        raise SystemExit(f"{n_nodes} nodes need as many cores, here are {len(cores)}")
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        for core in cores[:n_nodes]:
            os.sched_setaffinity(0, {core})  # which the node's processes inherit
            nodes.add_node(num_cpus=1)
        os.sched_setaffinity(0, cores)
        ray.init(address=nodes.address, log_to_driver=False, logging_level="WARNING")
        yield
    finally:
        os.sched_setaffinity(0, cores)
        ray.shutdown()
        nodes.shutdown()
