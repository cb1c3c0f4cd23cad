"""The report folder: ``report.html`` (self-contained), ``metrics.json`` and the figures."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stallscan.report._text import headline, metric_rows, number, percent, ratio
from stallscan.report.figures import (
    confusion_figure,
    histogram_figure,
    png,
    pr_figure,
    roc_figure,
)

if TYPE_CHECKING:
    import pandas as pd

    from stallscan.report.evaluation import Evaluation

N_ERRORS = 50
"""Errors of each kind that the page lists."""

_FIGURES = {
    "roc": (roc_figure, "ROC curve with the operating point"),
    "precision_recall": (pr_figure, "Precision-recall curve with the operating point"),
    "probabilities": (histogram_figure, "Histogram of probabilities by true class"),
    "confusion": (confusion_figure, "Confusion matrix"),
}


def write_report(folder: str | Path, evaluation: Evaluation) -> dict[str, Path]:
    """Write the report of an evaluation.

    Args:
        folder: made if it does not exist; files of an earlier report are replaced.
        evaluation: what to show.

    Returns:
        ``"html"``, ``"metrics"`` and ``"figures"`` (a folder) with their paths.
    """
    folder = Path(folder)
    figures_dir = folder / "figures"
    figures_dir.mkdir(parents=True, exist_ok=True)
    images = {name: png(draw(evaluation)) for name, (draw, _) in _FIGURES.items()}
    for name, image in images.items():
        (figures_dir / f"{name}.png").write_bytes(image)
    metrics_path, html_path = folder / "metrics.json", folder / "report.html"
    text = json.dumps(metrics_record(evaluation), indent=2, ensure_ascii=False, allow_nan=False)
    metrics_path.write_text(text + "\n", encoding="utf-8")
    html_path.write_text(render_html(evaluation, images), encoding="utf-8")
    return {"html": html_path, "metrics": metrics_path, "figures": figures_dir}


def metrics_record(evaluation: Evaluation) -> dict[str, Any]:
    """Every number of an evaluation as JSON-like values; null where one is undefined."""
    tables = evaluation.tables
    return {
        "inputs": {
            name: {"path": str(table.path), "sha256": table.sha256}
            for name, table in (("predictions", tables.predictions), ("labels", tables.labels))
        },
        "options": asdict(evaluation.options),
        "decision": {**asdict(evaluation.decision), "sentence": evaluation.decision.sentence},
        "counts": asdict(tables.counts),
        "scores": asdict(evaluation.scores),
        "intervals": {
            name: list(interval) if interval else None
            for name, interval in evaluation.intervals.items()
        },
        "bootstrap": "percentile, stratified by label",
        "undecidable": asdict(evaluation.undecidable) if evaluation.undecidable else None,
        "at_prevalence": [point._asdict() for point in evaluation.elsewhere or ()],
        "failed": list(tables.failed["filename"]),
        "notes": list(evaluation.notes),
    }


def render_html(evaluation: Evaluation, images: dict[str, bytes]) -> str:
    """The page as text; ``images`` are the PNG bytes of the figures by name."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": number, "percent": percent, "ratio": ratio}
    source = files("stallscan.report").joinpath("report.html").read_text(encoding="utf-8")
    evaluated = evaluation.tables.evaluated
    wrong_stalled = evaluated[(evaluated["call"] == 1) & (evaluated["label"] == 0)]
    wrong_flowing = evaluated[(evaluated["call"] == 0) & (evaluated["label"] == 1)]
    figures = [
        {"alt": alt, "base64": base64.b64encode(images[name]).decode("ascii")}
        for name, (_, alt) in _FIGURES.items()
    ]
    return environment.from_string(source).render(
        evaluation=evaluation,
        scores=evaluation.scores,
        counts=evaluation.tables.counts,
        headline=headline(evaluation),
        metrics=metric_rows(evaluation),
        figures=figures,
        false_positives=_rows(wrong_stalled, ascending=False),
        false_negatives=_rows(wrong_flowing, ascending=True),
        failed=evaluation.tables.failed.head(N_ERRORS).to_dict("records"),
        models=sorted({m for m in evaluated.get("model", ()) if m}),
        undecidable=_rows(evaluation.tables.undecidable, ascending=False),
        n_errors=N_ERRORS,
    )


def _rows(table: pd.DataFrame, *, ascending: bool) -> list[dict[str, Any]]:
    """The first by probability: errors that were most sure of themselves."""
    worst = table.sort_values("probability", ascending=ascending, kind="stable").head(N_ERRORS)
    return [{str(k): v for k, v in row.items()} for row in worst.to_dict("records")]
