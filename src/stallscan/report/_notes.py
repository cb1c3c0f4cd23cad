"""What would mislead a reader who sees the numbers alone."""

from __future__ import annotations

from stallscan.metrics.binary import Scores
from stallscan.report.joined import Counts

_FEW = 10
"""Below this many videos of a class an interval deserves a word."""


def evaluation_notes(counts: Counts, scores: Scores, confidence: float) -> list[str]:
    """One sentence each; none where the numbers speak for themselves."""
    notes = []
    if counts.n_failed:
        notes.append(
            f"Failed, without a probability: {counts.n_failed:,} labelled videos, "
            f"{counts.n_failed_stalled:,} of them stalled; not in the metrics."
        )
    if counts.n_unpredicted:
        notes.append(
            f"Labelled, not predicted: {counts.n_unpredicted:,} of {counts.n_labels:,} videos; "
            "not in the metrics."
        )
    if counts.n_unlabelled:
        notes.append(
            f"Predicted, not labelled: {counts.n_unlabelled:,} of {counts.n_predictions:,} videos; "
            "not in the metrics."
        )
    if counts.n_flagged:
        notes.append(
            f"Flagged, outline or frames suspect: {counts.n_flagged:,} of {counts.n_evaluated:,} "
            "evaluated videos; in the metrics."
        )
    classes = (
        ("stalled", "sensitivity", scores.n_stalled, scores.fn),
        ("flowing", "specificity", scores.n - scores.n_stalled, scores.fp),
    )
    for word, metric, n, n_errors in classes:
        if n == 0:
            notes.append(f"No evaluated video is labelled {word}: ROC AUC and MCC say nothing.")
        elif n_errors == 0:
            # Clopper and Pearson's lower bound, which is this simple where all n are right.
            bound = ((1 - confidence) / 2) ** (1 / n)
            notes.append(
                f"No error among {n:,} {word} videos: resampling cannot show what did not happen; "
                f"the exact interval of {metric} is {bound:.3f} – 1.000."
            )
        elif n < _FEW:
            notes.append(f"Few {word} videos ({n}): the intervals are rather too narrow.")
    return notes
