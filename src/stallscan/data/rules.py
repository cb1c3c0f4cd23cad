"""The rules behind the competition's labels and tiers, and where a table departs from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stallscan.data._csv import check_columns, origin

if TYPE_CHECKING:
    import pandas as pd

EXPERT_PROJECTS = ("G", "J", "L")
"""Projects of the competition in which experts reviewed videos; only there do labels and tiers
depart from the crowd's scores."""

CROWDLESS_PROJECTS = ("L",)
"""Projects of the competition that the crowd never saw: their score of 0 means "no answers"."""


def crowd_scores(metadata: pd.DataFrame) -> pd.Series[float]:
    """The crowd's scores, NaN where the crowd never answered.

    That is so in `CROWDLESS_PROJECTS`, as long as all their scores are 0. The name decides, for
    zeros alone prove nothing: 92 % of all scores are 0, so a small project or a small subset may
    have no other by chance. The zeros are asked for as well, because another laboratory's project
    may bear the same name: one score above 0 says that its crowd answered.

    Args:
        metadata: training metadata, as from :func:`stallscan.data.read_metadata`.

    Returns:
        float64 from 0 to 1, or NaN; same index.

    Raises:
        TableError: ``project_id`` or ``crowd_score`` is missing.
    """
    _needs(metadata, "project_id", "crowd_score")
    scores, project = metadata["crowd_score"], metadata["project_id"]
    answered = (scores > 0).groupby(project, observed=True).transform("any")
    return scores.where(answered | ~project.isin(CROWDLESS_PROJECTS))


def label_by_rule(scores: pd.Series[float], expert: pd.Series | None = None) -> pd.Series[int]:
    """The expert's label where there is one, else stalled from a crowd score of 0.5 up.

    Args:
        scores: 0 to 1; NaN where the crowd gave no answer.
        expert: 0, 1, or missing where no expert looked; same index. None: no expert looked at all.

    Returns:
        Int64: 1 stalled, 0 flowing, missing where neither expert nor crowd answered.

    Example:
        >>> import pandas as pd
        >>> label_by_rule(pd.Series([0.0, 0.5, float("nan")])).tolist()
        [0, 1, <NA>]
    """
    label = (scores >= 0.5).astype("Int64").mask(scores.isna())
    return label if expert is None else label.mask(expert.notna(), expert.astype("Int64"))


def tier1_by_rule(scores: pd.Series[float], expert: pd.Series | None = None) -> pd.Series[bool]:
    """Whether a label is of the first tier: an expert's, or a crowd score of 0 or from 0.75 up.

    Args:
        scores: 0 to 1; NaN where the crowd gave no answer.
        expert: as in :func:`label_by_rule`.

    Returns:
        bool; False where neither expert nor crowd answered.
    """
    tier1 = (scores == 0) | (scores >= 0.75)
    return tier1 if expert is None else tier1 | expert.notna()


def compare_with_rules(videos: pd.DataFrame) -> pd.DataFrame:
    """How many labels and tiers differ from what the crowd's scores alone would give.

    The scores are taken as they stand, zeros of `CROWDLESS_PROJECTS` too: so every label that an
    expert set against the score is counted. In the competition's table all differences lie in
    `EXPERT_PROJECTS`; elsewhere they are faults of the table, or labels by another rule.

    Args:
        videos: training metadata with labels, as from :func:`stallscan.data.join_labels`.

    Returns:
        A row for each project, indexed by ``project_id``: ``n`` videos, ``label_differences``,
        ``tier1_differences``.

    Raises:
        TableError: a column is missing.
    """
    _needs(videos, "project_id", "crowd_score", "tier1", "stalled")
    scores = videos["crowd_score"]
    differences = videos[["project_id"]].assign(
        label_differences=label_by_rule(scores) != videos["stalled"],
        tier1_differences=tier1_by_rule(scores) != videos["tier1"],
    )
    projects = differences.groupby("project_id", observed=True)
    counts = projects.sum().astype("int64")
    counts.insert(0, "n", projects.size())
    return counts


def _needs(metadata: pd.DataFrame, *columns: str) -> None:
    check_columns(origin(metadata, "the metadata"), list(metadata.columns), columns)
