"""How much a model changed when it became another: int8 against float32, ROI by ROI."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stallscan.data.map_files import map_files
from stallscan.errors import StallscanError
from stallscan.inference.labelled import LabelledRois
from stallscan.inference.predictor import Predictor
from stallscan.inference.prepare import Prepare, not_prepared
from stallscan.metrics.binary import binary_scores

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two.

    Attributes:
        auc: area under the ROC curve.
        mcc: at the model's threshold.
        ms: a vessel, flips included, median.
    """

    auc: float
    mcc: float
    ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """A model against the same in float32.

    Attributes:
        n: ROIs on which both were asked.
        n_stalled: of them.
        source: where they come from.
        flips: mirrored copies.
        threshold: of the calls.
        float32: how the one did.
        exported: how the other did.
        worst: largest change of a probability.
        percentile_99: of the changes.
        mean: of the changes.
        n_calls_changed: at the threshold.
    """

    n: int
    n_stalled: int
    source: str
    flips: int
    threshold: float
    float32: Side
    exported: Side
    worst: float
    percentile_99: float
    mean: float
    n_calls_changed: int

    def to_dict(self) -> dict[str, Any]:
        """For model.json."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Parity:
        """What `to_dict` gave."""
        sides = {key: Side(**fields[key]) for key in ("float32", "exported")}
        return cls(**(fields | sides))

    def lines(self) -> list[str]:
        """For the user."""
        one, other = self.float32, self.exported
        return [
            f"parity on {self.n:,} ROIs ({self.n_stalled:,} stalled) of {self.source}, flips "
            f"{self.flips}, threshold {self.threshold:g}",
            f"{'':<14}{'float32':>9}{'int8':>9}",
            f"{'AUC':<14}{one.auc:>9.4f}{other.auc:>9.4f}",
            f"{'MCC':<14}{one.mcc:>9.4f}{other.mcc:>9.4f}",
            f"{'ms a vessel':<14}{one.ms:>9.1f}{other.ms:>9.1f}",
            f"probabilities change by {self.mean:.4f} in the mean, {self.percentile_99:.4f} at the "
            f"99th percentile, {self.worst:.4f} at most; {self.n_calls_changed} of {self.n:,} "
            "calls change",
        ]


def compare(
    reference: Sequence[Predictor],
    exported: Sequence[Predictor],
    rois: LabelledRois,
    *,
    n: int,
    workers: int,
    progress: Progress | None = None,
) -> list[Parity]:
    """Ask pairs of models about the same ROIs.

    Args:
        reference: in float32.
        exported: of each of them, in the same order, with the same flips.
        rois: to ask about, until there are answers for ``n``; what cannot be read is left out.
        n: how many.
        workers: processes that make them.
        progress: called after each.

    Returns:
        A report for each pair.

    Raises:
        StallscanError: too few could be read, or of one class.
    """
    seen = tuple(dict.fromkeys(one for predictor in reference for one in predictor.preprocessings))
    prepare = Prepare(load=rois.load, preprocessings=seen)
    items: Any = rois.items
    labels: list[int] = []
    # pair → (probability, seconds) of each vessel, of the one and the other
    answers: list[list[tuple[float, float, float, float]]] = [[] for _ in reference]
    prepared = map_files(items, prepare, failed=not_prepared, workers=workers)
    for one, label in zip(prepared, rois.labels, strict=True):
        if one.inputs is None:
            continue
        labels.append(label)
        for pair, (before, after) in enumerate(zip(reference, exported, strict=True)):
            answers[pair].append((*_ask(before, one.inputs), *_ask(after, one.inputs)))
        if progress:
            progress(len(labels), n)
        if len(labels) == n:
            break
    if len(labels) < n or len(set(labels)) < 2:
        raise StallscanError(
            f"{rois.source}: {len(labels):,} of {len(items):,} ROIs could be read, "
            f"{sum(labels):,} of them stalled; needed are {n:,} of both classes: give more data, "
            "or lower --calibration"
        )
    return [
        _report(np.array(pair), np.array(labels), predictor, rois.source)
        for pair, predictor in zip(answers, reference, strict=True)
    ]


def _ask(predictor: Predictor, inputs: Any) -> tuple[float, float]:
    began = time.perf_counter()
    probability = predictor.predict(inputs).probability
    return probability, time.perf_counter() - began


def _report(answers: Any, labels: Any, predictor: Predictor, source: str) -> Parity:
    p, p_s, q, q_s = answers.T
    change = np.abs(p - q)
    sides = []
    for probability, seconds in ((p, p_s), (q, q_s)):
        scores = binary_scores(labels, probability, probability >= predictor.threshold)
        assert scores.roc_auc is not None, "both classes are there"
        ms = 1000 * float(np.median(seconds))
        sides.append(Side(auc=round(scores.roc_auc, 4), mcc=round(scores.mcc, 4), ms=round(ms, 2)))
    called = [probability >= predictor.threshold for probability in (p, q)]
    return Parity(
        n=len(labels),
        n_stalled=int(labels.sum()),
        source=source,
        flips=predictor.flips,
        threshold=predictor.threshold,
        float32=sides[0],
        exported=sides[1],
        worst=round(float(change.max()), 6),
        percentile_99=round(float(np.quantile(change, 0.99)), 6),
        mean=round(float(change.mean()), 6),
        n_calls_changed=int((called[0] != called[1]).sum()),
    )
