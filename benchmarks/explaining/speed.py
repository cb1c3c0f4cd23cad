"""Seconds and memory of an explanation."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from audits.table import show_and_write

from stallscan.explain.explainer import Explainer
from stallscan.explain.film import film, gif
from stallscan.explain.summary import summary
from stallscan.inference.predictor import load_predictor
from stallscan.roi.find import find_roi
from stallscan.roi.volume import Volume
from stallscan.simulate.phantom import phantom_clip
from stallscan.simulate.settings import PRESETS
from stallscan.types import Label
from stallscan.video import read_clip, write_clip

_LARGE = """
import resource, sys, time
import numpy as np
from stallscan.explain.attention import attention
from stallscan.models import create_model
size = tuple(map(int, sys.argv[1:]))
model = create_model("densenet121", num_classes=1, pool="max").eval()
inputs = np.random.default_rng(0).normal(size=(3, *size)).astype(np.float32)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
began = time.perf_counter()
attention(model, inputs)
took = time.perf_counter() - began
print(took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def speed(*, model: str, rounds: int, size: Sequence[int], results: Path) -> pd.DataFrame:
    """Medians of several rounds on one phantom video; the large map once, in its own process."""
    explainer = Explainer(load_predictor(model))
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip, truth = phantom_clip((6_103, 0), Label.STALLED, PRESETS["clogloss"])
        write_clip(folder / "clip.mp4", clip, crf=truth.crf)
        volume = _roi(folder / "clip.mp4")
        found = explainer(volume)
        steps: dict[str, Callable[[], object]] = {
            "reading and cutting out": lambda: find_roi(
                again := read_clip(folder / "clip.mp4")
            ).crop(again),
            "answer, map and kymograph": lambda: explainer(volume),
            "summary (PNG)": lambda: summary(folder / "a.png", found, name="clip.mp4"),
            "video (1920×1080)": lambda: film(folder / "a.mp4", found, name="clip.mp4"),
            "gif": lambda: gif(folder / "a.gif", found),
        }
        for step, run in steps.items():
            times = []
            for _ in range(rounds + 1):  # the first warms up
                began = time.perf_counter()
                run()
                times.append(time.perf_counter() - began)
            rows.append({"step": step, "seconds": statistics.median(times[1:])})
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    rows.append({"step": "peak memory of all this, GiB", "seconds": np.nan, "GiB": memory})
    command = [sys.executable, "-c", _LARGE, *map(str, size)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    rows.append(
        {
            "step": f"DenseNet121's attention at {'×'.join(map(str, size))}",
            "seconds": float(printed[0]),
            "GiB": float(printed[1]) / 2**20,
        }
    )
    table = pd.DataFrame(rows)
    title = f"One video of {volume.n_frames} frames, {model}; median of {rounds}"
    show_and_write(table, results / "explain-speed-cpu.csv", title)
    return table


def _roi(path: Path) -> Volume:
    clip = read_clip(path)
    return find_roi(clip).crop(clip)
