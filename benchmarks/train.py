"""How fast training goes: the loader, the step, both together, and whether the one feeds the other.

Run as `python benchmarks/train.py [--only PART …] [--recipes NAME …]`. The parts:

loader    ROIs of phantoms, out of a ROI store (out of memory where lmdb is not installed) or
          rendered, through training's own loader to the main process, which copies them once: on a
          GPU to it. "host": the workers augment; "device": they read and draw, and the rest is the
          step's. ratio: to the fewest workers. worker_ms, main_ms: CPU time a sample of the workers
          and of the main process. on_16_cores: samples a second that 15 workers and the main
          process have the time for, if nothing else holds them up.
step      the recipe's module under Lightning's trainer, on a batch that lies ready; our network and
          MONAI's in a plain PyTorch loop. ratio: ours to theirs (2: ours is twice as fast).
          share_of_peak: of a large matrix product's operations a second in the same round.
both      the trainer fed by the loader. ratio: to the slower of the two alone.
appetite  samples_per_s is what the step takes on an H200 that computes at a share of its bfloat16
          peak, from the network's operations; ratio: what 16 cores give, to that; 1.2 is wanted. On
          a GPU also what the step takes here, and what the loader gives here.

Contenders take turns; figures are medians over the rounds, spread the largest minus the smallest.
On a CPU step and both are measured in float32 on a smaller input: --step-size, --step-batch.
Written to results/train-<device>.csv; rows of a part that is not run stay.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import logging
import os
import platform
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from peers.train.ours import (
    CORES,
    WARM_UP,
    Again,
    Engine,
    Feed,
    loader_of,
    matmul_flops,
    network_of,
    precision_of,
    step_flops,
    wait_for,
)
from peers.train.plain_loop import PlainLoop, monai_network
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from zoo import device_name

from stallscan.roi.extraction import Extraction
from stallscan.roi.volume import Volume
from stallscan.simulate import PRESETS, phantom_roi
from stallscan.training import Recipe, load_recipe
from stallscan.training.phantom_data import PhantomRois
from stallscan.training.samples import (
    TRAIN_STREAM,
    Batch,
    Sample,
    SampleKey,
    collate,
    safe_to_fork,
)
from stallscan.training.store_data import StoreRois
from stallscan.types import Label

PARTS = ("loader", "step", "both", "appetite")
PATHS = {"host": "ours, trainer", "device": "ours, trainer, it augments"}
"""Who augments, and what the step is called then."""
H200_FLOPS = 989.4e12
"""A second, in dense bfloat16: the data sheet of the SXM part."""
SHARES = (0.1, 0.2, 0.4, 1.0)
"""Of that: what a 3D network's training reaches is not known without the card."""
WANTED = 1.2
"""Times the appetite of the step."""
SEED = 601
"""Of the ROIs; no other script uses it."""
STALLED_EVERY = 4
COLUMNS = (
    *("part", "recipe", "what", "input", "workers", "samples_per_s", "spread", "ratio"),
    *("worker_ms", "main_ms", "on_16_cores", "share_of_peak", "note"),
)
Row = dict[str, Any]


# What is fed


def roi(number: int) -> Volume:
    """One phantom's."""
    label = Label(int(number % STALLED_EVERY == 0))
    return phantom_roi((SEED, number), label, PRESETS["clogloss"])[0]


def make_rois(n: int) -> dict[str, Extraction]:
    """By file name."""
    names = [f"{number:06d}.mp4" for number in range(n)]
    with ProcessPoolExecutor(n_cores()) as pool:
        volumes = list(pool.map(roi, range(n), chunksize=4))
    return {
        name: Extraction(filename=name, outline="ok", n_frames=len(volume.array), volume=volume)
        for name, volume in zip(names, volumes, strict=True)
    }


def store_of(rois: dict[str, Extraction], folder: Path) -> Any:
    """A ROI store of them; where lmdb is not installed, they themselves."""
    if importlib.util.find_spec("lmdb") is None:
        return rois
    from stallscan.data.store import RoiStore, StoreWriter

    with StoreWriter(folder / "rois.lmdb", identity={}, n_expected=len(rois)) as writer:
        for extraction in rois.values():
            writer.append(extraction)
        writer.complete()
    return RoiStore(folder / "rois.lmdb")


def sources_of(store: Any) -> tuple[str, str]:
    """Where ROIs come from."""
    return ("memory" if isinstance(store, dict) else "store", "phantom")


def dataset_of(source: str, store: Any, recipe: Recipe) -> Dataset[Sample]:
    """Of the ROIs that there are, or endless."""
    if source == "phantom":
        return PhantomRois(0, recipe)
    stalled = (np.arange(len(store)) % STALLED_EVERY == 0).astype(int)
    table = pd.DataFrame({"filename": list(store), "stalled": stalled, "target": stalled})
    return StoreRois(store, table.assign(weight=1.0, project_id="A"), [], 0, recipe)


def recipe_of(name: str, path: str, size: Any = None, batch: int | None = None) -> Recipe:
    """A recipe in the device's best precision; its rate stays, for nothing is validated here."""
    keys: dict[str, Any] = {"engine.precision": "auto", "schedule.name": "constant"}
    keys["augmentation.device"] = path == "device"
    keys |= {"input.size": tuple(size)} if size else {}
    keys |= {"sampler.batch_size": batch} if batch else {}
    recipe = load_recipe(name, keys=keys)
    assert isinstance(recipe, Recipe), f"{name} is an ensemble; name a recipe of its members"
    return recipe


def one_batch(recipe: Recipe, store: Any, device: str) -> Batch:
    """One that lies ready on the device, all but samples that it has to augment."""
    dataset = dataset_of(sources_of(store)[0], store, recipe)
    keys = [SampleKey(TRAIN_STREAM, 0, k, Label(k % 2)) for k in range(recipe.sampler.batch_size)]
    batch = collate([dataset[key] for key in keys])
    tensors = {name: part for name, part in batch._asdict().items() if isinstance(part, Tensor)}
    return batch._replace(**{name: part.to(device) for name, part in tensors.items()})


def shape_of(recipe: Recipe) -> str:
    """Of a batch."""
    depth, *plane = recipe.must_input.size
    extents = (recipe.sampler.batch_size, len(recipe.must_input.channels), depth or "any", *plane)
    return "x".join(map(str, extents))


# Contenders


@dataclass(kw_only=True)
class Found:
    """A contender, and what was measured of it.

    Attributes:
        row: the columns that say which it is.
        run: a round: samples a second.
        rates: those of the rounds.
    """

    row: Row
    run: Callable[[], float]
    rates: list[float] = field(default_factory=list)

    def measured(self, ratios_to: Sequence[float] | None = None, **more: Any) -> Row:
        """The row; ratio is the median of the rounds' ratios."""
        rate, spread = float(np.median(self.rates)), max(self.rates) - min(self.rates)
        row = self.row | {"samples_per_s": rate, "spread": spread} | more
        if ratios_to is not None:
            row["ratio"] = float(np.median(np.divide(self.rates, ratios_to)))
        return row


def take_turns(found: Sequence[Found], rounds: int) -> None:
    """One round of each after the other; nobody is always first."""
    for turn in range(rounds):
        first = turn % len(found)
        for each in (*found[first:], *found[:first]):
            each.rates.append(each.run())


# Parts


def loader_rows(name: str, store: Any, options: argparse.Namespace) -> list[Row]:
    """The loader alone: by source, path and number of workers."""
    found, feeds = [], []
    with safe_to_fork():
        for source in sources_of(store):
            for path in PATHS:
                recipe = recipe_of(name, path)
                same = {"part": "loader", "recipe": name, "input": shape_of(recipe)}
                dataset = dataset_of(source, store, recipe)
                for workers in options.workers:
                    feed = Feed(recipe, dataset, workers, options.device, options.seconds)
                    feed.warm_up()
                    row = same | {"what": f"{path}, {source}", "workers": workers}
                    found.append(Found(row=row, run=feed.run))
                    feeds.append(feed)
        take_turns(found, options.rounds)
    fewest = {each.row["what"]: each.rates for each in reversed(found)}
    return [
        each.measured(
            fewest[each.row["what"]],
            worker_ms=float(np.median(feed.worker_ms)),
            main_ms=float(np.median(feed.main_ms)),
            on_16_cores=feed.on_16_cores(),
        )
        for each, feed in zip(found, feeds, strict=True)
    ]


def step_rows(name: str, store: Any, options: argparse.Namespace) -> list[Row]:
    """The step alone: ours, with augmentation on the device, in a plain loop, and theirs."""
    size, device = (options.step_size, options.step_batch), options.device
    recipe = recipe_of(name, "host", *size)
    same = {"part": "step", "recipe": name, "input": shape_of(recipe)}
    found, n_batches, ready = [], 0, one_batch(recipe, store, device)
    for path, what in PATHS.items():
        chosen = recipe_of(name, path, *size)
        batch = one_batch(chosen, store, device)
        engine = Engine(chosen, partial(Again, batch), device, options.seconds)
        engine.warm_up()
        n_batches = n_batches or engine.n_batches
        found.append(Found(row=same | {"what": what}, run=engine.run))
    for what, network, channels_last in networks(recipe):
        loop = PlainLoop(
            network,
            ready.inputs,
            accumulate=recipe.optimizer.accumulate,
            precision=precision_of(recipe, device),
            channels_last=channels_last,
            wait=partial(wait_for, device),
        )
        loop.run(1)
        what += ", plain loop" + ", channels_last_3d" * channels_last
        found.append(Found(row=same | {"what": what}, run=partial(loop.run, n_batches)))
    peak = Found(row={}, run=partial(matmul_flops, device))
    take_turns([*found, peak], options.rounds)
    flops = step_flops(recipe)
    rows = []
    for each in found:
        share = flops * float(np.median(np.divide(each.rates, peak.rates)))
        ratio = float(np.median(np.divide(found[0].rates, each.rates)))
        rows.append(each.measured(ratio=ratio, share_of_peak=share))
    rows[0]["note"] = (
        f"{precision_of(recipe, device)}; {flops / 1e9:.1f} GFLOP a sample; matrix product "
        f"{np.median(peak.rates) / 1e12:.2f} TFLOP/s"
    )
    return rows


def networks(recipe: Recipe) -> Iterator[tuple[str, nn.Module, bool]]:
    """What runs in the plain loop: name, network, whether channels are last."""
    ours = network_of(recipe)
    yield "ours", ours, True
    try:
        make = monai_network(recipe.must_model.architecture)
        theirs = f"MONAI {version('monai')}"
    except ImportError as error:
        print(f"left out: MONAI's network ({error})")
        return
    if make is None:
        print(f"left out: MONAI has no {recipe.must_model.architecture}")
        return
    for channels_last in (False, True):
        network = make(len(recipe.must_input.channels))
        sizes = [sum(p.numel() for p in each.parameters()) for each in (ours, network)]
        if abs(sizes[1] / sizes[0] - 1) > 0.1:  # heads may differ
            print(f"left out: {theirs}'s network has {sizes[1]:,} parameters, ours {sizes[0]:,}")
            return
        yield theirs, network, channels_last


def both_rows(name: str, store: Any, options: argparse.Namespace) -> list[Row]:
    """The trainer fed by the loader, and each alone; one core is the trainer's."""
    workers, device, rows = min(options.workers[-1], free_cores()), options.device, []
    source = sources_of(store)[0]
    for path in PATHS:
        recipe = recipe_of(name, path, options.step_size, options.step_batch)
        dataset = dataset_of(source, store, recipe)
        ready = partial(Again, one_batch(recipe, store, device))
        fed = partial(fed_by, recipe, dataset, workers, device)
        contenders = {
            "loader alone": Feed(recipe, dataset, workers, device, options.seconds),
            "step alone": Engine(recipe, ready, device, options.seconds),
            # What lay ready when the clock is started would count as made since.
            "together": Engine(recipe, fed, device, options.seconds, WARM_UP + 2 * workers),
        }
        same = {"part": "both", "recipe": name, "input": shape_of(recipe), "workers": workers}
        found = []
        with safe_to_fork():
            for what, each in contenders.items():
                each.warm_up()
                row = same | {"what": f"{path}, {source}, {what}"}
                found.append(Found(row=row, run=each.run))
            take_turns(found, options.rounds)
        loader, step, together = found
        slower = np.minimum(loader.rates, step.rates).tolist()
        rows += [loader.measured(), step.measured(), together.measured(slower)]
    return rows


def fed_by(
    recipe: Recipe, dataset: Dataset[Sample], workers: int, device: str, n_batches: int
) -> DataLoader[Batch]:
    """A loader of so many batches."""
    loader, sampler = loader_of(recipe, dataset, workers, device)
    sampler.n_samples = n_batches * recipe.sampler.batch_size
    return loader


def appetite_rows(name: str, rows: Sequence[Row]) -> Iterator[Row]:
    """What the step takes, against what was measured of the loader with the most workers."""
    flops = step_flops(recipe_of(name, "host"))
    of_recipe = [row for row in rows if row["recipe"] == name]
    loaders = {row["what"]: row for row in of_recipe if row["part"] == "loader"}
    steps = {row["what"]: row for row in of_recipe if row["part"] == "step"}
    for what, fed in loaders.items():
        same = {"part": "appetite", "recipe": name, "input": fed["input"]}
        for share in SHARES:
            taken = H200_FLOPS * share / flops
            row = same | {"what": f"{what}; an H200 at {share:.0%} of peak", "workers": CORES - 1}
            yield row | fed_or_not(taken, float(fed["on_16_cores"]))
        step = steps.get(PATHS[what.partition(",")[0]])
        if torch.cuda.is_available() and step and step["input"] == fed["input"]:
            row = same | {"what": f"{what}; measured here", "workers": fed["workers"]}
            yield row | fed_or_not(float(step["samples_per_s"]), float(fed["samples_per_s"]))


def fed_or_not(taken: float, given: float) -> Row:
    """What the step takes, and whether the loader gives enough beyond it."""
    enough = given >= WANTED * taken
    note = f"{'fed' if enough else 'NOT fed'}: the loader gives {given:.0f} a second"
    return {"samples_per_s": taken, "ratio": given / taken, "note": note}


# The table


def as_text(row: Row) -> Row:
    """Figures with as many digits as say something."""
    places = {"ratio": 2, "share_of_peak": 3, "worker_ms": 2, "main_ms": 2, "on_16_cores": 0}
    places |= {"samples_per_s": 2, "spread": 2}
    return {
        key: f"{value:.{places[key]}f}" if key in places and value != "" else value
        for key, value in ((key, row.get(key, "")) for key in COLUMNS)
    }


def write(path: Path, rows: Sequence[Row], kept: Sequence[Row]) -> None:
    """The table, after every part of it: a killed run loses little."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows((*kept, *rows))


def kept_rows(path: Path, parts: Sequence[str]) -> list[Row]:
    """Rows that a former run wrote about the parts that are not run now."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["part"] not in parts]


def line(row: Row) -> str:
    """One contender's figures."""
    name = f"{row['part']:<8} {row['recipe']:<13} {row['what']:<50} {row['input']:<17}"
    figures = f"{row['samples_per_s']:>8} a second"
    for key, word in (
        *(("workers", "workers"), ("spread", "spread"), ("ratio", "ratio")),
        *(("worker_ms", "ms in workers"), ("main_ms", "ms in main")),
        *(("on_16_cores", "on 16 cores"), ("share_of_peak", "of the matrix product's peak")),
    ):
        figures += f", {word} {row[key]}" if row[key] != "" else ""
    return f"{name} {figures}" + (f"; {row['note']}" if row["note"] else "")


def n_cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0))


def free_cores() -> int:
    """But for that of the main process."""
    return max(n_cores() - 1, 1)


def parse() -> argparse.Namespace:
    """Options, those of the device filled in."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=PARTS, nargs="+", default=PARTS, metavar="PART")
    parser.add_argument("--recipes", nargs="+", default=["winner-stage1", "modern"], metavar="NAME")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rois", type=int, default=200, help="in the store")
    parser.add_argument("--workers", type=int, nargs="+", help="default: 1 and 2, or 1 and 15")
    parser.add_argument("--step-size", type=int, nargs=3, metavar="N", help="default: the recipe's")
    parser.add_argument("--step-batch", type=int, help="default: the recipe's; both smaller on CPU")
    parser.add_argument("--threads", type=int, help="of the step; default: 1, on a GPU PyTorch's")
    parser.add_argument("--seconds", type=float, default=3.0, help="a round of a contender, about")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cudnn-benchmark", action="store_true", help="let cuDNN try algorithms")
    parser.add_argument("--out", type=Path, metavar="FILE", help="of the table")
    options = parser.parse_args()
    on_cpu = options.device == "cpu"
    options.workers = sorted(options.workers or {1, n_cores() if on_cpu else free_cores()})
    if on_cpu:
        options.step_size = options.step_size or (48, 64, 64)
        options.step_batch = options.step_batch or 2
        options.threads = options.threads or 1
    options.out = options.out or Path(__file__).parent / f"results/train-{options.device}.csv"
    return options


def main() -> None:
    """Measure, print and write the table."""
    options = parse()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.backends.cudnn.benchmark = options.cudnn_benchmark
    warnings.filterwarnings("ignore", module="lightning")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    print(
        f"{device_name(options.device)}; {n_cores()} cores, the step on "
        f"{torch.get_num_threads()} threads; Python {platform.python_version()}, torch "
        f"{torch.__version__}, Lightning {version('lightning')}, NumPy {version('numpy')}; "
        f"{options.rounds} rounds of {options.seconds:g} s, {options.rois} ROIs"
    )
    rows: list[Row] = []
    kept = kept_rows(options.out, options.only)
    with tempfile.TemporaryDirectory() as folder:
        store = store_of(make_rois(options.rois), Path(folder))
        parts: dict[str, Callable[[str], Sequence[Row]]] = {
            "loader": lambda name: loader_rows(name, store, options),
            "step": lambda name: step_rows(name, store, options),
            "both": lambda name: both_rows(name, store, options),
            "appetite": lambda name: list(appetite_rows(name, [*kept, *rows])),
        }
        for name in options.recipes:
            for part in (part for part in PARTS if part in options.only):
                found = [as_text(row) for row in parts[part](name)]
                print(*map(line, found), sep="\n", flush=True)
                rows += found
                write(options.out, rows, kept)


if __name__ == "__main__":
    main()
