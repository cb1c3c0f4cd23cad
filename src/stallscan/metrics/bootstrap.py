"""Percentile bootstrap intervals of every metric.

A resample is a row of integer weights, so that one sort of the probabilities serves all resamples;
the areas then are sums over the sorted rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stallscan.errors import OptionError
from stallscan.metrics._checks import check_binary, check_lengths, check_probabilities
from stallscan.metrics.binary import METRICS, mcc_of_counts

_CHUNK = 1_000_000
"""Weights held at once: resamples × videos."""


class Interval(NamedTuple):
    """Lower and upper bound of a metric."""

    low: float
    high: float


def bootstrap_intervals(
    labels: ArrayLike,
    probabilities: ArrayLike,
    decisions: ArrayLike,
    *,
    n_resamples: int = 1000,
    confidence: float = 0.95,
    stratified: bool = True,
    seed: int | np.random.Generator = 0,
) -> dict[str, Interval | None]:
    """Percentile bootstrap intervals of :data:`stallscan.metrics.METRICS`.

    Args:
        labels: ``(n,)``, 1 stalled and 0 flowing.
        probabilities: ``(n,)`` in 0–1.
        decisions: ``(n,)``, 1 called stalled and 0 called flowing.
        n_resamples: number of resamples, at least 10.
        confidence: share of resamples inside the interval, between 0 and 1.
        stratified: draw stalled and flowing videos apart, so that every resample has the data's
            prevalence; else draw them together, which adds the uncertainty of the prevalence.
        seed: of the resampling.

    Returns:
        An interval for each metric, over the resamples in which it is defined; None where it is
        defined in none.

    Raises:
        OptionError: as :func:`stallscan.metrics.binary_scores`, or an option outside its range.
    """
    if n_resamples < 10:
        raise OptionError(f"n_resamples is {n_resamples}: allowed are 10 and more; 1000 is usual")
    if not 0 < confidence < 1:
        raise OptionError(f"confidence is {confidence:g}: allowed are 0 to 1; 0.95 is usual")
    truth = check_binary(labels, "labels")
    scores = check_probabilities(probabilities)
    calls = check_binary(decisions, "decisions")
    check_lengths(labels=truth, probabilities=scores, decisions=calls)
    order = np.argsort(scores, kind="stable")
    truth, scores, calls = truth[order], scores[order], calls[order]
    strata = [np.flatnonzero(truth == c) for c in (0, 1)] if stratified else [np.arange(len(truth))]
    rng = np.random.default_rng(seed)
    parts = [
        _weighted_metrics(truth, scores, calls, weights)
        for weights in _resample(rng, strata, len(truth), n_resamples)
    ]
    tail = (1 - confidence) / 2
    intervals: dict[str, Interval | None] = {}
    for name in METRICS:
        values = np.concatenate([part[name] for part in parts])  # (n_resamples,)
        values = values[~np.isnan(values)]
        intervals[name] = (
            Interval(*map(float, np.quantile(values, [tail, 1 - tail]))) if values.size else None
        )
    return intervals


def bootstrap_weights(
    labels: ArrayLike, *, n_resamples: int = 1000, seed: int | np.random.Generator = 0
) -> NDArray[np.float64]:
    """``(n_resamples, n)``: how often each video stands in each resample, labels drawn apart.

    For several answers about the same videos, whose metrics then vary together.
    """
    truth = check_binary(labels, "labels")
    strata = [np.flatnonzero(truth == label) for label in (0, 1)]
    rng = np.random.default_rng(seed)
    return np.concatenate(list(_resample(rng, strata, len(truth), n_resamples)))


def weighted_metrics(
    labels: ArrayLike,
    probabilities: ArrayLike,
    decisions: ArrayLike,
    weights: NDArray[np.float64],
) -> dict[str, NDArray[np.float64]]:
    """Each of :data:`stallscan.metrics.METRICS` for each row of ``(r, n)`` weights.

    NaN where a metric is undefined.
    """
    truth = check_binary(labels, "labels")
    scores = check_probabilities(probabilities)
    calls = check_binary(decisions, "decisions")
    check_lengths(labels=truth, probabilities=scores, decisions=calls)
    order = np.argsort(scores, kind="stable")
    return _weighted_metrics(truth[order], scores[order], calls[order], weights[:, order])


def _resample(
    rng: np.random.Generator, strata: list[NDArray[np.intp]], n: int, n_resamples: int
) -> Iterator[NDArray[np.float64]]:
    """Weights ``(r, n)``: how often each video stands in each resample."""
    step = max(1, _CHUNK // n)
    for start in range(0, n_resamples, step):
        rows = min(step, n_resamples - start)
        weights = np.zeros((rows, n))
        for stratum in strata:
            if not stratum.size:
                continue
            drawn = rng.integers(0, stratum.size, size=(rows, stratum.size))
            drawn += stratum.size * np.arange(rows)[:, None]  # one range of bins per resample
            counts = np.bincount(drawn.ravel(), minlength=rows * stratum.size)
            weights[:, stratum] = counts.reshape(rows, stratum.size)
        yield weights


def _weighted_metrics(
    truth: NDArray[np.int64],
    scores: NDArray[np.float64],
    calls: NDArray[np.int64],
    weights: NDArray[np.float64],
) -> dict[str, NDArray[np.float64]]:
    """Each metric for each row of ``(r, n)`` weights over videos sorted by probability.

    NaN where a metric is undefined.
    """
    kinds = np.stack([truth * calls, (1 - truth) * calls, truth * (1 - calls)], axis=1)
    tp, fp, fn = (weights @ kinds.astype(np.float64)).T  # each (r,)
    total = weights.sum(axis=1)
    tn = total - tp - fp - fn
    n_stalled, n_flowing = tp + fn, fp + tn
    # Equal probabilities are one step of the curves: sum them into g groups.
    starts = np.flatnonzero(np.concatenate([[True], np.diff(scores) > 0]))
    stalled = np.add.reduceat(weights * truth, starts, axis=1)  # (r, g)
    flowing = np.add.reduceat(weights * (1 - truth), starts, axis=1)
    flowing_below = np.cumsum(flowing, axis=1) - flowing
    pairs_in_order = np.sum(stalled * (flowing_below + 0.5 * flowing), axis=1)
    stalled_above = np.cumsum(stalled[:, ::-1], axis=1)[:, ::-1]  # at or above each group
    called_above = stalled_above + np.cumsum(flowing[:, ::-1], axis=1)[:, ::-1]
    steps = np.sum(stalled * _divide(stalled_above, called_above, 0.0), axis=1)
    return {
        "mcc": mcc_of_counts(tp, fp, fn, tn),
        "roc_auc": _divide(pairs_in_order, n_stalled * n_flowing),
        "average_precision": _divide(steps, n_stalled),
        "sensitivity": _divide(tp, n_stalled),
        "specificity": _divide(tn, n_flowing),
        "precision": _divide(tp, tp + fp),
        "brier": weights @ ((scores - truth) ** 2) / total,
    }


def _divide(
    part: NDArray[np.float64], whole: NDArray[np.float64], undefined: float = np.nan
) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.full_like(part, undefined), where=whole > 0)
