"""What augmentation is worth: a recipe with it and without, on a set that runs out.

Run as `python benchmarks/augment_effect.py [--arms none mirror3 heavy] [--seeds 3] [--jobs 2]`. An
arm is a preset, or one with more: `heavy+OutlineJitter+MixUp` (transforms of ADDED, or a mix).
The phantom's endless set shows nothing twice and so hides what augmentation is for; here a run sees
a few hundred ROIs again and again, as a lab with few labelled videos would. All arms have the same
ROIs, budget, validation set (which picks the epoch) and test set (which picks nothing); a seed
decides first weights, batches and augmentation. By default the network is the default recipe's on
a smaller input, so that nine runs take less than an hour on two cores.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch
from sklearn.metrics import roc_auc_score
from torch.utils.data import Dataset

from stallscan.augment import (
    Attenuation,
    BiasField,
    Compose,
    Downscale,
    GaussianBlur,
    ImageCompression,
    OneOf,
    OutlineJitter,
    RandomAffine,
    RandomBrightnessContrast,
    RandomOcclusion,
    SomeOf,
    TemporalCrop,
    UnsharpMask,
    preset,
)
from stallscan.augment._transform import Augmentation, Spatial
from stallscan.augment.evaluation import Preprocessing
from stallscan.augment.registry import BATCHES
from stallscan.models.checkpoint import load_checkpoint
from stallscan.roi.volume import Volume
from stallscan.simulate import PRESETS, phantom_roi
from stallscan.training import Recipe, TrainOptions, load_recipe, train
from stallscan.training.samples import (
    TRAIN_STREAM,
    VALIDATION_STREAM,
    Preparation,
    Sample,
    SampleKey,
    TrainingSet,
    network_input,
)
from stallscan.types import Box, Label
from stallscan.workers import end_with_parent

ADDED: dict[str, Augmentation] = {
    "RandomAffine": RandomAffine((30, 0, 0), 0.05, (0.8, 1.25), (0, 0, 15), p=0.3),
    "TemporalCrop": TemporalCrop((0.6, 1.0), p=0.3),
    "OutlineJitter": OutlineJitter(p=0.5),
    "RandomOcclusion": RandomOcclusion(p=0.3),
    "Light": SomeOf([RandomBrightnessContrast(), BiasField(), Attenuation()], (1, 2), p=0.4),
    "Sharpness": OneOf(
        [GaussianBlur(), UnsharpMask(), ImageCompression(), Downscale(0.5, 0.8)], p=0.3
    ),
}
"""What an arm may add to a preset, by name."""
SETS = {"train": 501, "validation": 502, "test": 503}
"""Seeds of the sets: none is used by any other script."""


def render(where: tuple[str, int, str]) -> dict[str, Any]:
    """One ROI of a set: grey levels, outline, label (stalled ones in turn)."""
    name, number, phantom = where
    label = Label(number % 2)
    volume, _ = phantom_roi((SETS[name], number), label, PRESETS[phantom])
    return {"array": volume.array, "mask": volume.mask, "label": int(label)}


def rendered(name: str, n: int, phantom: str, work: Path) -> list[tuple[Volume, Label]]:
    """A set, from the folder of work if it lies there."""
    path = work / f"{name}-{phantom}-{n}.npz"
    if not path.exists():
        with ProcessPoolExecutor(
            os.cpu_count(), initializer=end_with_parent, initargs=(os.getpid(),)
        ) as pool:
            rows = list(pool.map(render, [(name, k, phantom) for k in range(n)], chunksize=4))
        arrays = {f"{key}{k}": row[key] for k, row in enumerate(rows) for key in row}
        np.savez_compressed(path, **arrays)
    with np.load(path) as stored:
        return [(_volume(stored[f"array{k}"], stored[f"mask{k}"]), Label(k % 2)) for k in range(n)]


def _volume(array: Any, mask: Any) -> Volume:
    box = Box(0, 0, 0, *array.shape[:3])
    line = np.zeros_like(mask)
    return Volume(array=array, mask=mask, line=line, box=box, source="phantom")


def augmentation_of(arm: str) -> Augmentation | None:
    """The preset, its additions that move voxels before it and those of values after it."""
    name, *more = arm.split("+")
    if name == "none":
        return None
    added = [ADDED[each] for each in more if each not in BATCHES]
    moving = [each for each in added if isinstance(each, Spatial)]
    rest = [each for each in added if not isinstance(each, Spatial)]
    return Compose([*moving, *preset(name).transforms, *rest])


class Fixed(Dataset[Sample]):
    """A set that runs out: a key draws one of its ROIs."""

    def __init__(
        self, work: Path, sizes: dict[str, int], arm: str, recipe: Recipe, seed: int
    ) -> None:
        self.train = rendered("train", sizes["train"], recipe.data.phantom, work)
        judged = recipe.validation.phantom
        self.fixed = rendered("validation", sizes["validation"], judged, work)
        self.prepare, self.seed = Preparation(recipe), seed
        self.prepare.augmentation = augmentation_of(arm)

    def __getitem__(self, key: SampleKey) -> Sample:
        rng, label = None, int(key.label)
        if key.stream == TRAIN_STREAM:
            rng = np.random.default_rng((self.seed, key.stream, key.epoch, key.number))
            # Sets alternate between the labels.
            volume, _ = self.train[2 * int(rng.integers(len(self.train) // 2)) + label]
        else:
            volume, _ = self.fixed[key.number]
        return Sample(self.prepare(volume, rng), float(label), 1.0, label, key.number)


class Source:
    """A run on the fixed set."""

    fold = 0

    def __init__(self, work: Path, sizes: dict[str, int], arm: str) -> None:
        self.work, self.sizes, self.arm = work, sizes, arm

    def of_fold(self, fold: int) -> Source:
        """There is one."""
        return self

    def identity(self) -> dict[str, Any]:
        """How many ROIs there are."""
        return dict(self.sizes)

    def open(self, run_dir: Path, recipe: Recipe, seed: int) -> TrainingSet:
        """The sets, rendered before."""
        n = self.sizes["validation"]
        keys = [SampleKey(VALIDATION_STREAM, 0, k, Label(k % 2)) for k in range(n)]
        return TrainingSet(
            dataset=Fixed(self.work, self.sizes, self.arm, recipe, seed),
            natural_share=0.5,
            validation=keys,
            held_out=keys,
            names=[f"phantom-{k}" for k in range(n)],
            description={"data": "stallscan phantom", **self.sizes},
            notes="",
        )


def recipe_of(arm: str, args: argparse.Namespace) -> Recipe:
    """The recipe, of which only the augmentation differs from arm to arm."""
    name, *more = arm.split("+")
    mixes = [{"name": each.lower()} for each in more if each in BATCHES]
    size = {"input.size": tuple(args.size)} if args.recipe == "cpu-small" else {}
    recipe = load_recipe(
        args.recipe,
        keys=size
        | {
            "augmentation": None if name == "none" else {"preset": name, "resize": False},
            "mix": mixes[0] if mixes else None,
            "data.phantom": args.phantom,
            "validation.phantom": args.phantom,
            "sampler.batches_per_epoch": args.batches,
            "stop.max_epochs": args.epochs,
            "stop.patience": None,
        },
    )
    assert isinstance(recipe, Recipe)
    return recipe


def one_run(job: tuple[str, int, argparse.Namespace]) -> dict[str, Any]:
    """Train one arm with one seed, and score the chosen epoch on the test set."""
    arm, seed, args = job
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    recipe = recipe_of(arm, args)
    sizes = {"train": args.n_train, "validation": args.n_validation}
    options = TrainOptions(seed=seed, workers=0, device="cpu")
    run_dir = args.work / f"{arm}-{seed}"
    train(run_dir, recipe, options, source=Source(args.work, sizes, arm), progress=False)
    history = pd.read_csv(run_dir / "history.csv")
    model, card = load_checkpoint(run_dir)
    preprocessing = Preprocessing.from_dict(card.preprocessing)
    test = rendered("test", args.n_test, recipe.validation.phantom, args.work)
    with torch.inference_mode():
        inputs = (network_input(volume, None, preprocessing, None) for volume, _ in test)
        logits = [float(model(made[None])) for made in inputs]
    best = history.loc[history["val_auc"].idxmax()]
    return {
        "augmentation": arm,
        "seed": seed,
        "best_epoch": int(best["epoch"]),
        "train_loss_last": round(float(history["train_loss"].iloc[-1]), 4),
        "validation_auc_best": round(float(best["val_auc"]), 4),
        "validation_auc_last": round(float(history["val_auc"].iloc[-1]), 4),
        "test_auc": round(float(roc_auc_score([label for _, label in test], logits)), 4),
        "seconds": round(float(history["seconds"].sum())),
    }


def results(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Rows as runs end, in order: all arms of a seed, then the next seed."""
    jobs = [(arm, seed, args) for seed, arm in itertools.product(range(args.seeds), args.arms)]
    if args.jobs == 1:
        yield from map(one_run, jobs)
        return
    with ProcessPoolExecutor(
        args.jobs, initializer=end_with_parent, initargs=(os.getpid(),)
    ) as pool:
        yield from pool.map(one_run, jobs)


def main() -> None:
    """Run all arms and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arms", nargs="+", default=["none", "mirror3", "winner_v20", "heavy"])
    recipes = ("cpu-small", "vessel", "fine-tune")
    parser.add_argument("--recipe", default=recipes[0], choices=recipes)
    parser.add_argument("--phantom", default="clogloss", choices=PRESETS, help="learnt and judged")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--n-train", type=int, default=1600, help="ROIs that are seen")
    parser.add_argument("--n-validation", type=int, default=300)
    parser.add_argument("--n-test", type=int, default=600)
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--batches", type=int, default=40, help="batches of 16 in an epoch")
    parser.add_argument(
        "--size",
        type=int,
        nargs=3,
        default=(32, 48, 48),
        metavar=("Z", "Y", "X"),
        help="of cpu-small",
    )
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time, one core each")
    parser.add_argument("--work", type=Path, default=Path("runs/augment_effect"))
    parser.add_argument(
        "--out", type=Path, default=Path("benchmarks/results/augment-effect-cpu.csv")
    )
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    recipe = recipe_of("none", args)
    judged = recipe.validation.phantom
    # Once, before the runs need them.
    rendered("train", args.n_train, recipe.data.phantom, args.work)
    rendered("validation", args.n_validation, judged, args.work)
    rendered("test", args.n_test, judged, args.work)
    with args.out.open("w", newline="") as file:
        writer = None
        for row in results(args):
            writer = writer or csv.DictWriter(file, list(row))
            if file.tell() == 0:
                writer.writeheader()
            writer.writerow(row)
            file.flush()
            print(row, flush=True)
    table = pd.read_csv(args.out).groupby("augmentation", sort=False)
    print(table[["validation_auc_best", "test_auc", "train_loss_last"]].agg(["mean", "std"]))


if __name__ == "__main__":
    main()
