"""A table of results as a picture: rows one under another, beside the paper's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from stallscan.report.figures import FLOWING, STALLED, STYLE, png

if TYPE_CHECKING:
    from stallscan.ablation.table import AblationTable

_PANELS = (
    ("AUC", "val_auc", "test_auc", ("paper_auc",)),
    ("MCC", "val_mcc", "test_mcc", ("paper_mcc", "paper_mcc_test")),
)
_MARKERS = {"paper_auc": "D", "paper_mcc": "D", "paper_mcc_test": "s"}
_WORDS = {
    "paper_auc": "the paper's",
    "paper_mcc": "the paper's, validation",
    "paper_mcc_test": "the paper's, test",
}


@matplotlib.rc_context(STYLE)
def draw(path: Path, table: AblationTable, results: pd.DataFrame, runs: pd.DataFrame) -> None:
    """Write a PNG: means with intervals, a dot for each seed, the paper's figures hollow."""
    n = len(results)
    figure = Figure(figsize=(10, 1.6 + 0.55 * n), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(table.title, x=0.01, ha="left", size=12, weight="bold")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, (title, validation, test, papers) in zip(panels, _PANELS, strict=True):
        for key, color, offset, word in (
            (validation, FLOWING, -0.14, "validation"),
            (test, STALLED, 0.14, "test"),
        ):
            _draw_measure(axes, results, runs, key, color, offset, word)
        for key in papers:
            if results[key].isna().all():
                continue
            axes.plot(
                results[key], range(n), _MARKERS[key], ms=6, mfc="none", mec="#1f2933",
                label=_WORDS[key],
            )  # fmt: skip
        axes.set_title(title)
        axes.set_yticks(range(n), [f"{row} ({k})" for row, k in results[["row", "seeds"]].values])
        axes.set_ylim(n - 0.5, -0.5)
    handles, labels = panels[1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    save(figure, path)


def save(figure: Figure, path: Path) -> None:
    """Write a PNG; a kill leaves the old one or the new one."""
    partial = path.with_name(f".{path.name}")
    partial.write_bytes(png(figure))
    partial.replace(path)


def _draw_measure(
    axes: matplotlib.axes.Axes,
    results: pd.DataFrame,
    runs: pd.DataFrame,
    key: str,
    color: str,
    offset: float,
    word: str,
) -> None:
    there = results[results[key].notna()]
    if there.empty:
        return
    places = there.index + offset
    spread = (there[key] - there[f"{key}_low"], there[f"{key}_high"] - there[key])
    axes.errorbar(there[key], places, xerr=spread, fmt="o", color=color, ms=6, lw=2, label=word)
    for place, row in zip(places, there["row"], strict=True):
        dots = runs.loc[runs["row"] == row, key].dropna()
        axes.plot(dots, [place] * len(dots), "|", color=color, ms=9, alpha=0.6)
