"""The comparison of recipes with and without augmentation, at its smallest."""

import csv
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_augment_effect(tmp_path: Path) -> None:
    out = tmp_path / "effect.csv"
    sets = ["--n-train", "4", "--n-validation", "4", "--n-test", "4"]
    budget = ["--epochs", "1", "--batches", "1", "--size", "8", "16", "16", "--seeds", "1"]
    command = [sys.executable, str(BENCHMARKS / "augment_effect.py"), "--jobs", "1"]
    work = ["--arms", "heavy", "--work", str(tmp_path / "work"), "--out", str(out)]
    subprocess.run([*command, *sets, *budget, *work], check=True, capture_output=True)
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["augmentation"], row["seed"]) for row in rows] == [("heavy", "0")]
    assert all(0 <= float(row["test_auc"]) <= 1 for row in rows)
