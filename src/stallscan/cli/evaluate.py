"""``stallscan evaluate``: predictions against labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from stallscan.errors import OptionError
from stallscan.report.evaluation import EvaluateOptions

_DEFAULTS = EvaluateOptions()


def evaluate(
    predictions: Annotated[Path, tyro.conf.arg(metavar="PREDICTIONS")],
    labels: Annotated[Path, tyro.conf.arg(metavar="LABELS")],
    /,
    *,
    out: Path,
    scoring: EvaluateOptions = _DEFAULTS,
    overwrite: bool = False,
) -> int:
    """Compare predictions with labels: metrics with intervals, figures and an HTML report.

    Args:
        predictions: CSV with the columns `filename` and `probability` (predictions.csv).
        labels: CSV with the columns `filename` and `stalled` (0, 1, or empty where undecidable).
        out: Folder for report.html, metrics.json and figures/.
        scoring: How predictions are called and resampled.
        overwrite: Replace a report that was made from other tables or options.

    Returns:
        The exit code.
    """
    from dataclasses import asdict

    from stallscan.manifest import State, open_output
    from stallscan.report.evaluation import evaluate_joined
    from stallscan.report.html import write_report
    from stallscan.report.joined import join_tables

    if out.suffix.lower() in (".html", ".json", ".csv", ".png", ".txt", ".pdf"):
        raise OptionError(f"--out is {out}: the report is a folder; pass {out.with_suffix('')}")
    # Everything is read and checked before the output is touched.
    tables = join_tables(predictions, labels)
    inputs = {"predictions": tables.predictions, "labels": tables.labels}
    for table in inputs.values():
        if table.path.resolve().is_relative_to(out.resolve()):
            raise OptionError(
                f"--out is {out}: it holds {table.path}, which --overwrite would remove; pass a "
                f"folder of its own, such as {out / 'report'}"
            )
    described = {
        name: f"{table.path.name} (sha256 {table.sha256})" for name, table in inputs.items()
    }
    with open_output(
        out,
        command="evaluate",
        options={**described, **asdict(scoring)},
        overwrite=overwrite,
    ) as manifest:
        if manifest.state is State.COMPLETE:
            print(manifest.record.get("summary", ""))
            print(f"\n{out / 'report.html'} is complete; nothing to do")
            return manifest.exit_code
        evaluation = evaluate_joined(tables, scoring)
        paths = write_report(out, evaluation)
        summary = evaluation.summary()
        manifest.complete(exit_code=0, summary=summary)
    print(summary)
    print(f"\nreport   {paths['html']}\nnumbers  {paths['metrics']}\nfigures  {paths['figures']}")
    return 0
