"""How many phantoms a core makes in a second: ROI volumes directly, and whole videos.

Run as `python benchmarks/phantom.py [--rois N] [--videos N] [--rounds N] [--preset NAME]`. One
process and one thread; CPU time, so that the neighbours on the machine do not count. The parts
take turns, medians over the rounds; a round makes the same phantoms, so that the rounds differ by
the machine alone. Frame counts vary as in the real table: rates are given as they are and for
phantoms of 60 frames (frames a second over 60). Results go to results/phantom-cpu.csv.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from stallscan.simulate.phantom import phantom_clip, phantom_roi, phantom_truth
from stallscan.simulate.settings import PRESETS, Settings
from stallscan.simulate.state import State
from stallscan.video import write_clip

SEED = 4_000
TARGETS = {
    "ROI with codec emulation": 15.0,
    "video with codec": 0.3,
    "video without codec": 0.6,
}
"""Phantoms of 60 frames a second and core."""

Seconds = dict[str, float]


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rois", type=int, default=60)
    parser.add_argument("--videos", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--preset", default="clogloss", choices=PRESETS)
    default = Path(__file__).parent / "results/phantom-cpu.csv"
    parser.add_argument("--out", type=Path, default=default)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    settings = PRESETS[options.preset]
    make_roi((SEED, 10**6), State.STALLED, settings)  # warm-up: compilation, tables
    with tempfile.TemporaryDirectory() as folder:
        make_video((SEED, 10**6), State.STALLED, settings, Path(folder))

        rois, roi_sizes = rounds_of(make_roi, options.rois, settings, options.rounds, "ROIs")
        videos, video_sizes = rounds_of(
            lambda *job: make_video(*job, Path(folder)),
            options.videos,
            settings,
            options.rounds,
            "videos",
        )
    print(f"mean ROI: {'×'.join(f'{side:.1f}' for side in roi_sizes.mean(axis=0))} (frames×h×w)")
    print(f"mean video: {'×'.join(f'{side:.1f}' for side in video_sizes.mean(axis=0))}")
    frames = {"scene": roi_sizes, "ROI": roi_sizes, "video": video_sizes}
    rows = []
    for what, seconds in {**rois, **videos}.items():
        counts = frames[what.split()[0]][:, 0]
        rows.append(
            {
                "what": what,
                "per_s": len(counts) / seconds,
                "per_s_of_60_frames": counts.sum() / 60 / seconds,
                "target_per_s": TARGETS.get(what),
                "n": len(counts),
                "mean_frames": counts.mean(),
            }
        )
    table = pd.DataFrame(rows)
    print(table.to_string(index=False, na_rep="", float_format="{:.3g}".format))
    codec = 1 - videos["video without codec"] / videos["video with codec"]
    print(f"codec: {codec:.0%} of a video's time (x264, veryfast, the clip's crf)")
    emulation = 1 - rois["ROI without codec emulation"] / rois["ROI with codec emulation"]
    print(f"codec emulation: {emulation:.0%} of a ROI's time")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(options.out, index=False, float_format="%.3g", lineterminator="\n")


def rounds_of(
    make: Callable[..., tuple[Seconds, tuple[int, ...]]],
    n: int,
    settings: Settings,
    rounds: int,
    what: str,
) -> tuple[Seconds, np.ndarray]:
    """Median over the rounds of the seconds that n phantoms take by part; their sizes ``(n, 3)``.

    Every third is stalled; the same seeds in every round.
    """
    totals: dict[str, list[float]] = {}
    for _ in range(rounds):
        made = [
            make((SEED, index), State.STALLED if index % 3 == 0 else State.FLOWING, settings)
            for index in tqdm(range(n), desc=what)
        ]
        for part in made[0][0]:
            totals.setdefault(part, []).append(sum(seconds[part] for seconds, _ in made))
    medians = {part: statistics.median(values) for part, values in totals.items()}
    return medians, np.array([size for _, size in made])


def make_roi(
    seed: tuple[int, ...], state: State, settings: Settings
) -> tuple[Seconds, tuple[int, ...]]:
    """One ROI both ways, and its scene alone."""
    seconds: Seconds = {}
    began = time.process_time()
    phantom_truth(seed, state, settings)
    seconds["scene alone"] = time.process_time() - began
    began = time.process_time()
    phantom_roi(seed, state, settings, codec=False)
    seconds["ROI without codec emulation"] = time.process_time() - began
    began = time.process_time()
    volume, _ = phantom_roi(seed, state, settings)
    seconds["ROI with codec emulation"] = time.process_time() - began
    return seconds, volume.array.shape[:3]


def make_video(
    seed: tuple[int, ...], state: State, settings: Settings, folder: Path
) -> tuple[Seconds, tuple[int, ...]]:
    """One video, rendered and then written."""
    began = time.process_time()
    clip, truth = phantom_clip(seed, state, settings)
    rendered = time.process_time()
    write_clip(folder / "clip.mp4", clip, crf=truth.crf, preset="veryfast")
    ended = time.process_time()
    seconds = {"video without codec": rendered - began, "video with codec": ended - began}
    return seconds, clip.array.shape[:3]


if __name__ == "__main__":
    sys.exit(main())
