"""Calibration and thresholds of a model, from phantoms that trained nothing."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from audits.parallel import in_order
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from shipping.ask import SCORE, VALIDATION_SEED, Job, ask, labels_of
from stallscan.metrics import at_prevalence
from stallscan.models.calibration import Calibration
from stallscan.models.card import ModelCard, read_card, write_card
from stallscan.models.ensemble import EnsembleCard, is_ensemble, read_ensemble, write_ensemble
from stallscan.simulate.settings import PRESETS

STALLED_SHARE = 0.5
PREVALENCES = {"30 %": 0.3, "4.6 %": 0.046}
"""Shares of stalled vessels for which a threshold is stored; the first one's is the model's own."""


def calibrate(*, model: Path, n: int, preset: str, workers: int) -> None:
    """Fit a line through the logits and choose the thresholds; both go into model.json."""
    card = _read(model)
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / model.name
        shutil.copytree(model, plain)
        _write(dataclasses.replace(card, calibration=None), plain)  # what the networks say
        labels = labels_of(n, STALLED_SHARE)
        jobs = [
            Job((VALIDATION_SEED, number), label, PRESETS[preset], (str(plain),))
            for number, label in enumerate(labels)
        ]
        table = pd.DataFrame(in_order(ask, jobs, workers=workers, what=f"validation, {preset}"))
    stalled, said = table["stalled"].to_numpy(), table[str(plain)].to_numpy()
    calibration = fitted(stalled, said)
    probabilities = np.array([calibration(p) for p in said])
    thresholds = {
        word: best_threshold(stalled, probabilities, share) for word, share in PREVALENCES.items()
    }
    validation = {
        "phantom": preset,
        "n": n,
        "stalled": int(stalled.sum()),
        "seed": VALIDATION_SEED,
        "auc": round(float(roc_auc_score(stalled, probabilities)), 4),
        "auc with the persistence score beside": round(
            float(roc_auc_score(stalled, with_score(stalled, said, table[SCORE].to_numpy()))), 4
        ),
        "thresholds": thresholds,
    }
    card = dataclasses.replace(
        card,
        calibration=calibration,
        threshold=next(iter(thresholds.values())),
        metrics=card.metrics | {"calibration": validation},
    )
    _write(card, model)
    print(f"{model}: {calibration}")
    print("\n".join(f"{name}: {value}" for name, value in validation.items()))


def with_score(
    stalled: NDArray[np.int64], probabilities: NDArray[np.float64], scores: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Logits of a logistic regression on the network's and a further score, out of five folds."""
    columns = np.column_stack([_logits(probabilities), scores])
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    both: NDArray[np.float64] = cross_val_predict(
        LogisticRegression(C=np.inf), columns, stalled, cv=folds, method="decision_function"
    )
    return both


def fitted(stalled: NDArray[np.int64], probabilities: NDArray[np.float64]) -> Calibration:
    """The line through the logits, without a penalty."""
    line = LogisticRegression(C=np.inf).fit(_logits(probabilities)[:, None], stalled)
    return Calibration(
        slope=round(float(line.coef_[0, 0]), 4),
        intercept=round(float(line.intercept_[0]), 4),
        stalled_share=round(float(stalled.mean()), 4),
    )


def _logits(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    inside = np.clip(probabilities, 1e-6, 1 - 1e-6)
    found: NDArray[np.float64] = np.log(inside / (1 - inside))
    return found


def best_threshold(
    stalled: NDArray[np.int64], probabilities: NDArray[np.float64], prevalence: float
) -> float:
    """Of the highest expected MCC at a prevalence; the middle of those within 0.002 of it.

    The top of the curve is flat and jagged, and its highest tooth is chance.
    """
    levels = np.round(np.arange(0.01, 1.0, 0.005), 3)
    called = probabilities[:, None] >= levels
    sensitivity, specificity = called[stalled == 1].mean(0), 1 - called[stalled == 0].mean(0)
    mcc = np.array(
        [
            at_prevalence(float(a), float(b), prevalence).mcc
            for a, b in zip(sensitivity, specificity, strict=True)
        ]
    )
    good = np.flatnonzero(mcc >= mcc.max() - 0.002)
    return float(levels[good[len(good) // 2]])


def _read(model: Path) -> ModelCard | EnsembleCard:
    return read_ensemble(model) if is_ensemble(model) else read_card(model)


def _write(card: ModelCard | EnsembleCard, model: Path) -> None:
    if isinstance(card, EnsembleCard):
        write_ensemble(card, model)
    else:
        write_card(card, model / "model.json")
