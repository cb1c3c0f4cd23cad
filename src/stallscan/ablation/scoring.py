"""AUC and MCC of answers, and of resamples of the vessels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stallscan.metrics.bootstrap import weighted_metrics

N_RESAMPLES = 1000

_NAMES = {"auc": "roc_auc", "mcc": "mcc"}

MEASURES = tuple(_NAMES)

Measured = tuple[dict[str, float], dict[str, NDArray[np.float64]]]
"""Each of `MEASURES` of the vessels, and ``(r,)`` of resamples of them."""


def measures(
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    threshold: float,
    weights: NDArray[np.float64],
) -> Measured:
    """Of ``(n,)`` answers, and of each row of ``(r, n)`` weights."""
    calls = (probabilities >= threshold).astype(int)
    rows = np.concatenate([np.ones((1, len(calls))), weights])
    found = weighted_metrics(labels, probabilities, calls, rows)
    columns = {key: found[name] for key, name in _NAMES.items()}
    return {k: float(v[0]) for k, v in columns.items()}, {k: v[1:] for k, v in columns.items()}
