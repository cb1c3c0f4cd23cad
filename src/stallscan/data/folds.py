"""Folds for cross-validation: stratified, grouped by project, or plain."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stallscan.data._csv import check_columns, origin, some
from stallscan.errors import OptionError
from stallscan.types import IntArray, Label

if TYPE_CHECKING:
    import pandas as pd

FOLD_KINDS = ("stratified", "project", "plain")
"""stratified by project and label; project: every project whole in one fold, labels balanced as
far as that allows; plain: k-fold by chance alone, as the competition's winner did."""


def assign_folds(
    table: pd.DataFrame, *, n_folds: int = 5, seed: int = 42, by: str = "stratified"
) -> NDArray[np.int64]:
    """The fold of every video; the same for any order of the rows.

    Stratified folds differ by at most one video in size, in the number of stalled ones, and in the
    number of each label in each project, however few those are. Without ``project_id`` the label
    alone counts. Grouped folds differ in size as the projects do, and ``seed`` only decides ties.

    Args:
        table: columns ``filename``, ``stalled``, and ``project_id`` where there are projects: as
            from :func:`stallscan.data.select_subset` or :func:`stallscan.data.read_labels`.
        n_folds: 2 and above.
        seed: of the shuffle.
        by: one of `FOLD_KINDS`.

    Returns:
        ``(len(table),)`` int64 from 0 to ``n_folds - 1``, row by row.

    Raises:
        OptionError: an unknown kind; fewer than two folds, or more than projects; a fold would lack
            stalled or flowing videos.
        TableError: a column is missing.
    """
    if by not in FOLD_KINDS:
        close = difflib.get_close_matches(by, FOLD_KINDS, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise OptionError(
            f"unknown kind of folds {by!r}; {hint}choose from {', '.join(FOLD_KINDS)}"
        )
    if n_folds < 2:
        raise OptionError(f"n_folds is {n_folds}, allowed are 2 and above; 5 is usual")
    required = ["filename", "stalled"] + ["project_id"] * (by == "project")
    check_columns(origin(table, "the table"), list(table.columns), required)

    order = np.argsort(table["filename"].to_numpy(dtype=str), kind="stable")
    stalled = table["stalled"].to_numpy(dtype=int)[order]
    if "project_id" in table:
        names = table["project_id"].to_numpy(dtype=str)[order]
    else:
        names = np.zeros(len(table), str)
    projects, project = np.unique(names, return_inverse=True)
    if by == "project" and len(projects) < n_folds:
        raise OptionError(
            f"{n_folds} folds by project need as many projects, the table has {len(projects)} "
            f"({some(projects.tolist())}); ask for fewer folds, or for stratified ones"
        )
    for label in Label:
        count = int((stalled == label).sum())
        if count < n_folds:
            raise OptionError(
                f"{n_folds} folds need as many {label.word} videos, the table has {count} of its "
                f"{len(table):,}; ask for fewer folds, or label more videos"
            )

    fold = _split(stalled, project, n_folds, seed, by)
    counts = np.zeros((n_folds, len(Label)), int)
    np.add.at(counts, (fold, stalled), 1)
    if not counts.all():
        number, value = np.argwhere(counts == 0)[0]
        raise OptionError(
            f"fold {number} of {n_folds} ({by}) has no {Label(value).word} video of the table's "
            f"{counts[:, value].sum():,}; ask for fewer folds, or for stratified ones"
        )
    folds = np.empty_like(fold)
    folds[order] = fold
    return folds


def _split(
    stalled: IntArray, project: IntArray, n_folds: int, seed: int, by: str
) -> NDArray[np.int64]:
    """The fold of every video, in the order of the filenames."""
    from sklearn.model_selection import KFold, StratifiedGroupKFold

    fold = np.empty(len(stalled), np.int64)
    if by == "stratified":
        # Dealt out like sorted cards, so that a label of a project that is rarer than the folds
        # is spread as well: StratifiedKFold warns of those, and refuses a table of no others.
        shuffled = np.random.default_rng(seed).permutation(len(fold))
        fold[np.lexsort((shuffled, project, stalled))] = np.arange(len(fold)) % n_folds
        return fold
    options = {"n_splits": n_folds, "shuffle": True, "random_state": seed}
    if by == "plain":
        splits = KFold(**options).split(fold)
    else:
        splits = StratifiedGroupKFold(**options).split(fold, stalled, project)
    for number, (_, held_out) in enumerate(splits):
        fold[held_out] = number
    return fold
