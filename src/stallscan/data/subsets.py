"""The parts of the training videos that the competition and the paper name."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

import numpy as np

from stallscan.data._csv import check_columns, fail, origin
from stallscan.data.tables import LABEL_COLUMNS
from stallscan.errors import OptionError

if TYPE_CHECKING:
    import pandas as pd

SUBSETS = ("nano", "micro", "paper", "full")
"""nano and micro as the metadata mark them; paper: all stalled videos and `PAPER_FLOWING` flowing
ones; full: all."""

_CHOICES = (*SUBSETS, "tier1")  # a tier of labels, not a part of the videos; it can be chosen too

PAPER_FLOWING = 50_000
"""Flowing videos that the paper's networks were trained with, to all stalled ones."""


def select_subset(videos: pd.DataFrame, name: str, *, seed: int = 0) -> pd.DataFrame:
    """The videos of a subset, in the order of the table.

    Args:
        videos: training metadata with labels, as from :func:`stallscan.data.join_labels`.
        name: one of `SUBSETS`, or ``"tier1"``: what experts or a sure crowd labelled, as the
            metadata mark it.
        seed: of the draw of ``paper``; the same seed draws the same videos, whatever the order of
            the tables.

    Returns:
        The rows of the subset, all columns.

    Raises:
        OptionError: an unknown subset.
        TableError: a column is missing, the subset is empty, or there are too few flowing videos
            to draw from.
    """
    if name not in _CHOICES:
        close = difflib.get_close_matches(name, _CHOICES, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise OptionError(f"unknown subset {name!r}; {hint}choose from {', '.join(_CHOICES)}")
    where = origin(videos, "the metadata")
    check_columns(where, list(videos.columns), LABEL_COLUMNS)
    if name == "full":
        return videos
    if name == "paper":
        return _paper(videos, where, seed)
    check_columns(where, list(videos.columns), [name])
    subset = videos[videos[name]]
    if subset.empty:
        fail(
            where,
            f"none of its {len(videos):,} videos is marked {name}; choose another subset of "
            f"{', '.join(_CHOICES)}, or mark videos",
        )
    return subset.reset_index(drop=True)


def _paper(videos: pd.DataFrame, where: str, seed: int) -> pd.DataFrame:
    flowing = videos.loc[videos["stalled"] == 0, "filename"].sort_values()
    if len(flowing) < PAPER_FLOWING:
        fail(
            where,
            f"has {len(flowing):,} flowing videos, but the subset 'paper' draws "
            f"{PAPER_FLOWING:,}; choose the subset 'full'",
        )
    drawn = flowing.sample(PAPER_FLOWING, random_state=np.random.default_rng(seed))
    chosen = (videos["stalled"] == 1) | videos.index.isin(drawn.index)
    return videos[chosen].reset_index(drop=True)
