"""What a label by the crowd is worth: how often experts called such videos stalled."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from stallscan.data._csv import check_columns, origin
from stallscan.data.rules import EXPERT_PROJECTS, crowd_scores

if TYPE_CHECKING:
    import pandas as pd


class Reviewed(NamedTuple):
    """Videos of a range of crowd scores that experts have looked at.

    Attributes:
        least: lowest score of the range; it ends where the next one begins.
        n: videos.
        stalled: of them, by the experts.
    """

    least: float
    n: int
    stalled: int


STALLED_BY_SCORE = (
    Reviewed(0.0, 3646, 8),
    Reviewed(float(np.nextafter(0, 1)), 728, 0),
    Reviewed(0.1, 466, 7),
    Reviewed(0.25, 130, 6),
    Reviewed(0.5, 992, 55),
    Reviewed(0.75, 147, 75),
    Reviewed(0.9, 117, 101),
)
"""By crowd score, how many videos experts looked at and how many they called stalled.

Counted in the competition's table. From a score of 0.5 up these are the videos of projects G and J
that are of the first tier. Below, they are those of project J alone: in G, all 80,485 videos of
the first tier are flowing there, which says that only its candidates were looked at. Project L had
no crowd. Eight videos of G at 0.5 to 0.75 are stalled without being of the first tier: they bear
the crowd's own answer and are not counted.
"""


def label_reliability(videos: pd.DataFrame) -> pd.Series[float]:
    """Probability that each label is right, as a weight for training.

    An expert's label, and one where no crowd answered, is taken to be right: 1. A label by the
    crowd is worth what `STALLED_BY_SCORE` says of its score: with k of n stalled, a stalled label
    is right with probability (k + 1/2) / (n + 1), a flowing one with the rest, so that no weight is
    0 or 1.

    Args:
        videos: training metadata with labels, as from :func:`stallscan.data.join_labels`. Projects
            that are not the competition's have no experts: all their labels are weighed.

    Returns:
        float64 above 0, up to 1; same index.

    Raises:
        TableError: a column is missing.
    """
    import pandas as pd

    scores = _crowd_labelled(videos)
    starts = [entry.least for entry in STALLED_BY_SCORE]
    rates = np.array([(entry.stalled + 0.5) / (entry.n + 1) for entry in STALLED_BY_SCORE])
    # NaN, sorted behind all, takes the last rate, and is replaced.
    rate = rates[np.searchsorted(starts, scores.to_numpy(), side="right") - 1]
    right = np.where(videos["stalled"] == 1, rate, 1 - rate)
    return pd.Series(right, videos.index, name="reliability").mask(scores.isna(), 1.0)


def crowd_targets(videos: pd.DataFrame) -> pd.Series[float]:
    """Soft targets: the crowd's score, the label where an expert gave it or no crowd answered.

    Args:
        videos: as for :func:`label_reliability`.

    Returns:
        float64, 0 to 1; same index.

    Raises:
        TableError: a column is missing.
    """
    scores = _crowd_labelled(videos)
    return scores.where(scores.notna(), videos["stalled"].astype(float)).rename("target")


def _crowd_labelled(videos: pd.DataFrame) -> pd.Series[float]:
    """The crowd's scores where labels come from them, NaN where they do not."""
    where = origin(videos, "the metadata")
    check_columns(where, list(videos.columns), ["project_id", "crowd_score", "tier1", "stalled"])
    # Of the experts' projects, what is outside the first tier has not been looked at.
    expert = videos["project_id"].isin(EXPERT_PROJECTS) & videos["tier1"]
    return crowd_scores(videos).mask(expert)
