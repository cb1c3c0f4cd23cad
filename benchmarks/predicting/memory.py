"""Resident memory of `stallscan predict`, whatever the number of videos."""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from predicting._turns import spread
from predicting.video import find_videos, predict_command
from stallscan.models.box import find_model

EVERY_S = 0.05


def memory(options: argparse.Namespace) -> pd.DataFrame:
    """A row for each number of videos."""
    videos = find_videos(options)
    model_dir = find_model(options.model)
    mib: dict[int, list[float]] = {count: [] for count in options.counts}
    took: dict[int, list[float]] = {count: [] for count in options.counts}
    for _ in tqdm(range(options.rounds or 1), desc="memory"):
        for count in options.counts:
            with tempfile.TemporaryDirectory(dir=options.work) as scratch:
                folder = many(videos, Path(scratch) / "videos", count)
                out = Path(scratch) / "out.csv"
                command = predict_command(folder, out, model_dir, options.workers)
                command += ["--engine", "openvino"]  # auto would take PyTorch for the fewest
                began = time.perf_counter()
                mib[count].append(peak_mib(command))
                took[count].append(time.perf_counter() - began)
    fewest = float(np.median(mib[options.counts[0]]))
    return pd.DataFrame(
        {
            "videos": count,
            "MiB": float(np.median(values)),
            "spread": spread(values),
            "ratio_to_fewest": float(np.median(values)) / fewest,
            "videos_per_s": count / float(np.median(took[count])),
            "note": "all processes together, pages they share counted for each",
        }
        for count, values in mib.items()
    )


def many(videos: list[Path], folder: Path, count: int) -> Path:
    """A folder of as many videos, hard links to the few."""
    folder.mkdir()
    for index in range(count):
        source = videos[index % len(videos)]
        (folder / f"{index:06d}{source.suffix}").hardlink_to(source)
    return folder


def peak_mib(command: list[str]) -> float:
    """The most that a command and all processes under it hold at one time.

    Raises:
        RuntimeError: the command failed.
    """
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said)
        peak = 0.0
        while process.poll() is None:
            peak = max(peak, resident_mib(process.pid))
            time.sleep(EVERY_S)
        if process.returncode:
            said.seek(0)
            raise RuntimeError(
                f"{' '.join(command)}: exit code {process.returncode}\n{said.read()}"
            )
    return peak


def resident_mib(pid: int) -> float:
    """Of a process and all under it (Linux)."""
    pages: dict[int, int] = {}
    children: dict[int, list[int]] = defaultdict(list)
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it may end at any time
            # The name, in parentheses, may have blanks in it.
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            pages[int(folder.name)] = int((folder / "statm").read_text().split()[1])
            children[parent].append(int(folder.name))
    total, waiting = 0, [pid]
    while waiting:
        one = waiting.pop()
        total += pages.get(one, 0)
        waiting += children[one]
    return total * os.sysconf("SC_PAGE_SIZE") / 2**20
