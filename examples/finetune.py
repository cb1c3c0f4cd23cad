"""The model in the box, fine-tuned on 300 labels of a lab whose stacks it does not know.

Run as `python examples/finetune.py [--out DIR] [--seed S]`. The lab is a phantom, too: its stacks
are dim and grainy and have much background. Whole videos are not needed for this, so their ROIs go
straight into stores, as `stallscan extract` would write them. 300 are trained on, one fold of them
chooses the epoch; 150 others are predicted before and after, and choose nothing.
"""

from __future__ import annotations

import argparse
import csv
import json
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from stallscan.cli import main as stallscan_command
from stallscan.data import RoiStore, StoreWriter
from stallscan.roi.extraction import Extraction
from stallscan.simulate.phantom import phantom_roi
from stallscan.simulate.settings import load_settings
from stallscan.types import Label

LAB = ("plasma_grey=60,110", "plasma_photons=8,16", "background=0.15,0.3")
"""How its phantoms differ from those of the preset clogloss."""


def run(*arguments: str) -> None:
    """Run a verb as it would be typed, and say so."""
    print(f"\n$ stallscan {' '.join(arguments)}", flush=True)
    code = stallscan_command(list(arguments))
    if code:
        sys.exit(code)


def label_of(number: int) -> Label:
    """A third of the vessels are stalled."""
    return Label(int(number % 3 == 0))


def render(seed: tuple[int, ...]) -> Extraction:
    """What extract would make of the video with this seed, whose last part is its number."""
    volume, truth = phantom_roi(seed, label_of(seed[-1]), load_settings("clogloss", LAB))
    name, n_frames = f"{seed[-1]:06d}.mp4", truth.n_frames
    return Extraction(filename=name, outline="ok", n_frames=n_frames, volume=volume)


def write_split(store: Path, labels: Path, seed: tuple[int, ...], n: int) -> None:
    """A ROI store and its labels; a store that is there already is left alone."""
    numbers = range(n)
    with labels.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["filename", "stalled"])
        writer.writerows([f"{number:06d}.mp4", int(label_of(number))] for number in numbers)
    if store.exists() and RoiStore(store).is_complete:
        return
    print(f"rendering {n} ROIs into {store}", flush=True)
    identity = {"phantom": list(LAB), "seed": list(seed)}
    # Spawned: a fork of a process that has threads may hang.
    spawned = multiprocessing.get_context("spawn")
    with (
        StoreWriter(store, identity=identity, n_expected=n) as writer,
        ProcessPoolExecutor(os.cpu_count(), mp_context=spawned) as pool,
    ):
        todo = [number for number in numbers if f"{number:06d}.mp4" not in writer.names]
        for extraction in pool.map(render, [(*seed, number) for number in todo], chunksize=4):
            writer.append(extraction)
        writer.complete()


def auc(report: Path) -> str:
    """AUC of a report, with its interval."""
    found = json.loads((report / "metrics.json").read_text())
    low, high = found["intervals"]["roc_auc"]
    return f"{found['scores']['roc_auc']:.3f} ({low:.3f} to {high:.3f})"


def main() -> None:
    """Parse the options, predict, fine-tune, predict again."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("finetune"))
    parser.add_argument("--train", type=int, default=300, help="labelled ROIs")
    parser.add_argument("--test", type=int, default=150, help="ROIs that are only predicted")
    parser.add_argument("--seed", type=int, default=20261124)
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="of the recipe")
    options = parser.parse_args()
    began = time.perf_counter()
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    stores = {name: out / f"{name}.lmdb" for name in ("train", "test")}
    labels = {name: out / f"{name}_labels.csv" for name in stores}
    for stream, name in enumerate(stores):
        write_split(stores[name], labels[name], (options.seed, stream), getattr(options, name))

    changes = ("--set", *options.set) if options.set else ()
    models = {"before": ("--model", "fast"), "after": ("--model", str(out / "tuned"))}
    for name, model in models.items():
        if name == "after":
            given = (str(stores["train"]), "--labels", str(labels["train"]))
            run("train", *given, "--recipe", "fine-tune", "--out", str(out / "tuned"), *changes)
        predictions, report = str(out / f"{name}.csv"), str(out / f"report-{name}")
        run("predict", str(stores["test"]), "--out", predictions, *model)
        run("evaluate", predictions, str(labels["test"]), "--out", report)

    print(f"\nDone in {time.perf_counter() - began:.0f} s. AUC of {options.test} unseen vessels:")
    for name in models:
        print(f"  {name:<6}  {auc(out / f'report-{name}')}")


if __name__ == "__main__":
    main()
