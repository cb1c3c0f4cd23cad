"""The comparison of recipes with and without augmentation, at its smallest."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path


def test_augment_effect(run_script: Callable[..., str], tmp_path: Path) -> None:
    out = tmp_path / "effect.csv"
    sets = ("--n-train", 4, "--n-validation", 4, "--n-test", 4)
    budget = ("--epochs", 1, "--batches", 1, "--size", 8, 16, 16, "--seeds", 1, "--jobs", 1)
    work = (
        "--arms",
        "heavy",
        "mirror3+Light+MixUp",
        "--work",
        tmp_path / "work",
        "--out",
        out,
    )
    run_script("augment_effect.py", *sets, *budget, *work)
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["augmentation"], row["seed"]) for row in rows] == [
        ("heavy", "0"),
        ("mirror3+Light+MixUp", "0"),
    ]
    assert all(0 <= float(row["test_auc"]) <= 1 for row in rows)
