"""How much of the decoder's speed is left when the outlined ROI is cut out as well.

Run as `python benchmarks/roi.py [--clips N] [--rounds N] [--memory-clips N] [--work DIR]`. It makes
noisy phantom clips (H.264, 512×384, 35–50 kB a frame, as the competition's), and compares in one
run, one thread each, the variants taking turns: decoding alone without conversion to RGB; ours;
ours through RGB; the winner's method, written from its description (a BGR threshold on every frame,
a Python zip over the points found). Then one process against two, and the memory over many clips.
Medians over the rounds go to results/roi-cpu.csv.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
from tqdm import tqdm

from stallscan.data.extract import Extractor
from stallscan.data.map_files import map_files
from stallscan.data.store import encode
from stallscan.roi.extract import extract_roi
from stallscan.roi.find import find_roi
from stallscan.roi.options import RoiOptions
from stallscan.simulate.phantom import phantom_clip
from stallscan.types import Label
from stallscan.video import read_clip, write_clip

BYTES_PER_FRAME = (35_000, 50_000)
WINNER_LOW, WINNER_HIGH = (9, 13, 104), (98, 143, 255)  # B, G, R


def make_clips(work: Path, n: int, n_frames: int | None) -> list[Path]:
    """Phantom clips with as many bytes a frame as the real ones, made once."""
    work.mkdir(parents=True, exist_ok=True)
    for index in itertools.count():
        found = sorted(work.glob("clip*.mp4"))
        if len(found) >= n:
            return found[:n]
        path = work / f"clip{index}.mp4"
        if path.exists():
            continue
        clip, _ = phantom_clip((77, index), Label(index % 2))
        _encode(path, clip.array[:n_frames])
    raise AssertionError("unreachable")


def _encode(path: Path, frames: np.ndarray) -> None:
    """Look for the quality that gives the bytes; clips too smooth for them are left out."""
    low, high = 1, 40  # crf
    while low <= high:
        crf = (low + high) // 2
        write_clip(path, frames, crf=crf)
        size = path.stat().st_size / len(frames)
        if BYTES_PER_FRAME[0] <= size <= BYTES_PER_FRAME[1]:
            return
        low, high = (low, crf - 1) if size < BYTES_PER_FRAME[0] else (crf + 1, high)
    path.unlink()


def decode_only(path: Path) -> int:
    """To the end of the stream, nothing converted."""
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        return sum(1 for _ in container.decode(video=0))


def ours(path: Path) -> int:
    """What `stallscan extract` does with a file: outline, frames and content judged, box cut."""
    result = extract_roi(path)
    assert result.volume is not None, result.message
    return result.volume.n_frames


def ours_and_packed(path: Path) -> int:
    """And packed for the ROI store: all that a worker of `stallscan extract` does."""
    result = extract_roi(path)
    assert encode(result) and result.volume is not None, result.message
    return result.volume.n_frames


def ours_through_rgb(path: Path) -> int:
    """The same from RGB frames, as `read_clip` gives them."""
    clip = read_clip(path)
    return find_roi(clip).crop(clip).n_frames


def winner(path: Path) -> int:
    """Union box over all frames of the points inside a BGR range, then the crop."""
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        frames = [
            frame.to_ndarray(format="bgr24", threads=1) for frame in container.decode(video=0)
        ]
    x0 = y0 = 10**9
    x1 = y1 = -1
    for frame in frames:
        mask = cv2.inRange(frame, WINNER_LOW, WINNER_HIGH)
        points = list(zip(*np.nonzero(mask), strict=True))
        if not points:
            continue
        ys, xs = zip(*points, strict=True)
        y0, y1, x0, x1 = min(y0, *ys), max(y1, *ys), min(x0, *xs), max(x1, *xs)
    return len(np.array(frames)[:, y0 : y1 + 1, x0 : x1 + 1].copy())


VARIANTS: dict[str, Callable[[Path], int]] = {
    "decoding alone": decode_only,
    "ours": ours,
    "ours, packed for the store": ours_and_packed,
    "ours through RGB": ours_through_rgb,
    "winner's method": winner,
}


def compare(paths: list[Path], rounds: int) -> dict[str, float]:
    """Median seconds a frame of each variant."""
    times: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for run in VARIANTS.values():
        run(paths[0])  # warm-up
    order = list(VARIANTS.items())
    for turn in tqdm(range(rounds), desc="rounds"):
        seconds = dict.fromkeys(VARIANTS, 0.0)
        n_frames = dict.fromkeys(VARIANTS, 0)
        for path in paths:
            order = order[1:] + order[:1]  # nobody is always first
            for name, run in order:
                began = time.perf_counter()
                n_frames[name] += run(path)
                seconds[name] += time.perf_counter() - began
        assert len(set(n_frames.values())) == 1, f"round {turn}: {n_frames}"
        for name in VARIANTS:
            times[name].append(seconds[name] / n_frames[name])
    return {name: statistics.median(values) for name, values in times.items()}


def scaling(paths: list[Path], n_clips: int, rounds: int) -> tuple[float, list[float]]:
    """Throughput of two processes over one, start-up left out; median and all rounds."""
    extractor = Extractor(options=RoiOptions())
    many = [paths[index % len(paths)] for index in range(n_clips)]
    ratios = []
    for _ in range(rounds):
        rate = {}
        for workers in (1, 2):
            results = map_files(many, extractor, failed=lambda path, why: None, workers=workers)
            for _ in range(2 * workers):  # until every process works
                next(results)
            began = time.perf_counter()
            n = sum(1 for _ in results)
            rate[workers] = n / (time.perf_counter() - began)
        ratios.append(rate[2] / rate[1])
    return statistics.median(ratios), ratios


def memory(paths: list[Path], n_clips: int) -> list[float]:
    """Resident MiB of a process after every tenth of the clips."""
    values = []
    for index in tqdm(range(n_clips), desc="memory"):
        ours(paths[index % len(paths)])
        if (index + 1) % max(n_clips // 10, 1) == 0:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            values.append(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)
    return values


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--frames", type=int, help="cut the clips (for a quick look)")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--scaling-clips", type=int, default=60)
    parser.add_argument("--memory-clips", type=int, default=1000)
    parser.add_argument("--work", type=Path, default=Path("build/benchmark-clips"))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results/roi-cpu.csv")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    paths = make_clips(options.work, options.clips, options.frames)
    n_frames = sum(decode_only(path) for path in paths)
    kilobytes = sum(path.stat().st_size for path in paths) / n_frames / 1000
    print(
        f"{len(paths)} clips, {n_frames} frames, {kilobytes:.1f} kB a frame, "
        f"{options.rounds} rounds, Python {platform.python_version()}, PyAV {av.__version__}"
    )
    medians = compare(paths, options.rounds)
    rows: list[tuple[str, float, str]] = []
    for name, seconds in medians.items():
        ratio = medians["decoding alone"] / seconds
        print(f"{name:<26} {1000 * seconds:6.2f} ms a frame   throughput {ratio:.3f} of decoding")
        rows.append((name, round(ratio, 3), "throughput, decoding alone = 1"))
    over = medians["winner's method"] / medians["ours"]
    print(f"ours / winner's method: {over:.2f}×")
    rows.append(("ours over winner's method", round(over, 3), "throughput"))
    ratio, ratios = scaling(paths, options.scaling_clips, min(options.rounds, 3))
    print(f"2 processes over 1: {ratio:.2f}× ({', '.join(f'{value:.2f}' for value in ratios)})")
    rows.append(("2 processes over 1", round(ratio, 3), "throughput"))
    if options.memory_clips:
        values = memory(paths, options.memory_clips)
        print(
            f"memory over {options.memory_clips} clips: "
            f"{', '.join(f'{value:.0f}' for value in values)} MiB"
        )
        growth = values[-1] - values[0]
        rows.append((f"growth over {options.memory_clips} clips", round(growth, 1), "MiB"))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with options.out.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("what", "value", "unit"))
        writer.writerows(rows)


if __name__ == "__main__":
    sys.exit(main())
