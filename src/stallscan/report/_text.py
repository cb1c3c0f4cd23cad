"""How numbers and tables are worded, once for the terminal and the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from stallscan.metrics.binary import METRICS

if TYPE_CHECKING:
    from stallscan.report.evaluation import Evaluation

TITLES = {
    "mcc": "MCC",
    "roc_auc": "ROC AUC",
    "average_precision": "average precision",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "precision": "precision",
    "brier": "Brier score",
}


class MetricRow(NamedTuple):
    """A metric in words."""

    name: str
    title: str
    value: str
    interval: str
    meaning: str


def metric_rows(evaluation: Evaluation) -> list[MetricRow]:
    """Every metric with its interval and what it counts."""
    scores = evaluation.scores
    meanings = {
        "mcc": "0 is chance, 1 perfect",
        "roc_auc": "0.5 is chance, 1 perfect",
        "average_precision": f"{scores.prevalence:.3g} is chance, 1 perfect",
        "sensitivity": f"{scores.tp:,} of {scores.tp + scores.fn:,} stalled vessels found",
        "specificity": f"{scores.tn:,} of {scores.tn + scores.fp:,} flowing vessels left alone",
        "precision": f"{scores.tp:,} of {scores.tp + scores.fp:,} stalled calls right",
        "brier": "mean squared error, 0 is best",
    }
    rows = []
    for name in METRICS:
        interval = evaluation.intervals[name]
        bounds = f"{number(interval.low)} – {number(interval.high)}" if interval else "undefined"
        value = number(getattr(scores, name))
        rows.append(MetricRow(name, TITLES[name], value, bounds, meanings[name]))
    return rows


def number(value: float | None) -> str:
    """Three decimals; a true minus sign; a word where there is no number."""
    if value is None:
        return "undefined"
    return f"{value:.3f}".replace("-", "−")


def ratio(value: float) -> str:
    """Two digits that count, never in powers of ten."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def percent(share: float) -> str:
    """A share in percent with as many digits as it needs."""
    return f"{100 * share:.3g} %"


def headline(evaluation: Evaluation) -> str:
    """What was compared, in one line."""
    scores = evaluation.scores
    return (
        f"{scores.n:,} videos, {scores.n_stalled:,} of them stalled ({percent(scores.prevalence)})"
    )


def summary(evaluation: Evaluation) -> str:
    """The evaluation as a table for a terminal, at most about 90 columns wide."""
    scores, tables = evaluation.scores, evaluation.tables
    interval_title = f"{percent(evaluation.options.confidence)} interval"
    lines = [
        f"{tables.predictions.path} against {tables.labels.path}",
        headline(evaluation),
        f"calls: {evaluation.decision.sentence}",
        "",
        f"{'metric':<19}{'value':>9}   {interval_title:<15}",
        "─" * 84,
    ]
    lines += [
        f"{row.title:<19}{row.value:>9}   {row.interval:<15}   {row.meaning}"
        for row in metric_rows(evaluation)
    ]
    lines += [
        "",
        f"{'':<19}{'called stalled':>16}{'called flowing':>17}",
        f"{'truly stalled':<19}{scores.tp:>16,}{scores.fn:>17,}",
        f"{'truly flowing':<19}{scores.fp:>16,}{scores.tn:>17,}",
    ]
    if evaluation.undecidable:
        lines += ["", evaluation.undecidable.sentence]
    if evaluation.notes:
        lines += ["", *(f"note: {note}" for note in evaluation.notes)]
    failed = list(tables.failed["filename"])
    if failed:
        more = f" and {len(failed) - 10:,} more" if len(failed) > 10 else ""
        lines.append(f"failed: {', '.join(failed[:10])}{more}")
    return "\n".join(line.rstrip() for line in lines)
