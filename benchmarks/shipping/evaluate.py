"""The models beside the persistence score, on phantoms of unseen seeds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from audits.auc import auc_of
from audits.parallel import in_order
from audits.table import show_and_write
from numpy.typing import NDArray
from sklearn.metrics import matthews_corrcoef, roc_auc_score, roc_curve

from shipping.ask import SCORE, TEST_SEED, Job, ask, labels_of
from stallscan.metrics import at_prevalence
from stallscan.models.box import find_model
from stallscan.models.card import read_card
from stallscan.models.ensemble import is_ensemble, read_ensemble
from stallscan.simulate.blood import STALL_KINDS
from stallscan.simulate.settings import PRESETS

STALLED_SHARE = 0.3
RARE = 0.046
SPECIFICITY = 0.95
_RESAMPLES = 1000


def evaluate(
    *, models: Sequence[str], presets: Sequence[str], n: int, workers: int, results: Path
) -> pd.DataFrame:
    """AUC, MCC at 30 and 4.6 % stalled, sensitivity at 95 % specificity; by kind of blood."""
    rows: list[dict[str, Any]] = []
    answers = {}
    for preset in presets:
        jobs = [
            Job((TEST_SEED, number), label, PRESETS[preset], tuple(models))
            for number, label in enumerate(labels_of(n, STALLED_SHARE))
        ]
        table = pd.DataFrame(in_order(ask, jobs, workers=workers, what=f"test, {preset}"))
        answers[preset] = table
        for name in (*models, SCORE):
            for row in (*_whole(table, name), *_by_kind(table, name)):
                rows.append({"preset": preset, "who": name, **row})
    found = pd.DataFrame(rows)
    title = f"{n} ROIs of each preset, {STALLED_SHARE:.0%} stalled, 95 % intervals"
    show_and_write(found, results / "shipped-evaluate-cpu.csv", title)
    _draw(answers, (*models, SCORE), results / "shipped-roc.png")
    return found


def _whole(table: pd.DataFrame, name: str) -> list[dict[str, Any]]:
    stalled, scores = table["stalled"].to_numpy(), table[name].to_numpy()
    usual, rare = _thresholds(name, stalled, scores)
    measures = {
        "AUC": lambda y, s: float(roc_auc_score(y, s)),
        "MCC at 30 %": lambda y, s: _mcc(y, s, usual, STALLED_SHARE),
        "MCC at 4.6 %": lambda y, s: _mcc(y, s, rare, RARE),
        "sensitivity at specificity 0.95": _sensitivity,
        "sensitivity at its threshold": lambda y, s: float((s[y == 1] >= usual).mean()),
        "specificity at its threshold": lambda y, s: float((s[y == 0] < usual).mean()),
    }
    rng = np.random.default_rng(0)
    groups = [np.flatnonzero(stalled == label) for label in (0, 1)]
    draws = [
        np.concatenate([rng.choice(group, len(group)) for group in groups])
        for _ in range(_RESAMPLES)
    ]
    rows = []
    for what, measure in measures.items():
        again = [measure(stalled[draw], scores[draw]) for draw in draws]
        low, high = np.quantile(again, [0.025, 0.975])
        value = measure(stalled, scores)
        rows.append({"what": what, "value": value, "low": low, "high": high, "n": len(table)})
    return rows


def _thresholds(
    name: str, stalled: NDArray[np.int64], scores: NDArray[np.float64]
) -> tuple[float, float]:
    """Those of the model's card; of the score the best on these very ROIs, which flatters it."""
    if name != SCORE:
        folder = find_model(name)
        card = read_ensemble(folder) if is_ensemble(folder) else read_card(folder)
        stored = card.metrics.get("calibration", {}).get("thresholds", {})
        return card.threshold, stored.get("4.6 %", card.threshold)
    levels = np.unique(scores)
    mcc = [[_mcc(stalled, scores, level, share) for level in levels] for share in (0.3, RARE)]
    usual, rare = (float(levels[int(np.argmax(each))]) for each in mcc)
    return usual, rare


def _mcc(
    stalled: NDArray[np.int64], scores: NDArray[np.float64], threshold: float, prevalence: float
) -> float:
    called = scores >= threshold
    if prevalence == STALLED_SHARE:
        return float(matthews_corrcoef(stalled, called))
    sensitivity, specificity = called[stalled == 1].mean(), 1 - called[stalled == 0].mean()
    return at_prevalence(float(sensitivity), float(specificity), prevalence).mcc


def _sensitivity(stalled: NDArray[np.int64], scores: NDArray[np.float64]) -> float:
    """At the threshold that a share of the flowing ones reaches."""
    threshold = np.quantile(scores[stalled == 0], SPECIFICITY)
    return float((scores[stalled == 1] > threshold).mean())


def _by_kind(table: pd.DataFrame, name: str) -> list[dict[str, Any]]:
    """AUC of each kind of stall against all that flow, of each kind of flow against all stalls."""
    rows = []
    kinds = [str(kind) for kind in STALL_KINDS]
    for (stalled, kind), part in table.groupby(["stalled", "kind"]):
        others = table[table["stalled"] != stalled]
        both = pd.concat([part, others])
        found = auc_of(both["stalled"].to_numpy(), both[name].to_numpy())
        partial = " for part of the time" if not stalled and kind in kinds else ""
        what = f"AUC, {'stalled' if stalled else 'flowing'}: {kind}{partial}"
        rows.append(
            {
                "what": what,
                "value": found.value,
                "low": found.low,
                "high": found.high,
                "n": len(part),
            }
        )
    return rows


def _draw(answers: dict[str, pd.DataFrame], names: Sequence[str], path: Path) -> None:
    figure, axes = plt.subplots(1, len(answers), figsize=(4.5 * len(answers), 4.2), squeeze=False)
    for axis, (preset, table) in zip(axes[0], answers.items(), strict=True):
        for name in names:
            false, true, _ = roc_curve(table["stalled"], table[name])
            label = f"{Path(name).name} ({roc_auc_score(table['stalled'], table[name]):.3f})"
            axis.plot(false, true, label=label)
        axis.axvline(1 - SPECIFICITY, color="0.8", linewidth=1, zorder=0)
        axis.set(title=preset, xlabel="flowing vessels called stalled", xlim=(0, 1), ylim=(0, 1.01))
        axis.legend(title="AUC", loc="lower right", frameon=False)
    axes[0, 0].set_ylabel("stalled vessels found")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
