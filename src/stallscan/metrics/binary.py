"""Scores of a stalled / flowing call against the truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stallscan.errors import OptionError
from stallscan.metrics._checks import check_binary, check_lengths, check_probabilities

METRICS = (
    "mcc",
    "roc_auc",
    "average_precision",
    "sensitivity",
    "specificity",
    "precision",
    "brier",
)
"""Names of the metrics in :class:`Scores`, in the order in which they are shown."""

WINNER_THRESHOLDS = np.round(np.arange(0.02, 0.975, 0.01), 2)
"""The thresholds among which the competition's winner chose: 0.02, 0.03, … 0.97."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Confusion counts and metrics; None where a metric is undefined.

    Attributes:
        n: number of videos.
        n_stalled: number of videos labelled stalled.
        tp: stalled, called stalled.
        fp: flowing, called stalled.
        fn: stalled, called flowing.
        tn: flowing, called flowing.
        mcc: Matthews correlation coefficient, −1 to 1; 0 for a constant call.
        roc_auc: area under the ROC curve; None when the labels have one class.
        average_precision: area under the precision-recall steps; None without stalled labels.
        sensitivity: tp / (tp + fn); None without stalled labels.
        specificity: tn / (tn + fp); None without flowing labels.
        precision: tp / (tp + fp); None when nothing is called stalled.
        brier: mean squared difference of probability and label, 0 is best.
    """

    n: int
    n_stalled: int
    tp: int
    fp: int
    fn: int
    tn: int
    mcc: float
    roc_auc: float | None
    average_precision: float | None
    sensitivity: float | None
    specificity: float | None
    precision: float | None
    brier: float

    @property
    def prevalence(self) -> float:
        """Share of videos that are labelled stalled."""
        return self.n_stalled / self.n


def binary_scores(labels: ArrayLike, probabilities: ArrayLike, decisions: ArrayLike) -> Scores:
    """All scores of one set of predictions.

    Args:
        labels: ``(n,)``, 1 stalled and 0 flowing.
        probabilities: ``(n,)`` in 0–1, of being stalled.
        decisions: ``(n,)``, 1 called stalled and 0 called flowing.

    Raises:
        OptionError: a label or decision other than 0 and 1, a probability that is NaN or outside
            0–1 (a logit), or lengths that differ.

    Example:
        >>> binary_scores([0, 0, 1, 1], [0.1, 0.6, 0.7, 0.9], [0, 1, 1, 1]).sensitivity
        1.0
    """
    from sklearn.metrics import average_precision_score, matthews_corrcoef, roc_auc_score

    truth = check_binary(labels, "labels")
    scores = check_probabilities(probabilities)
    calls = check_binary(decisions, "decisions")
    check_lengths(labels=truth, probabilities=scores, decisions=calls)
    tp, fp = int(np.sum(calls & truth)), int(np.sum(calls & (1 - truth)))
    fn, tn = int(np.sum((1 - calls) & truth)), int(np.sum((1 - calls) & (1 - truth)))
    n_stalled, n_flowing = tp + fn, fp + tn
    # The limit of the formula where a row or column of the confusion is empty, without the
    # warnings that scikit-learn gives there.
    constant = 0 in (tp + fp, fn + tn, n_stalled, n_flowing)
    return Scores(
        n=len(truth),
        n_stalled=n_stalled,
        tp=tp,
        fp=fp,
        fn=fn,
        tn=tn,
        mcc=0.0 if constant else float(matthews_corrcoef(truth, calls)),
        roc_auc=float(roc_auc_score(truth, scores)) if n_stalled and n_flowing else None,
        average_precision=float(average_precision_score(truth, scores)) if n_stalled else None,
        sensitivity=_ratio(tp, n_stalled),
        specificity=_ratio(tn, n_flowing),
        precision=_ratio(tp, tp + fp),
        brier=float(np.mean((scores - truth) ** 2)),
    )


class BestThreshold(NamedTuple):
    """A threshold (stalled from this probability up) and the MCC it reaches."""

    threshold: float
    mcc: float


def best_mcc_threshold(
    labels: ArrayLike, probabilities: ArrayLike, thresholds: ArrayLike = WINNER_THRESHOLDS
) -> BestThreshold:
    """The threshold with the highest MCC; the middle one of those that tie.

    Args:
        labels: ``(n,)``, 1 stalled and 0 flowing.
        probabilities: ``(n,)`` in 0–1.
        thresholds: ``(k,)`` in 0–1; a video is called stalled at or above one.

    Raises:
        OptionError: as :func:`binary_scores`, also for the thresholds.
    """
    truth = check_binary(labels, "labels")
    scores = check_probabilities(probabilities)
    check_lengths(labels=truth, probabilities=scores)
    levels = np.sort(check_probabilities(thresholds, "thresholds"))
    stalled, flowing = np.sort(scores[truth == 1]), np.sort(scores[truth == 0])
    tp = len(stalled) - np.searchsorted(stalled, levels, side="left")  # (k,)
    fp = len(flowing) - np.searchsorted(flowing, levels, side="left")
    mcc = mcc_of_counts(tp, fp, len(stalled) - tp, len(flowing) - fp)
    # A tolerance, because equal confusions may differ in the last bit.
    ties = np.flatnonzero(mcc >= mcc.max() - 1e-12)
    best = int(ties[(len(ties) - 1) // 2])
    return BestThreshold(float(levels[best]), float(mcc[best]))


class AtPrevalence(NamedTuple):
    """What one operating point means where another share of the vessels is stalled."""

    prevalence: float
    mcc: float
    precision: float | None


def at_prevalence(sensitivity: float, specificity: float, prevalence: float) -> AtPrevalence:
    """Expected MCC and precision of an operating point at another prevalence.

    Args:
        sensitivity: in 0–1.
        specificity: in 0–1.
        prevalence: share of stalled vessels, in 0–1.

    Raises:
        OptionError: a value outside 0–1.
    """
    given = {"sensitivity": sensitivity, "specificity": specificity, "prevalence": prevalence}
    for name, value in given.items():
        if not 0 <= value <= 1:
            raise OptionError(f"{name} is {value:g}: allowed are 0 to 1; pass a share")
    tp, fn = prevalence * sensitivity, prevalence * (1 - sensitivity)
    tn, fp = (1 - prevalence) * specificity, (1 - prevalence) * (1 - specificity)
    mcc = mcc_of_counts(np.array(tp), np.array(fp), np.array(fn), np.array(tn))
    return AtPrevalence(prevalence, float(mcc), _ratio(tp, tp + fp))


def mcc_of_counts(
    tp: NDArray[np.number],
    fp: NDArray[np.number],
    fn: NDArray[np.number],
    tn: NDArray[np.number],
) -> NDArray[np.float64]:
    """MCC of many confusions at once, of any one shape; 0 for a constant call."""
    # Floats, because the product of four counts overflows int64 from 55,000 videos on.
    tp, fp, fn, tn = (np.asarray(c, dtype=np.float64) for c in (tp, fp, fn, tn))
    denominator = np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    zeros = np.zeros_like(denominator)
    return np.divide(tp * tn - fp * fn, denominator, out=zeros, where=denominator > 0)


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
