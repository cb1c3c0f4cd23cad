"""Figures of an evaluation, drawn without pyplot so that no state is shared."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from stallscan.report._text import number, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from stallscan.report.evaluation import Evaluation

STALLED, FLOWING = "#c8452d", "#2f6f9f"
"""Colours of the classes in every figure; apart also for colour-blind eyes."""

_INK, _FAINT, _LINE = "#1f2933", "#7b8794", "#d5dbe1"
# Any, because the keys are literals to the type checker.
STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": _INK,
    "axes.edgecolor": _FAINT,
    "axes.labelcolor": _INK,
    "axes.linewidth": 0.8,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#edf0f3",
    "grid.linewidth": 0.8,
    "xtick.color": _FAINT,
    "ytick.color": _FAINT,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "legend.frameon": False,
    "legend.fontsize": 9,
}


@matplotlib.rc_context(STYLE)
def roc_figure(evaluation: Evaluation) -> Figure:
    """ROC curve with the operating point."""
    scores, roc = evaluation.scores, evaluation.curves.roc
    figure, axes = _axes("ROC curve", "1 − specificity (flowing called stalled)", "sensitivity")
    if roc is None:
        return _empty(figure, axes, "undefined: the labels have one class")
    axes.plot([0, 1], [0, 1], color=_FAINT, lw=1, ls=(0, (4, 4)), label="chance")
    axes.plot(*roc.T, color=_INK, lw=2, label=_area(evaluation, "roc_auc", "AUC"))
    axes.fill_between(roc[:, 0], roc[:, 1], color=_INK, alpha=0.05, lw=0)
    assert scores.sensitivity is not None and scores.specificity is not None
    _point(axes, 1 - scores.specificity, scores.sensitivity)
    _square(axes)
    axes.legend(loc="lower right")
    return figure


@matplotlib.rc_context(STYLE)
def pr_figure(evaluation: Evaluation) -> Figure:
    """Precision-recall curve with the operating point and the line of chance."""
    scores, curve = evaluation.scores, evaluation.curves.precision_recall
    figure, axes = _axes("Precision and recall", "recall (sensitivity)", "precision")
    if curve is None:
        return _empty(figure, axes, "undefined: no video is labelled stalled")
    chance = f"chance: prevalence {percent(scores.prevalence)}"
    axes.axhline(scores.prevalence, color=_FAINT, lw=1, ls=(0, (4, 4)), label=chance)
    label = _area(evaluation, "average_precision", "AP")
    # The same steps that average precision sums.
    axes.step(*curve.T, where="post", color=_INK, lw=2, label=label)
    axes.fill_between(curve[:, 0], curve[:, 1], step="post", color=_INK, alpha=0.05, lw=0)
    if scores.precision is not None and scores.sensitivity is not None:
        _point(axes, scores.sensitivity, scores.precision)
    _square(axes)
    axes.legend(loc="lower left", bbox_to_anchor=(0, min(0.6, scores.prevalence + 0.02)))
    return figure


@matplotlib.rc_context(STYLE)
def histogram_figure(evaluation: Evaluation) -> Figure:
    """Histogram of the probabilities of both classes, with the threshold."""
    evaluated = evaluation.tables.evaluated
    probability, label = evaluated["probability"].to_numpy(), evaluated["label"].to_numpy()
    figure, axes = _axes(
        "Probabilities by truth\n", "probability of being stalled", "videos (log scale)"
    )
    n_bins = 40 if len(label) >= 400 else 20
    edges = np.linspace(0, 1, n_bins + 1)
    for value, color, word in ((0, FLOWING, "flowing"), (1, STALLED, "stalled")):
        heights, _ = np.histogram(probability[label == value], edges)
        name = f"truly {word} ({heights.sum():,})"
        axes.stairs(heights, edges, fill=True, color=color, alpha=0.35)
        axes.stairs(heights, edges, color=color, lw=1.5, label=name)
    # Few stalled vessels among many flowing ones would be flat on a linear axis; below one
    # video the axis is linear, so that empty bins stay empty.
    axes.set_yscale("symlog", linthresh=1, linscale=0.3)
    top = axes.get_ylim()[1]
    ticks = [t for t in (0, 1, 3, 10, 30, 100, 300, *(10.0**k for k in range(3, 8))) if t <= top]
    axes.set_yticks(ticks, [f"{t:,.0f}" for t in ticks])
    axes.minorticks_off()
    axes.set_ylim(0, top * 1.5)
    axes.set_xlim(-0.01, 1.01)
    threshold = evaluation.decision.threshold
    if threshold is not None:
        axes.axvline(
            threshold, color=_INK, lw=1.2, ls=(0, (4, 3)), label=f"threshold {threshold:.3g}"
        )
    axes.grid(False, axis="x")
    axes.legend(
        loc="lower center", bbox_to_anchor=(0.5, 0.99), ncols=3, columnspacing=1.4,
        handlelength=1.4, borderaxespad=0,
    )  # fmt: skip
    return figure


@matplotlib.rc_context(STYLE)
def confusion_figure(evaluation: Evaluation) -> Figure:
    """Confusion matrix, coloured by the share of each true class."""
    scores = evaluation.scores
    counts = np.array([[scores.tp, scores.fn], [scores.fp, scores.tn]])
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros((2, 2)), where=totals > 0)
    figure, axes = _axes("Confusion", "call", "truth")
    axes.grid(False)
    for row in range(2):
        for column in range(2):
            right = row == column
            share = shares[row, column]
            color = to_rgb("#2e7d5b" if right else STALLED)
            tint = 1 - (1 - np.array(color)) * (0.12 + 0.78 * share)
            axes.add_patch(Rectangle((column - 0.49, row - 0.49), 0.98, 0.98, facecolor=tint, lw=0))
            ink = "white" if share > 0.55 else _INK
            text: dict[str, Any] = {"ha": "center", "color": ink}
            axes.text(
                column,
                row - 0.02,
                f"{counts[row, column]:,}",
                va="bottom",
                fontsize=22,
                fontweight="bold",
                **text,
            )
            word = f"{percent(share)} of {('stalled', 'flowing')[row]}" if totals[row, 0] else "–"
            axes.text(column, row + 0.08, word, va="top", fontsize=9, **text)
    axes.set_xlim(-0.5, 1.5)
    axes.set_ylim(1.5, -0.5)
    words = ["stalled", "flowing"]
    axes.set_xticks([0, 1], words)
    axes.set_yticks([0, 1], words, rotation=90, va="center")
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return figure


def png(figure: Figure, *, dpi: int = 150) -> bytes:
    """The figure as PNG bytes, without a date, so that equal input gives equal bytes."""
    buffer = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def _axes(title: str, x_label: str, y_label: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(5.2, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set(title=title, xlabel=x_label, ylabel=y_label)
    return figure, axes


def _area(evaluation: Evaluation, name: str, title: str) -> str:
    interval = evaluation.intervals[name]
    bounds = f" ({number(interval.low)} – {number(interval.high)})" if interval else ""
    return f"{title} {number(getattr(evaluation.scores, name))}{bounds}"


def _point(axes: Axes, x: float, y: float) -> None:
    axes.plot(
        [x], [y], "o", ms=9, color=STALLED, mec="white", mew=1.5, zorder=5, clip_on=False,
        label=f"calls ({number(x)}, {number(y)})",
    )  # fmt: skip


def _square(axes: Axes) -> None:
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    ticks = np.linspace(0, 1, 6)
    axes.set_xticks(ticks)
    axes.set_yticks(ticks)


def _empty(figure: Figure, axes: Axes, why: str) -> Figure:
    axes.set(xticks=[], yticks=[])
    axes.text(0.5, 0.5, why, ha="center", va="center", color=_FAINT, transform=axes.transAxes)
    return figure
