"""A description as one figure: frames, ROI sizes, resolutions, classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from stallscan.report.figures import FLOWING, STALLED, STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from stallscan.report.description import Description

SPLIT_COLORS = {"train": "#3a7d44", "test": "#2f6f9f", "all": "#3a7d44"}
"""Green and blue, as in the paper's Figure 2."""


@matplotlib.rc_context(STYLE)
def description_figure(description: Description) -> Figure:
    """Panels for whatever is known; Figure 2 of the paper is the row of ROI sizes."""
    panels: list[Any] = []
    if description.frames:
        panels.append(_frames)
    if description.roi_sizes:
        panels += [
            _roi_axis(index, name) for index, name in enumerate(("depth", "height", "width"))
        ]
    if "resolutions" in description.tables:
        panels.append(_resolutions)
    if "subsets" in description.tables and "stalled" in description.tables["subsets"]:
        panels.append(_classes)
    if "projects" in description.tables and len(description.tables["projects"]) > 1:
        panels.append(_projects)
    n_columns = min(len(panels), 3)
    n_rows = -(-len(panels) // n_columns)
    figure = Figure(figsize=(4.2 * n_columns, 3.3 * n_rows), layout="constrained")
    grid = figure.subplots(n_rows, n_columns, squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    for draw, axes in zip(panels, grid.flat, strict=False):
        draw(axes, description)
    return figure


def _frames(axes: Axes, description: Description) -> None:
    _histogram(axes, description.frames, "Frames a video", "frames")


def _roi_axis(index: int, name: str) -> Any:
    def draw(axes: Axes, description: Description) -> None:
        groups = {split: sizes[:, index] for split, sizes in description.roi_sizes.items()}
        unit = "frames" if index == 0 else "px"
        _histogram(axes, groups, f"ROI {name}", unit)

    return draw


def _histogram(axes: Axes, groups: dict[str, Any], title: str, unit: str) -> None:
    everything = np.concatenate(list(groups.values()))
    # The last bin takes the long tail, or it would squeeze the rest.
    top = max(float(np.quantile(everything, 0.995)), everything.min() + 1)
    n_bins = int(min(40, max(8, np.sqrt(len(everything))), top - everything.min()))
    bins = np.linspace(everything.min(), top, n_bins + 1)
    for split, values in groups.items():
        share = np.full(len(values), 100 / len(values))
        label = f"{split}, mean {values.mean():.1f}"
        color = SPLIT_COLORS[split]
        clipped = np.minimum(values, top)
        axes.hist(clipped, bins.tolist(), weights=share, color=color, alpha=0.45, label=label)
    axes.set_title(title)
    axes.set_xlabel(unit)
    axes.set_ylabel("% of videos")
    axes.legend()


def _resolutions(axes: Axes, description: Description) -> None:
    table = description.tables["resolutions"].head(8)[::-1]
    height = 0.8 / len(table.columns)
    for number, split in enumerate(table.columns):
        places = np.arange(len(table)) - (number - (len(table.columns) - 1) / 2) * height
        bars = axes.barh(places, table[split], height, color=SPLIT_COLORS[split], label=split)
        axes.bar_label(bars, [f" {value:,}" for value in table[split]], fontsize=8)
    axes.set_yticks(np.arange(len(table)), table.index)
    axes.set_title("Resolutions")
    axes.set_xlabel("videos")
    axes.margins(x=0.2)
    _legend_above(axes)


def _classes(axes: Axes, description: Description) -> None:
    table = description.tables["subsets"].dropna(subset="stalled")[::-1]
    places = np.arange(len(table))
    for offset, column, color in ((0.2, "flowing", FLOWING), (-0.2, "stalled", STALLED)):
        values = table[column].astype(int)
        bars = axes.barh(places + offset, values.clip(lower=0.5), 0.4, color=color, label=column)
        axes.bar_label(bars, [f" {value:,}" for value in values], fontsize=8)
    axes.set_xscale("log")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_yticks(places, table.index)
    axes.set_title("Classes")
    axes.set_xlabel("videos (log scale)")
    axes.margins(x=0.25)
    _legend_above(axes)


def _projects(axes: Axes, description: Description) -> None:
    table = description.tables["projects"]
    places = np.arange(len(table))
    axes.bar(places - 0.2, table["n"], 0.4, color="#9aa5b1", label="videos")
    axes.bar(places + 0.2, table["stalled"].clip(lower=0.5), 0.4, color=STALLED, label="stalled")
    axes.set_yscale("log")
    axes.set_xticks(places, table.index)
    axes.set_title("Projects")
    axes.set_ylabel("videos (log scale)")
    _legend_above(axes)


def _legend_above(axes: Axes) -> None:
    """Beside the title, where no bar can be."""
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0.2)
