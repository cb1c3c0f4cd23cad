"""The same probabilities whatever the engine, the flips and the batch: a table of the differences.

Run as `python benchmarks/parity.py [--model DIR] [--int8 DIR]`. The reference is the network as
PyTorch has it, eager, one input at a time, nothing folded, in float64; the ROIs are phantoms, half
of them stalled. Each row says how far the probabilities of `predict` are from the reference at
most, how many calls differ at the model's threshold, and how far the probabilities are from those
of the same engine at batch 1. Probabilities have six digits, so that 5e-7 is rounding.
`--int8` takes what `stallscan export --precision int8` wrote of the same model.

Of an ensemble that averages probabilities a second table, parity-early-cpu.csv, says what
`--stop-early` changes: calls, probabilities, and the share of the networks that are asked.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from stallscan.augment.evaluation import Preprocessing
from stallscan.augment.mirror import FLIPS, mirrored
from stallscan.inference.member import LoadedMember, load_members
from stallscan.inference.options import EngineName
from stallscan.inference.predictor import Predictor
from stallscan.inference.prepare import Inputs, make_inputs
from stallscan.models.box import find_model
from stallscan.models.card import ModelCard
from stallscan.models.ensemble import EnsembleCard
from stallscan.simulate.phantom import phantom_roi
from stallscan.types import Label

RESULTS = Path(__file__).parent / "results" / "parity-cpu.csv"
STREAM = 8
"""Second part of the phantoms' seeds: of no training, validation or calibration."""


def main() -> None:
    """Compare, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=find_model, default=find_model())
    parser.add_argument("--int8", type=Path, help="export of the same model")
    parser.add_argument("--rois", type=int, default=200)
    parser.add_argument("--flips", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 3, 8])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()

    members, card = load_members(options.model)
    seen = tuple(dict.fromkeys(member.preprocessing for member in members))
    with ProcessPoolExecutor(2) as pool:
        made = pool.map(partial(roi, seed=options.seed, seen=seen), range(options.rois))
        vessels = list(tqdm(made, total=options.rois, desc="ROIs", unit="ROI"))
    references = reference(members, vessels, max(options.flips))

    engines: list[tuple[str, EngineName, Path]] = [
        ("torch", "torch", options.model),
        ("openvino", "openvino", options.model),
        ("onnxruntime", "onnxruntime", options.model),
    ]
    if options.int8 is not None:
        engines.append(("int8", "openvino", options.int8))
    rows = []
    for label, engine, folder in tqdm(engines, desc="engines"):
        loaded, _ = load_members(folder)
        for flips in options.flips:
            predictor = Predictor(loaded, card, flips=flips, engine=engine)
            expected = calibrated(card, references[:, :flips].mean(axis=1))
            alone = probabilities(predictor, vessels, 1)
            for batch in options.batches:
                found = alone if batch == 1 else probabilities(predictor, vessels, batch)
                calls = [values >= predictor.threshold for values in (found, expected)]
                rows.append(
                    {
                        "engine": label,
                        "flips": flips,
                        "batch": batch,
                        "rois": len(vessels),
                        "from_reference": np.abs(found - expected).max(),
                        "calls_changed": int((calls[0] != calls[1]).sum()),
                        "from_batch_1": np.abs(found - alone).max(),
                    }
                )
    print(f"{card.name}, networks {len(members)}, threshold {card.threshold:g}")
    write(pd.DataFrame(rows), options.out)
    if len(members) > 1:
        early = options.out.with_name(options.out.name.replace("parity", "parity-early", 1))
        write(pd.DataFrame(early_stops(members, card, vessels, options.flips)), early)


def write(table: pd.DataFrame, path: Path) -> None:
    """Print and write."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False, float_format="%.3g", lineterminator="\n")
    print(table.to_string(index=False, float_format="{:.3g}".format))


def early_stops(
    members: Sequence[LoadedMember],
    card: ModelCard | EnsembleCard,
    vessels: list[Inputs],
    flips: Sequence[int],
) -> Iterator[dict[str, float]]:
    """A row for each number of flips: with `--stop-early` against without."""
    for number in flips:
        whole, early = (
            Predictor(members, card, flips=number, engine="openvino", stop_early=stop)
            for stop in (False, True)
        )
        pairs = [(whole.predict(inputs), early.predict(inputs)) for inputs in vessels]
        asked = sum(other.n_networks for _, other in pairs)
        yield {
            "flips": number,
            "rois": len(vessels),
            "calls_changed": sum(one.stalled != other.stalled for one, other in pairs),
            "worst": max(abs(one.probability - other.probability) for one, other in pairs),
            "networks": len(members),
            "share_asked": asked / (len(members) * len(vessels)),
        }


def roi(number: int, *, seed: int, seen: tuple[Preprocessing, ...]) -> Inputs:
    """A phantom as the networks want it; the odd ones are stalled."""
    volume, _ = phantom_roi((seed, STREAM, number), Label(number % 2))
    return make_inputs(volume, seen)


def reference(
    members: Iterable[LoadedMember], vessels: list[Inputs], n_flips: int
) -> NDArray[np.float64]:
    """``(ROIs, flips)``: weighed means of the networks' probabilities, in float64."""
    total, whole = np.zeros((len(vessels), n_flips)), 0.0
    with torch.inference_mode():
        for member in members:
            network = copy.deepcopy(member.model).double().eval()
            for row, inputs in enumerate(tqdm(vessels, desc="reference", unit="ROI")):
                for column, axes in enumerate(FLIPS[:n_flips]):
                    flipped = mirrored(inputs[member.preprocessing], axes).astype(np.float64)
                    logit = network(torch.from_numpy(flipped)[None])
                    total[row, column] += member.weight * float(torch.sigmoid(logit))
            whole += member.weight
    return total / whole


def calibrated(card: ModelCard | EnsembleCard, means: NDArray[np.float64]) -> NDArray[np.float64]:
    """As the card says."""
    if card.calibration is None:
        return means
    return np.array([card.calibration(float(mean)) for mean in means])


def probabilities(predictor: Predictor, vessels: list[Inputs], batch: int) -> NDArray[np.float64]:
    """As `predict` writes them, six digits."""
    return np.array(
        [
            prediction.probability
            for group in groups(vessels, batch)
            for prediction in predictor.predict_batch(group)
        ]
    )


def groups(vessels: list[Inputs], batch: int) -> Iterator[list[Inputs]]:
    """So many at once."""
    rest = iter(vessels)
    while group := list(islice(rest, batch)):
        yield group


if __name__ == "__main__":
    main()
