"""The one-line baseline: the persistence score of every test video of a data set, as a table.

Run as `python benchmarks/persistence.py DATA --out scores.csv`, then
`stallscan evaluate scores.csv DATA/test_labels.csv --threshold T --out DIR`. The column
`probability` is (1 + score) / 2, so that it lies in 0–1; only its order means something.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
from tqdm import tqdm

import stallscan


def main() -> None:
    """Score the videos of DATA/test."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    rows = []
    for path in tqdm(sorted((options.data / "test").iterdir()), unit="video"):
        clip = stallscan.read_clip(path)
        score = stallscan.persistence_score(stallscan.find_roi(clip).crop(clip))
        rows.append({"filename": path.name, "probability": round((1 + score) / 2, 6)})
    pd.DataFrame(rows).to_csv(options.out, index=False)


if __name__ == "__main__":
    main()
