"""The table of docs/models.md: what each network costs, how long it takes a CPU, its weights.

Run as `python benchmarks/model_page.py`: it measures those networks that the results lack, or
`--again NAME …` anew, one process each, and writes the table into the page, between its marks;
`--table` writes the page alone. Measured is OpenVINO in float32, as `stallscan predict` uses it, on
one volume of 3×96×128×128. In each process DenseNet121 takes turns with the network: ms is the
median over the rounds on the wall, ratio_to_densenet121 the median of the rounds' ratios, which a
machine that others use disturbs less. difference is that of the logit from PyTorch's. Written to
results/models-openvino-cpu.csv.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from stallscan.models.figures import FIGURES_SIZE, read_figures
from stallscan.models.published import weights_of
from stallscan.workers import end_with_parent

REPOSITORY = Path(__file__).parents[1]
PAGE = REPOSITORY / "docs/models.md"
RESULTS = REPOSITORY / "benchmarks/results/models-openvino-cpu.csv"
BEGINNING, END = "<!-- python benchmarks/model_page.py -->\n", "<!-- to here -->\n"
REFERENCE = "densenet121"
RATIO = "ratio_to_densenet121"
COLUMNS = ("name", "ms", "spread", RATIO, "difference", "rounds", "threads", "openvino")
Row = dict[str, Any]


def measure(name: str, threads: int, rounds: int) -> Row:
    """One network beside the reference."""
    import torch
    from torch.nn.modules.batchnorm import _BatchNorm

    from stallscan.inference.engine import Engine, make_engine, version_of
    from stallscan.models import create_model, recalibrate_bn

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    volume = rng.standard_normal((1, 3, *FIGURES_SIZE), dtype=np.float32)
    engines: dict[str, Engine] = {}
    for each in dict.fromkeys((REFERENCE, name)):
        network = create_model(each).eval()
        if any(isinstance(module, _BatchNorm) for module in network.modules()):
            # With a new network's statistics a deep one enlarges values, and rounding, without end.
            recalibrate_bn(network, [torch.from_numpy(volume)])
        engines[each] = make_engine(network, "openvino")
    with torch.inference_mode():
        expected = network(torch.from_numpy(volume)).item()
    difference = abs(engines[name](volume).item() - expected) / max(1.0, abs(expected))
    taken: dict[str, list[float]] = {each: [] for each in engines}
    for turn in range(rounds + 1):
        for each, engine in engines.items():
            began = time.perf_counter()
            engine(volume)
            if turn > 0:  # the first one warms up
                taken[each].append(1000 * (time.perf_counter() - began))
    ms = np.array(taken[name])
    row = (
        *(name, f"{np.median(ms):.0f}", f"{np.ptp(ms):.0f}"),
        *(f"{np.median(ms / taken[REFERENCE]):.2f}", f"{difference:.1e}", rounds, threads),
        version_of("openvino"),
    )
    return dict(zip(COLUMNS, row, strict=True))


def read_results(path: Path) -> dict[str, Row]:
    """Rows by name; none where nothing was measured yet."""
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def write_results(path: Path, rows: dict[str, Row]) -> None:
    """In the registry's order, after every network: a killed run loses one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows[name] for name in read_figures() if name in rows)


def table(measured: dict[str, Row]) -> str:
    """A row for each network of the registry; times that were not measured stay empty."""
    lines = [
        "| model | parameters | GMACs | CPU, ms | × DenseNet121 | weights | licence |",
        "|---|--:|--:|--:|--:|---|---|",
    ]
    for figures in read_figures().values():
        weights, row = weights_of(figures.name), measured.get(figures.name)
        ms, ratio = ("", "") if row is None else (f"{int(row['ms']):,}", row[RATIO])
        lines.append(
            f"| {figures.name} | {figures.n_parameters:,} | {figures.gmacs:.1f} | {ms} | {ratio} "
            f"| {weights.trained_on}, {weights.source} {weights.tag} | {weights.licence} |"
        )
    return "\n".join(lines) + "\n"


def with_table(page: str, rows: str) -> str:
    """The page with another table between its marks.

    Raises:
        ValueError: a mark is missing.
    """
    before, mark, rest = page.partition(BEGINNING)
    _, end, after = rest.partition(END)
    if not mark or not end:
        raise ValueError(f"{PAGE}: has no line {(END if mark else BEGINNING).strip()!r}")
    return f"{before}{mark}\n{rows}\n{end}{after}"


def main() -> None:
    """Measure what is missing, and write results and page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--again", nargs="+", default=[], choices=list(read_figures()), metavar="NAME"
    )
    parser.add_argument("--table", action="store_true", help="measure nothing, write the page")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    measured = read_results(RESULTS)
    missing = [name for name in read_figures() if name not in measured or name in options.again]
    context = multiprocessing.get_context("spawn")  # each gives its gigabytes back
    for name in tqdm([] if options.table else missing):
        with ProcessPoolExecutor(1, context, end_with_parent, (os.getpid(),)) as pool:
            row = pool.submit(measure, name, options.threads, options.rounds).result()
        measured[name] = row
        tqdm.write(f"{name}: {row['ms']} ms (spread {row['spread']}), {row[RATIO]} ×")
        write_results(RESULTS, measured)
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(with_table(page, table(measured)), encoding="utf-8")


if __name__ == "__main__":
    main()
