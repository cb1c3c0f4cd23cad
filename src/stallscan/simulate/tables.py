"""What the competition's tables hold: frame counts, projects, crowd scores, labels, subsets.

The constants were counted in the competition's own table of training metadata (573,048 videos).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from stallscan.data.rules import (
    CROWDLESS_PROJECTS,
    EXPERT_PROJECTS,
    label_by_rule,
    tier1_by_rule,
)
from stallscan.simulate.state import State
from stallscan.types import BoolArray, FloatArray

if TYPE_CHECKING:
    import pandas as pd

_N_FRAMES_LEVELS = (*np.arange(200) / 200, 0.9975, 0.999, 0.9995, 1.0)

_N_FRAMES = (
    17, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 36, 37, 38, 39, 40, 40, 41, 42, 43, 43,
    44, 45, 46, 46, 46, 46, 47, 47, 47, 47, 47, 47, 47, 47, 48, 48, 48, 48, 48, 48, 48, 48, 48,
    49, 49, 49, 49, 49, 49, 49, 49, 49, 50, 50, 50, 50, 50, 50, 50, 50, 51, 51, 51, 51, 51, 51,
    51, 51, 52, 52, 52, 52, 52, 52, 52, 52, 53, 53, 53, 53, 53, 53, 53, 54, 54, 54, 54, 54, 54,
    54, 55, 55, 55, 55, 55, 55, 55, 56, 56, 56, 56, 56, 56, 57, 57, 57, 57, 57, 57, 58, 58, 58,
    58, 58, 58, 59, 59, 59, 59, 59, 60, 60, 60, 60, 60, 61, 61, 61, 61, 62, 62, 62, 62, 62, 63,
    63, 63, 63, 64, 64, 64, 64, 65, 65, 65, 66, 66, 66, 66, 67, 67, 67, 68, 68, 68, 69, 69, 70,
    70, 70, 71, 71, 72, 72, 73, 73, 74, 74, 75, 75, 76, 77, 77, 78, 79, 80, 80, 81, 82, 83, 84,
    85, 86, 88, 89, 91, 93, 94, 96, 99, 102, 105, 109, 113, 119, 128, 144, 160, 182, 201, 434,
)  # fmt: skip
"""Quantiles of ``num_frames`` at `_N_FRAMES_LEVELS`."""

PROJECTS = {
    "A": 143_495, "C": 67_023, "D": 20_454, "E": 31_832, "F": 60_794, "G": 81_994,
    "H": 74_231, "I": 21_851, "J": 5_037, "K": 27_077, "L": 444, "M": 38_816,
}  # fmt: skip
"""Projects of the competition (there is no B) and how many of its training videos each has."""

_CROWD_EDGES = (0, 1, *range(50_000, 1_000_000, 50_000), 1_000_001)
"""In millionths, half open."""

_CROWD_COUNTS = {
    State.FLOWING: (
        73657, 1521, 2307, 1838, 1137, 890, 1132, 1434, 1018, 279, 221,
        197, 183, 218, 230, 109, 44, 16, 12, 3, 13,
    ),
    State.STALLED: (
        0, 0, 0, 3, 1, 3, 1, 2, 1, 1, 1,
        6, 1, 0, 10, 38, 26, 31, 18, 13, 88,
    ),
}  # fmt: skip
"""Crowd scores of the 86,703 tier1 videos of projects G and J, which experts reviewed, by the
expert's label: those of exactly 0, then in steps of 0.05; 1 belongs to the last."""

MICRO_FLOWING = 1693 / 706
"""Flowing videos in micro for each stalled one; in nano there is one."""


def sample_n_frames(rng: np.random.Generator) -> int:
    """A number of frames, drawn as the competition's train_metadata table has them: 17 to 434.

    The quantiles are interpolated; the distribution is within 0.005 of the table's
    (Kolmogorov–Smirnov). The class plays no part: in the real table it does not either.

    Example:
        >>> import numpy as np
        >>> sample_n_frames(np.random.default_rng(0))
        60
    """
    return round(float(np.interp(rng.random(), _N_FRAMES_LEVELS, _N_FRAMES)))


def draw_projects(n: int, rng: np.random.Generator) -> list[str]:
    """Letters of `PROJECTS`, drawn by their shares; a small set may lack the small ones."""
    counts = np.array(list(PROJECTS.values()))
    return [str(letter) for letter in rng.choice(list(PROJECTS), n, p=counts / counts.sum())]


def draw_crowd_scores(states: Sequence[State], rng: np.random.Generator) -> FloatArray:
    """What the crowd says of each vessel: the share of its answers that call it stalled.

    Drawn from the scores of vessels that experts found flowing or stalled; uniform within a step
    of 0.05. Nobody measured the crowd on undecidable vessels: they draw from either with
    probability 1/2.

    Returns:
        ``(n,)`` float64 from 0 to 1, six digits.
    """
    kinds = [State.FLOWING, State.STALLED]
    either = rng.integers(2, size=len(states))
    scores = np.zeros(len(states))
    for index, state in enumerate(states):
        kind = kinds[either[index]] if state is State.UNDECIDABLE else state
        counts = np.array(_CROWD_COUNTS[kind])
        step = rng.choice(len(counts), p=counts / counts.sum())
        scores[index] = rng.integers(_CROWD_EDGES[step], _CROWD_EDGES[step + 1]) / 1e6
    return scores


def train_columns(
    states: Sequence[State],
    projects: Sequence[str],
    rng: np.random.Generator,
    *,
    clean_labels: bool = False,
) -> pd.DataFrame:
    """What the competition's training tables say of vessels whose state is known.

    Labels are made by its published rule, and so are partly wrong: the expert's label in
    `EXPERT_PROJECTS`, who never errs; elsewhere stalled from a crowd score of 0.5. An undecidable
    vessel is labelled by the crowd everywhere, for an expert would have thrown it out. The crowd
    never saw `CROWDLESS_PROJECTS`: their scores are 0.

    Args:
        states: ``n`` states.
        projects: ``n`` letters of `PROJECTS`.
        rng: draws the crowd's scores and the flowing videos of micro and nano.
        clean_labels: the truth instead of the rule's label; missing where it is undecidable.

    Returns:
        ``n`` rows: ``project_id`` (str), ``crowd_score`` (float64), ``tier1``, ``micro``, ``nano``
        (bool), ``stalled`` (Int64: 0, 1, or missing).
    """
    import pandas as pd

    project = pd.Series(list(projects), dtype="str", name="project_id")
    crowdless = project.isin(CROWDLESS_PROJECTS)
    scores = pd.Series(draw_crowd_scores(states, rng)).mask(crowdless, 0.0)
    truth = pd.Series([state.label for state in states], dtype="Int64")
    expert = truth.where(project.isin(EXPERT_PROJECTS))
    stalled = truth if clean_labels else label_by_rule(scores, expert)
    tier1 = tier1_by_rule(scores.mask(crowdless), expert)
    micro, nano = _subsets(stalled, tier1, rng)
    return pd.DataFrame(
        {
            "project_id": project,
            "crowd_score": scores,
            "tier1": tier1,
            "micro": micro,
            "nano": nano,
            "stalled": stalled,
        }
    )


def _subsets(
    stalled: pd.Series[int], tier1: pd.Series[bool], rng: np.random.Generator
) -> tuple[BoolArray, BoolArray]:
    """micro and nano: all stalled videos of tier1, and flowing ones of tier1 as many as there are.

    Without a stalled video of tier1 both are empty.
    """
    chosen, other = (
        ((stalled == label).fillna(False).astype(bool) & tier1).to_numpy() for label in (1, 0)
    )
    flowing = rng.permutation(np.flatnonzero(other))
    micro, nano = chosen.copy(), chosen.copy()
    micro[flowing[: round(chosen.sum() * MICRO_FLOWING)]] = True
    nano[flowing[: chosen.sum()]] = True
    return micro, nano
