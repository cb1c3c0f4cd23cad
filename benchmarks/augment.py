"""CPU time of our augmentations against every library that has them; strength of the elastic.

Run as `python benchmarks/augment.py [--only PIPELINE|TRANSFORMS|ELASTIC]`; peers/README.md says how
to get the peers. Each contender is a process on one thread, with the interpreter of its environment
and the same uint8 volumes. All warm up, then take turns: in each round a block of calls each. The
pipeline draws, so the mean of a block is the figure of a round; ms is the median over the rounds,
spread the largest minus the smallest, ratio_to_ours the median of the rounds' ratios (2: twice the
time of ours). Written to results/augment-cpu.csv; rows of a part that is not run stay.

The elastic transforms are compared by the standard deviation and the correlation length of their
displacement (peers/_displacement.py), in results/augment-elastic-cpu.csv: ratio is ours to theirs,
error its standard error over the rounds.
"""

from __future__ import annotations

import argparse
import csv
import math
import platform
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from peers._process import ContenderProcess

REPOSITORY = Path(__file__).parents[1]
PEERS = (
    *("volumentations_3d", "bio_volumentations_1", "monai_1", "torchio_1", "torchio_2"),
    "albumentations_x",
)
PERMISSIVE = ("MIT", "Apache-2.0")
SIZE = (96, 128, 128)
INPUTS = ((60, 66, 67, 3), (96, 128, 128, 3), (60, 66, 67, 1))
TRANSFORMS = (
    *("Flip 0", "Flip 1", "Flip 2", "TimeReverse", "Transpose", "RandomRotate90"),
    *("CubicSymmetry", "Rotate", "RotatePseudo2D 0 1", "RotatePseudo2D 1 2", "RandomAffine"),
    *("RandomShift", "ElasticTransform", "ElasticTransformPseudo2D", "GridDistortion"),
    *("Resize", "RandomScale", "RandomCrop", "CenterCrop", "RandomCropFromBorders"),
    *("RandomResizedCrop", "CropNonEmptyMaskIfExists", "ResizedCropNonEmptyMaskIfExists"),
    *("RemoveEmptyBorder", "PadIfNeeded", "Pad", "RandomDropPlane", "RandomFrameDrop"),
    *("TemporalCrop", "TemporalResample", "FrameJitter", "Attenuation", "RandomGamma"),
    *("RandomBrightnessContrast", "BiasField", "RemoveBackground", "HistogramNormalize"),
    *("HistogramMatching", "CLAHE", "Solarize", "Posterize", "GaussianNoise", "PoissonGamma"),
    *("RowNoise", "GaussianBlur", "Blur", "MedianBlur", "MotionBlur", "GlassBlur"),
    *("UnsharpMask", "Downscale", "ImageCompression", "GridDropout", "CoarseDropout"),
    *("RandomOcclusion", "OutlineJitter", "Normalize", "ToFloat", "FromFloat", "MixUp"),
    *("CutMix",),
)
_OVERHEAD = (
    "hundredths of a ms to check, record and copy; volumentations without Compose only slices"
)
WHY_SLOWER = {
    **dict.fromkeys(
        ("RandomCropFromBorders", "Flip 0", "Flip 1", "RandomCrop", "CenterCrop"), _OVERHEAD
    ),
    "ImageCompression": "the codec's time, and 5 % to bring colours into its order and back",
}
"""By transform, why ours is slower than the best permissively licensed peer."""
LIMITS = ((0.05, 0.05), (0.1, 0.1), (0.15, 0.15), (0.25, 0.25), (0.0, 0.25))
"""Of the elastic transform's deformation; the last are the pipeline's."""
LEAST_S = 0.1
"""A block of fast transforms is repeated for so long, or the clock would decide."""
SPEED = ("what", "input", "contender", "licence", "ms", "spread", "ratio_to_ours", "note")
STRENGTH = ("deformation", "region", "measure", "axis", "ours", "theirs", "ratio", "error")
Row = dict[str, Any]


def start(stack: ExitStack, peers_python: Path) -> list[ContenderProcess]:
    """Ours and all peers that are installed; the others are named."""
    found = []
    for script in ("ours", *PEERS):
        python = sys.executable if script == "ours" else peers_python
        try:
            found.append(stack.enter_context(ContenderProcess(python, script)))
        except (OSError, ChildProcessError) as error:
            print(f"left out: {script} ({error})")
    return found


def measure(
    contenders: Sequence[ContenderProcess],
    what: str,
    shape: tuple[int, ...],
    size: tuple[int, ...],
    *,
    calls: int,
    options: argparse.Namespace,
) -> list[Row]:
    """A row for each contender that has it, ours first."""
    ready, notes = [], {}
    request = {"what": what, "shape": shape, "size": size, "calls": options.warm_up}
    for contender in contenders:
        answer = contender.ask("warm", **request)
        if "error" in answer:
            print(f"left out: {what} of {contender.name} ({answer['error']})")
        elif "missing" not in answer:
            ready.append(contender)
            notes[contender.name] = answer["note"]
    times: dict[str, list[float]] = {contender.name: [] for contender in ready}
    for turn in range(options.rounds):
        first = turn % max(len(ready), 1)  # nobody is always first
        for contender in (*ready[first:], *ready[:first]):
            answer = contender.ask("time", calls=calls, least_s=0 if options.quick else LEAST_S)
            if "error" in answer:
                raise RuntimeError(f"{what} of {contender.name}: {answer['error']}")
            times[contender.name].append(answer["ms"])
    ours = next((ms for name, ms in times.items() if name.startswith("stallscan")), None)
    rows = []
    for contender in ready:
        ms = times[contender.name]
        ratio = f"{np.median(np.divide(ms, ours)):.2f}" if ours else ""
        row = (
            *(what, "x".join(map(str, shape)), contender.name, contender.licence),
            *(f"{np.median(ms):.3f}", f"{max(ms) - min(ms):.3f}", ratio, notes[contender.name]),
        )
        rows.append(dict(zip(SPEED, row, strict=True)))
    name_slower(rows)
    return rows


def name_slower(rows: list[Row]) -> None:
    """Where a permissively licensed peer is faster than ours, say why, or that nobody has said."""
    ratios = [float(row["ratio_to_ours"] or 1) for row in rows if row["licence"] in PERMISSIVE]
    if min(ratios, default=1) < 1:
        why = WHY_SLOWER.get(rows[0]["what"], "slower than a peer, and no reason is given")
        rows[0]["note"] = "; ".join(filter(None, (rows[0]["note"], why)))


def pipelines(
    contenders: Sequence[ContenderProcess], options: argparse.Namespace
) -> Iterator[list[Row]]:
    """Winner's pipeline on every kind of input."""
    for shape in INPUTS[:1] if options.quick else INPUTS:
        shape, size = scaled(shape, options), scaled(SIZE, options)
        yield measure(contenders, "pipeline", shape, size, calls=options.calls, options=options)


def transforms(
    contenders: Sequence[ContenderProcess], options: argparse.Namespace
) -> Iterator[list[Row]]:
    """Each transform alone, always applied: fewer calls do, for less is drawn."""
    calls = math.ceil(options.calls / 5)
    for what in TRANSFORMS:
        shape, size = scaled(INPUTS[0], options), scaled(SIZE, options)
        yield measure(contenders, what, shape, size, calls=calls, options=options)


def scaled(shape: tuple[int, ...], options: argparse.Namespace) -> tuple[int, ...]:
    """A quarter of the extents for a quick look; channels stay."""
    if not options.quick:
        return shape
    return (*(extent // 4 for extent in shape[:3]), *shape[3:])


def elastic(
    contenders: Sequence[ContenderProcess], options: argparse.Namespace
) -> Iterator[list[Row]]:
    """Displacement of ours and of volumentations', by limits of the deformation."""
    shape = scaled(INPUTS[0], options)[:3]
    pair = [c for c in contenders if c.name.startswith(("stallscan", "volumentations"))]
    draws = math.ceil(options.draws / options.rounds)
    for limits in LIMITS:
        found: list[list[Row]] = [[] for _ in pair]
        for _ in range(options.rounds):
            for contender, answers in zip(pair, found, strict=True):
                answer = contender.ask("displacement", limits=limits, shape=shape, draws=draws)
                if "error" in answer:
                    raise RuntimeError(f"elastic of {contender.name}: {answer['error']}")
                answers.append(answer)
        yield [
            strength(limits, region, measure, axis, found)
            for region in ("whole", "interior")
            for measure in ("std", "length")
            for axis in range(3)
        ]


def strength(
    limits: tuple[float, float], region: str, measure: str, axis: int, found: list[list[Row]]
) -> Row:
    """One measure of both, with the standard error of their ratio over the rounds."""
    means, errors = [], []
    for answers in found:
        values = np.array([answer[region][measure][axis] for answer in answers], float)
        power = 2 if measure == "std" else 1  # variances add up
        means.append(float((values**power).mean() ** (1 / power)))
        few = len(values) < 2
        error = math.nan if few else values.std(ddof=1) / math.sqrt(len(values))
        errors.append(error / means[-1])
    ratio = means[0] / means[1] if len(means) == 2 else math.nan
    low, high = limits
    row = (
        *(f"{low}" if low == high else f"{low} to {high}", region, measure, "zyx"[axis]),
        *(shown(mean) for mean in (*means, math.nan)[:2]),
        *(shown(ratio), shown(ratio * math.hypot(*errors))),
    )
    return dict(zip(STRENGTH, row, strict=True))


def shown(value: float) -> str:
    """Three decimals; nothing where there is no value."""
    return "" if math.isnan(value) else f"{value:.3f}"


def write(path: Path, columns: tuple[str, ...], rows: list[Row], kept: list[Row]) -> None:
    """The table, after every part of it: a killed run loses little."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows((*kept, *rows))


def kept_rows(path: Path, parts: Sequence[str]) -> list[Row]:
    """Rows that a former run wrote about the part that is not run now."""
    if not path.exists() or {"PIPELINE", "TRANSFORMS"} <= set(parts):
        return []
    with path.open(newline="") as file:
        return [
            row
            for row in csv.DictReader(file)
            if ("PIPELINE" if row["what"] == "pipeline" else "TRANSFORMS") not in parts
        ]


def main() -> None:
    """Measure, print and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = ("PIPELINE", "TRANSFORMS", "ELASTIC")
    parser.add_argument("--only", choices=parts, action="append", help="may be given again")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=200, help="a round; a fifth for transforms")
    parser.add_argument("--warm-up", type=int, default=60, help="calls before the first round")
    parser.add_argument("--draws", type=int, default=400, help="of the elastic displacement")
    parser.add_argument("--quick", action="store_true", help="small volumes, few calls: no figures")
    parser.add_argument(
        "--peers-python", type=Path, default=REPOSITORY / ".venv-bench/bin/python", metavar="FILE"
    )
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results", metavar="FOLDER"
    )
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.calls, options.warm_up, options.draws = 2, 5, 2, 4
    chosen = options.only or parts
    print(
        f"Python {platform.python_version()}, NumPy {version('numpy')}, OpenCV "
        f"{version('opencv-python-headless')}, Numba {version('numba')}; one thread, CPU time; "
        f"{options.rounds} rounds of {options.calls} calls after {options.warm_up}"
    )
    with ExitStack() as stack:
        contenders = start(stack, options.peers_python)
        print(f"contenders: {', '.join(contender.name for contender in contenders)}")
        path, rows = options.out / "augment-cpu.csv", []
        kept = kept_rows(path, chosen)
        for part, run in (("PIPELINE", pipelines), ("TRANSFORMS", transforms)):
            for found in run(contenders, options) if part in chosen else ():
                print(*map(line, found), sep="\n", flush=True)
                rows += found
                write(path, SPEED, rows, kept)
        path, rows = options.out / "augment-elastic-cpu.csv", []
        for found in elastic(contenders, options) if "ELASTIC" in chosen else ():
            for row in found if rows else (dict(zip(STRENGTH, STRENGTH, strict=True)), *found):
                print(*(f"{row[name]:>11}" for name in STRENGTH), flush=True)
            rows += found
            write(path, STRENGTH, rows, [])


def line(row: Row) -> str:
    """One contender's figure."""
    return (
        f"{row['what']:<21} {row['input']:<12} {row['contender']:<25} {row['ms']:>9} ms "
        f"(spread {row['spread']}) {row['ratio_to_ours']:>7} ×  {row['note']}"
    )


if __name__ == "__main__":
    main()
