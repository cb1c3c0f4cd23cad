"""The winner's three stages over five folds, on a small phantom data set, to a submission file.

Run as `python examples/stages.py [--out DIR] [--videos N] [--epochs N] [--seed S]`; the same
command again goes on where it was killed. The recipes are the winner's own, made narrow by `--set`
alone, so that fifteen networks train in minutes on two cores. So few steps teach them little: what
is shown is the way, not a result. With the competition's data leave `NARROW` out.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from stallscan.cli import main as stallscan_command

NARROW = (
    "model.options.width=0.125",
    "model.pretrained=null",
    "input.size=[32,48,48]",
    "sampler.batches_per_epoch=16",
    "optimizer.accumulate=2",
    "optimizer.lr=1e-3",
)
"""What of the recipes is made small; the rate is larger because there are so few steps."""

STAGES = ("stage1", "stage2", "stage3")


def run(*arguments: str) -> None:
    """Run a verb as it would be typed, and say so."""
    print(f"\n$ stallscan {' '.join(arguments)}", flush=True)
    code = stallscan_command(list(arguments))
    if code:
        sys.exit(code)


def read(path: Path) -> Any:
    """A file of JSON."""
    return json.loads(path.read_text())


def main() -> None:
    """Parse the options and go the whole way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("stages"))
    parser.add_argument(
        "--videos", type=int, default=80, help="to train on; a quarter more to test"
    )
    parser.add_argument("--epochs", type=int, default=3, help="at most, of each of the runs")
    parser.add_argument("--seed", type=int, default=7, help="of the data set")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="of all recipes")
    options = parser.parse_args()
    # Before PyTorch is loaded: networks so small lose more by sharing their work than they win.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    began = time.perf_counter()
    out: Path = options.out
    data, store = out / "data", out / "rois.lmdb"
    n_test = str(options.videos // 4)

    counts = ("--n-train", str(options.videos), "--n-test", n_test, "--stalled", "0.3")
    run("simulate", str(data), *counts, "--undecidable", "0", "--seed", str(options.seed))
    run("extract", str(data / "train"), "--out", str(store))

    tables = ("--labels", str(data / "train_labels.csv"))
    tables += ("--metadata", str(data / "train_metadata.csv"))
    changes = ("--set", *NARROW, f"stop.max_epochs={options.epochs}", *options.set)
    start: tuple[str, ...] = ()
    for stage in STAGES:
        recipe = ("--recipe", f"winner-{stage}", "--folds", "all", *start)
        run("train", str(store), *tables, *recipe, "--out", str(out / stage), *changes)
        # Each fold starts from the same fold of the stage before, so nothing held out is learnt.
        start = ("--start", str(out / stage))

    predictions, submission = out / "predictions.csv", out / "submission.csv"
    table = ("--submission", str(submission))
    table += ("--submission-format", str(data / "submission_format.csv"))
    last = ("--model", str(out / STAGES[-1]))
    run("predict", str(data / "test"), *last, "--out", str(predictions), *table)
    report = out / "report"
    run("evaluate", str(predictions), str(data / "test_labels.csv"), "--out", str(report))

    print(f"\nDone in {time.perf_counter() - began:.0f} s.")
    print("Held out: each video by the networks that had not learnt it; the MCC is the best over")
    print("thresholds of the same videos, and stage 3 has those of tier1 alone.")
    for stage in STAGES:
        found = read(out / stage / "ensemble.json")["metrics"]["out_of_fold"]
        print(f"  {stage}  AUC {found['auc']:.3f}  MCC {found['mcc']:.3f}  {found['n']} videos")
    found = read(report / "metrics.json")["scores"]
    print(f"  test    AUC {found['roc_auc']:.3f}  MCC {found['mcc']:.3f}  {found['n']} videos")
    print(f"Look at {submission} and {report / 'report.html'}")


if __name__ == "__main__":
    main()
