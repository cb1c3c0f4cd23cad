"""The whole way in a few minutes: simulate, predict with the model in the box, evaluate, look.

Run as `make demo`, or `python examples/demo.py [--out DIR] [--videos N] [--seed S]`.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import pandas as pd

import stallscan
from stallscan.cli import main as stallscan_command
from stallscan.data import read_labels, read_predictions
from stallscan.report.montage import Tile, write_montage


def run(*arguments: str) -> None:
    """Run a verb as it would be typed, and say so."""
    print(f"\n$ stallscan {' '.join(arguments)}", flush=True)
    code = stallscan_command(list(arguments))
    if code:
        sys.exit(code)


def tile(videos: Path, prediction: pd.Series, truth: int | None) -> Tile:
    """A vessel with its call; a failed video has no picture."""
    failed = prediction["status"] == "failed"
    images = None
    if not failed:
        clip = stallscan.read_clip(videos / prediction["filename"])
        images = stallscan.find_roi(clip).crop(clip).array
    return Tile(
        images=images,
        filename=prediction["filename"],
        probability=None if failed else float(prediction["probability"]),
        stalled=None if failed else bool(prediction["stalled"]),
        truth=None if truth is None else bool(truth),
        status=prediction["status"],
    )


def main() -> None:
    """Parse the options and walk through the rooms."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("demo"))
    parser.add_argument("--videos", type=int, default=16)
    parser.add_argument("--seed", type=int, default=20261123, help="never used in training")
    options = parser.parse_args()
    began = time.perf_counter()
    data, out = options.out / f"videos-{options.seed}", options.out
    predictions, labels, report = out / "predictions.csv", data / "test_labels.csv", out / "report"

    counts = ("--n-train", "0", "--n-test", str(options.videos), "--stalled", "0.4")
    run("simulate", str(data), *counts, "--seed", str(options.seed))
    run("predict", str(data / "test"), "--out", str(predictions), "--overwrite")
    run("evaluate", str(predictions), str(labels), "--out", str(report), "--overwrite")

    truth = read_labels(labels, undecidable=True).set_index("filename")["stalled"]
    truth = truth.astype(object).where(truth.notna(), None)
    table = read_predictions(predictions).sort_values("probability", ascending=False)
    tiles = [tile(data / "test", row, truth[row["filename"]]) for _, row in table.iterrows()]
    montage = write_montage(out / "montage.png", tiles, title="Most likely stalled first")

    print(f"\nDone in {time.perf_counter() - began:.0f} s. Look at:")
    print(f"  {montage.resolve()}   each vessel, its call and the truth")
    print(f"  {(report / 'report.html').resolve()}   metrics with intervals, figures")
    print(f"  {predictions.resolve()}   one row a video")
    print(f"  {(data / 'truth.csv').resolve()}   what was simulated")


if __name__ == "__main__":
    main()
