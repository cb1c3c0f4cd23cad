"""Videos to calls, against decoding alone."""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from predicting._reading import decode_only, decode_rgb
from predicting._turns import TEST_VIDEOS, in_turn, ratio, seconds, spread
from stallscan.data.extract import Extractor
from stallscan.data.map_files import map_files
from stallscan.data.videos import videos_in
from stallscan.inference.batch import predict_all
from stallscan.inference.choose import choose
from stallscan.inference.member import load_members
from stallscan.inference.options import PredictOptions
from stallscan.inference.predictor import Predictor
from stallscan.inference.prepare import Prepare, not_prepared
from stallscan.models.box import find_model
from stallscan.models.cost import cost
from stallscan.roi.options import RoiOptions

FRAMES = 60
"""Depth for which GMACs are said where a network takes stacks as deep as they are."""
DECODING = "decoding alone"


def find_videos(options: argparse.Namespace) -> list[Path]:
    """Those that are given, or phantoms as `stallscan simulate` writes them, made once."""
    if options.given is not None:
        return videos_in(options.given)
    folder = options.work / f"phantom-{options.videos}"
    command = [sys.executable, "-m", "stallscan", "simulate", str(folder)]
    number = ["--n-train", "0", "--n-test", str(options.videos)]
    subprocess.run([*command, *number], check=True, capture_output=True)
    return videos_in(folder / "test")


def video(options: argparse.Namespace) -> pd.DataFrame:
    """A row for each way to go through the videos."""
    paths = find_videos(options)
    n_frames = sum(map(decode_only, paths))
    kilobytes = sum(path.stat().st_size for path in paths) / n_frames / 1000
    model_dir = find_model(options.model)
    members, card = load_members(model_dir)
    choice = choose(PredictOptions(device="cpu"), members, flips=1, n_vessels=TEST_VIDEOS)
    sizes = [tuple(extent or FRAMES for extent in each.preprocessing.size) for each in members]
    macs = sum(cost(each.model, size).macs for each, size in zip(members, sizes, strict=True))
    print(
        f"{len(paths)} videos, {n_frames} frames, {kilobytes:.1f} kB a frame; model {card.name}, "
        f"{macs / 1e9:.2f} GMACs, {choice.engine} ({choice.reason}); {options.workers} workers"
    )
    predictor = Predictor(members, card, flips=1, engine=choice.engine)
    extractor = Extractor(options=RoiOptions())
    prepare = Prepare(load=extractor, preprocessings=predictor.preprocessings)
    workers = options.workers
    ways: dict[str, Callable[[list[Path]], Iterator[object]]] = {
        DECODING: lambda many: mapped(decode_only, many, workers),
        "decoding to RGB": lambda many: mapped(decode_rgb, many, workers),
        "outline, crop, resize": lambda many: _prepared(many, prepare, workers),
        "predict_all": lambda many: _predicted(many, extractor, predictor, workers),
    }
    times: dict[str, list[float]] = {name: [] for name in (*ways, "stallscan predict")}
    for turn in tqdm(range(options.rounds or 5), desc="video"):
        for name in in_turn(list(ways), turn):
            times[name].append(steady(ways[name], paths, workers))
        times["stallscan predict"].append(_command(paths[0].parent, model_dir, workers))
    return pd.DataFrame(table(times, len(paths), n_frames, macs))


def table(
    times: dict[str, list[float]], n_videos: int, n_frames: int, macs: int
) -> list[dict[str, object]]:
    """A row for each way; ratios are medians over the rounds.

    Args:
        times: seconds for all videos in each round.
        n_videos: videos.
        n_frames: in all of them.
        macs: multiply-accumulates of the networks for a video.
    """
    notes = {"stallscan predict": "the whole command, start-up included"}
    rows = []
    for name, values in times.items():
        middle = float(np.median(values))
        network = name in ("predict_all", "stallscan predict")
        rows.append(
            {
                "what": name,
                "ms_per_video": 1000 * middle / n_videos,
                "spread": 1000 * spread(values) / n_videos,
                "time_over_decoding": ratio(values, times[DECODING]),
                "videos_per_s": n_videos / middle,
                "frames_per_s": n_frames / middle,
                "GMACs": macs / 1e9 if network else None,
                "note": notes.get(name, "start-up left out"),
            }
        )
    return rows


def steady(way: Callable[[list[Path]], Iterator[object]], paths: list[Path], workers: int) -> float:
    """Seconds for all videos in full run: the clock starts late, and ends before the end.

    Ahead of the videos that count go some that start the processes, and after them come some that
    keep all processes busy, so that as much is under way when the clock stops as when it started,
    and of the same videos.
    """
    around = 6 * workers
    many = list(itertools.islice(itertools.cycle(paths), around + len(paths) + around))
    results = way(many)
    for _ in range(around):
        next(results)
    began = time.perf_counter()
    for _ in range(len(paths)):
        next(results)
    took = time.perf_counter() - began
    results.close()  # type: ignore[attr-defined]
    for process in multiprocessing.active_children():  # they would take time from the next way
        process.join()
    return took


def mapped(work: Callable[[Path], int], paths: list[Path], workers: int) -> Iterator[int]:
    """Frames of each video, from worker processes."""
    results: Iterable[int] = map_files(paths, work, failed=_failed, workers=workers)
    yield from results


def _failed(path: Path, message: str) -> int:
    raise RuntimeError(f"{path}: {message}")


def _prepared(paths: list[Path], prepare: Prepare, workers: int) -> Iterator[object]:
    """All that a video needs before the networks, and the way back from the workers."""
    for prepared in map_files(paths, prepare, failed=not_prepared, workers=workers):
        if prepared.inputs is None:
            raise RuntimeError(prepared.message)
        yield prepared


def _predicted(
    paths: list[Path], extractor: Extractor, predictor: Predictor, workers: int
) -> Iterator[object]:
    for row, _ in predict_all(paths, extractor, predictor, workers=workers):
        if row.status == "failed":
            raise RuntimeError(row.message)
        yield row


def _command(folder: Path, model_dir: Path, workers: int) -> float:
    with tempfile.TemporaryDirectory() as scratch:
        command = predict_command(folder, Path(scratch) / "out.csv", model_dir, workers)
        return seconds(lambda: subprocess.run(command, check=True, capture_output=True))


def predict_command(folder: Path, out: Path, model_dir: Path, workers: int) -> list[str]:
    """`stallscan predict` without mirrored copies."""
    command = [sys.executable, "-m", "stallscan", "predict", str(folder), "--out", str(out)]
    return [*command, "--model", str(model_dir), "--flips", "1", "--workers", str(workers)]
