"""Predictions against labels: how they are called, and what comes out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from stallscan.errors import OptionError
from stallscan.metrics.binary import AtPrevalence, Scores, at_prevalence, binary_scores
from stallscan.metrics.bootstrap import Interval, bootstrap_intervals
from stallscan.metrics.curves import Curves, binary_curves
from stallscan.report._notes import evaluation_notes
from stallscan.report.joined import JoinedTables, join_tables
from stallscan.report.undecidable import Undecidable, describe_undecidable

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_THRESHOLD = 0.5
"""For tables that come without decisions, when no threshold is given."""

PREVALENCES = (0.046, 0.02, 0.004, 0.001)
"""Stalled shares in the field: the Clog Loss test set, AD mice, wild type, and rarer still."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateOptions:
    """How predictions are called and how sure the metrics are.

    Attributes:
        threshold: Call a video stalled from this probability up; by default the table's own
            `stalled` column decides, or 0.5 where it has none.
        n_bootstrap: Resamples for the intervals.
        confidence: Share of the resamples inside an interval.
        seed: Seed of the resampling.

    Raises:
        OptionError: a value outside its range.
    """

    threshold: float | None = None
    n_bootstrap: int = 1000
    confidence: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise OptionError(
                f"threshold is {self.threshold:g}: allowed are 0 to 1; it is compared with a "
                "probability, not with a logit"
            )
        if not 10 <= self.n_bootstrap <= 1_000_000:
            raise OptionError(
                f"n_bootstrap is {self.n_bootstrap}: allowed are 10 to 1,000,000; 1000 is usual"
            )
        if not 0 < self.confidence < 1:
            raise OptionError(
                f"confidence is {self.confidence:g}: allowed is between 0 and 1; 0.95 is usual"
            )
        if self.seed < 0:
            raise OptionError(f"seed is {self.seed}: allowed are 0 and more")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """How probabilities became calls.

    Attributes:
        source: ``"option"``, ``"column"`` (the table's ``stalled``) or ``"default"``.
        threshold: stalled from this probability up; of a column the lowest probability that it
            calls stalled, None where no threshold follows from the column.
    """

    source: str
    threshold: float | None

    @property
    def sentence(self) -> str:
        """The rule in words."""
        rule = (
            "its threshold cannot be told"
            if self.threshold is None
            else f"stalled from probability {self.threshold:.3g} up"
        )
        return {
            "option": f"{rule} (option)",
            "column": f"the table's own column 'stalled' ({rule})",
            "default": f"{rule} (default: the table has no column 'stalled')",
        }[self.source]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluation:
    """Everything that a report shows.

    Attributes:
        scores: confusion and metrics.
        intervals: bootstrap interval of each metric, None where it is undefined.
        curves: points of the ROC and precision-recall curves.
        decision: how probabilities became calls.
        tables: the joined tables; ``evaluated`` has the column ``call`` (1 stalled, 0 flowing).
        options: the options used.
        elsewhere: the operating point at prevalences of the field, None where undefined.
        undecidable: what became of videos whose label is empty; None where there are none.
        notes: what a reader must know, one sentence each.
    """

    scores: Scores
    intervals: dict[str, Interval | None]
    curves: Curves
    decision: Decision
    tables: JoinedTables
    options: EvaluateOptions
    elsewhere: tuple[AtPrevalence, ...] | None
    undecidable: Undecidable | None
    notes: tuple[str, ...]

    def summary(self) -> str:
        """The result as a table for a terminal."""
        from stallscan.report._text import summary

        return summary(self)


def evaluate(
    predictions_path: str | Path,
    labels_path: str | Path,
    options: EvaluateOptions | None = None,
) -> Evaluation:
    """Compare a table of predictions with a table of labels.

    Raises:
        TableError: a table cannot be read or is wrong, or no video has a probability and a label.
    """
    return evaluate_joined(join_tables(predictions_path, labels_path), options)


def evaluate_joined(tables: JoinedTables, options: EvaluateOptions | None = None) -> Evaluation:
    """Call, score and resample joined tables; nothing is read or written."""
    options = options or EvaluateOptions()
    evaluated = tables.evaluated
    labels, probabilities = evaluated["label"].to_numpy(), evaluated["probability"].to_numpy()
    decision, calls = _decide(evaluated, options.threshold)
    evaluated = evaluated.assign(call=calls)
    scores = binary_scores(labels, probabilities, calls)
    intervals = bootstrap_intervals(
        labels,
        probabilities,
        calls,
        n_resamples=options.n_bootstrap,
        confidence=options.confidence,
        seed=options.seed,
    )
    elsewhere = None
    if scores.sensitivity is not None and scores.specificity is not None:
        elsewhere = tuple(
            at_prevalence(scores.sensitivity, scores.specificity, share) for share in PREVALENCES
        )
    return Evaluation(
        scores=scores,
        intervals=intervals,
        curves=binary_curves(labels, probabilities),
        decision=decision,
        tables=replace(tables, evaluated=evaluated),
        options=options,
        elsewhere=elsewhere,
        undecidable=_undecidable(tables.undecidable, options.threshold),
        notes=tuple(evaluation_notes(tables.counts, scores, options.confidence)),
    )


def _undecidable(table: pd.DataFrame, threshold: float | None) -> Undecidable | None:
    if table.empty:
        return None
    predicted = table[table["probability"].notna()]
    return describe_undecidable(
        len(table), predicted["probability"], _decide(predicted, threshold)[1]
    )


def _decide(evaluated: pd.DataFrame, threshold: float | None) -> tuple[Decision, pd.Series[int]]:
    probability = evaluated["probability"]
    if threshold is None and "stalled" in evaluated:
        calls = evaluated["stalled"].astype("int64")
        lowest = probability[calls == 1].min()  # NaN when nothing is called stalled
        explained = lowest > probability[calls == 0].max() or (calls == 1).all()
        found = Decision(source="column", threshold=float(lowest) if explained else None)
        return found, calls
    source = "default" if threshold is None else "option"
    level = DEFAULT_THRESHOLD if threshold is None else threshold
    return Decision(source=source, threshold=level), (probability >= level).astype("int64")
