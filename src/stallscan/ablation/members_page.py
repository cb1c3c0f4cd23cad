"""What the members of an ensemble add, as Markdown and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from stallscan.ablation.figure import save
from stallscan.ablation.markdown import line
from stallscan.report.figures import FLOWING, STALLED, STYLE

_INK = "#1f2933"


def members_markdown(
    name: str,
    table: pd.DataFrame,
    subsets: pd.DataFrame | None,
    kinds: Sequence[int],
    tolerance: float,
) -> str:
    """Members, what the rest is without each, and the best subset of each size.

    Args:
        name: of the ensemble.
        table: members.csv.
        subsets: subsets.csv; None: they were not searched.
        kinds: numbers of flips in the table.
        tolerance: by which the smallest subset was told.
    """
    heads = [f"{m}{_flips(flips)}" for flips in kinds for m in ("AUC", "MCC")]
    keys = [f"flips{flips}_{m}" for flips in kinds for m in ("auc", "mcc")]
    heads += ["AUC without it", "MCC without it"]
    lines = [f"# Ensemble {name}: what its members add", "", line(["member", *heads])]
    lines.append(line(["---"] * (len(heads) + 1)))
    for _, row in table.iterrows():
        cells = [row["member"], *(_cell(row, key) for key in keys)]
        cells += [_cell(row, f"without_{measure}", sign=True) for measure in ("auc", "mcc")]
        lines.append(line(cells))
    lines += [
        "",
        "In brackets 95 % of the bootstrap over vessels. A member alone is called by its own "
        "threshold, a mean by the ensemble's. Without it: the mean of the others less that of all"
        + (f", {kinds[-1]} flips." if len(kinds) > 1 else "."),
        "",
    ]
    if subsets is None:
        return "\n".join([*lines, "Too many members to try all subsets.", ""])
    least = subsets.loc[subsets["smallest"]].iloc[0]
    lines += [
        "## The best subset of each size",
        "",
        f"Chosen by AUC on one half of the vessels, judged on the other. **{least['size']}** of "
        f"{subsets['size'].max()} are within {tolerance} of all: {least['members']}.",
        "",
        line(["members", "AUC, chosen by", "AUC, other half", "MCC, other half", "AUC to all"]),
        line(["---"] * 5),
    ]
    for _, row in subsets.iterrows():
        lines.append(
            line(
                [
                    f"{row['size']}: {row['members']}",
                    f"{row['chosen_auc']:.3f}",
                    _cell(row, "other_auc"),
                    _cell(row, "other_mcc"),
                    _cell(row, "to_whole_auc", sign=True),
                ]
            )
        )
    return "\n".join([*lines, ""])


@matplotlib.rc_context(STYLE)
def draw_members(
    path: Path,
    name: str,
    table: pd.DataFrame,
    subsets: pd.DataFrame | None,
    kinds: Sequence[int],
    tolerance: float,
) -> None:
    """Write a PNG: each member beside all, what is lost without it, and subsets by size.

    Args: see `members_markdown`.
    """
    n = len(table)
    figure = Figure(figsize=(13, 2.4 + 0.3 * n), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(f"Ensemble {name}", x=0.01, ha="left", size=12, weight="bold")
    panels = figure.subplots(1, 3)
    for flips, color, offset in zip(kinds, (FLOWING, STALLED), (-0.14, 0.14), strict=False):
        _dots(panels[0], table, f"flips{flips}_auc", color, offset, _flips(flips).strip(", "))
    panels[0].set_title("AUC alone, and of all")
    # Below, for dots and intervals may lie anywhere.
    panels[0].legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=2)
    _dots(panels[1], table.iloc[:-1], "without_auc", _INK, 0.0, "")
    panels[1].axvline(0, color=_INK, lw=1)
    panels[1].set_title("AUC without it, less that of all")
    for axes, count in ((panels[0], n), (panels[1], n - 1)):
        axes.set_yticks(range(count), table["member"][:count])
        axes.set_ylim(count - 0.5, -0.5)
    panels[2].set_title("Best subset of each size, AUC")
    if subsets is None:
        panels[2].set_axis_off()
    else:
        whole = subsets["chosen_auc"].iloc[-1]
        panels[2].axhspan(whole - tolerance, whole, color=FLOWING, alpha=0.15, lw=0)
        for key, color, label in (
            ("chosen_auc", FLOWING, "on the half that chose it"),
            ("other_auc", STALLED, "on the other half"),
        ):
            panels[2].plot(subsets["size"], subsets[key], "o-", color=color, label=label)
        panels[2].set_xlabel("members")
        panels[2].set_xticks(subsets["size"])
        panels[2].legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2)
    save(figure, path)


def _dots(axes: Axes, rows: pd.DataFrame, key: str, color: str, offset: float, label: str) -> None:
    spread = (rows[key] - rows[f"{key}_low"], rows[f"{key}_high"] - rows[key])
    places = [place + offset for place in range(len(rows))]
    axes.errorbar(rows[key], places, xerr=spread, fmt="o", color=color, ms=5, lw=1.5, label=label)


def _flips(flips: int) -> str:
    return ", no flips" if flips == 1 else f", {flips} flips"


def _cell(row: pd.Series[Any], key: str, *, sign: bool = False) -> str:
    if pd.isna(row[key]):
        return "–"
    form = "{:+.3f}" if sign else "{:.3f}"
    low, high = (form.format(row[f"{key}_{end}"]) for end in ("low", "high"))
    return (
        f"{form.format(row[key])} ({low} to {high})"
        if sign
        else f"{form.format(row[key])} ({low}–{high})"
    )
