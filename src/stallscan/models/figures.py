"""The zoo's figures as data, so that looking them up needs no PyTorch."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

FIGURES_FILE = Path(__file__).parent / "figures.csv"
"""Written by ``python -m stallscan.models.cost``."""
FIGURES_SIZE = (96, 128, 128)
"""Extents (z, y, x) of the input of three channels that the figures are for."""


@dataclass(frozen=True, slots=True)
class Figures:
    """A network of full width with one logit.

    Attributes:
        name: in the registry.
        n_parameters: trainable numbers.
        gmacs: billions of multiplications with addition, for one volume of `FIGURES_SIZE`.
    """

    name: str
    n_parameters: int
    gmacs: float


def read_figures() -> dict[str, Figures]:
    """The figures by name, in the registry's order."""
    with FIGURES_FILE.open(encoding="utf-8", newline="") as file:
        rows = [
            Figures(row["name"], int(row["n_parameters"]), float(row["gmacs"]))
            for row in csv.DictReader(file)
        ]
    return {row.name: row for row in rows}


def write_figures(rows: list[Figures]) -> None:
    """Replace the file."""
    lines = ["name,n_parameters,gmacs"]
    lines += [f"{row.name},{row.n_parameters},{row.gmacs:.3f}" for row in rows]
    FIGURES_FILE.write_text("\n".join(lines) + "\n", encoding="utf-8")
