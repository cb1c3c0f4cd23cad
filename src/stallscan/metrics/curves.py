"""ROC and precision-recall curves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stallscan.metrics._checks import check_binary, check_lengths, check_probabilities


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curves:
    """Points of both curves, float64; None where the labels leave a curve undefined.

    Attributes:
        roc: ``(k, 2)`` of false and true positive rate, from (0, 0) to (1, 1).
        precision_recall: ``(m, 2)`` of recall and precision, recall falling to 0.
    """

    roc: NDArray[np.float64] | None
    precision_recall: NDArray[np.float64] | None


def binary_curves(labels: ArrayLike, probabilities: ArrayLike) -> Curves:
    """The curves of ``(n,)`` probabilities in 0–1 against ``(n,)`` labels 0 and 1.

    Raises:
        OptionError: a label other than 0 and 1, or a probability that is NaN or outside 0–1.
    """
    from sklearn.metrics import precision_recall_curve, roc_curve

    truth = check_binary(labels, "labels")
    scores = check_probabilities(probabilities)
    check_lengths(labels=truth, probabilities=scores)
    roc = precision_recall = None
    if 0 < truth.sum() < len(truth):
        false_rate, true_rate, _ = roc_curve(truth, scores)
        roc = np.column_stack([false_rate, true_rate])
    if truth.any():
        precision, recall, _ = precision_recall_curve(truth, scores, drop_intermediate=True)
        precision_recall = np.column_stack([recall, precision])
    return Curves(roc=roc, precision_recall=precision_recall)
