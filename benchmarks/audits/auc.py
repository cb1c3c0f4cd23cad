"""Areas under the ROC curve with intervals, of single columns and of a boosted tree."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from threadpoolctl import threadpool_limits

from stallscan.metrics import bootstrap_intervals


class Auc(NamedTuple):
    """An area with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def auc_of(labels: NDArray[np.int64], scores: NDArray[np.float64], *, seed: int = 0) -> Auc:
    """How well a score orders the classes; only its order counts.

    Args:
        labels: ``(n,)`` 0 or 1.
        scores: ``(n,)``.
        seed: of the bootstrap.
    """
    order = rankdata(scores) / len(scores)
    interval = bootstrap_intervals(labels, order, order >= 0.5, seed=seed)["roc_auc"]
    if interval is None:
        raise ValueError(f"{len(labels)} rows with {labels.sum()} of class 1; both are needed")
    return Auc(float(roc_auc_score(labels, order)), *interval)


def tree_auc(features: pd.DataFrame, labels: NDArray[np.int64], *, seed: int = 0) -> Auc:
    """What a boosted tree makes of all columns together: five folds, rows judged out of fold.

    The tree is kept small, for a few hundred rows are no more than that allows; its defaults see
    less, not more.
    """
    tree = HistGradientBoostingClassifier(
        learning_rate=0.05, max_iter=150, max_leaf_nodes=8, min_samples_leaf=10, random_state=seed
    )
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    with threadpool_limits(1):  # threads that wait for each other are slow on a busy machine
        scores = cross_val_predict(tree, features, labels, cv=folds, method="predict_proba")[:, 1]
    return auc_of(labels, scores, seed=seed)


def auc_table(features: pd.DataFrame, labels: NDArray[np.int64], *, seed: int = 0) -> pd.DataFrame:
    """A row for the tree, then one for each column: auc, its interval, medians of both classes."""
    rows = [{"feature": "boosted tree of all", **tree_auc(features, labels, seed=seed)._asdict()}]
    for name, column in features.items():
        values = column.to_numpy(np.float64)
        rows.append(
            {
                "feature": name,
                **auc_of(labels, values, seed=seed)._asdict(),
                "median_0": float(np.median(values[labels == 0])),
                "median_1": float(np.median(values[labels == 1])),
            }
        )
    return pd.DataFrame(rows).rename(columns={"value": "auc"})
