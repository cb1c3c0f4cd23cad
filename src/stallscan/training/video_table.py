"""Labels, folds, subsets, soft targets and weights of the videos that a run learns from."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stallscan.errors import OptionError, TableError
from stallscan.training.recipe import Recipe

if TYPE_CHECKING:
    import pandas as pd

    from stallscan.data.shards import Store

log = logging.getLogger(__name__)


def read_video_table(
    labels_path: Path, metadata_path: Path | None, store: Store, recipe: Recipe
) -> tuple[pd.DataFrame, str]:
    """A row for each video that is trained or validated on.

    Folds are dealt over all labelled videos and subsets taken afterwards, so that a later stage,
    which sees a part of them, holds out nothing that an earlier one of the same fold has learnt.

    Args:
        labels_path: table of labels.
        metadata_path: the competition's, or one of its shape; None: there is none.
        store: has every video of the subset; others are left alone.
        recipe: its sections data, sampler and folds.

    Returns:
        Columns filename, stalled (0, 1), fold, target (0 to 1), weight, and project_id where there
        is metadata; and by what the folds are dealt, in words.

    Raises:
        TableError: a table is wrong, has no row for a labelled video, or labels a video that the
            store lacks.
        OptionError: the recipe asks for what only metadata tell, or too few videos for the folds.
    """
    from stallscan.data.folds import assign_folds
    from stallscan.data.matching import match_videos
    from stallscan.data.tables import only_decided, read_labels

    labels = read_labels(labels_path, undecidable=True)
    table = only_decided(labels)
    n_undecidable = len(labels) - len(table)
    if n_undecidable:
        log.warning(
            "%s: %d of %d labels are empty (undecidable); their videos are left out",
            labels_path,
            n_undecidable,
            len(labels),
        )
    _check_metadata(metadata_path, recipe)
    if metadata_path is not None:
        table = _with_metadata(table, metadata_path)
    try:
        table = table.assign(
            fold=assign_folds(
                table, n_folds=recipe.folds.n, seed=recipe.folds.seed, by=recipe.folds.by
            )
        )
    except OptionError as error:
        raise OptionError(f"{labels_path}: {error}") from None
    table = _subset(table, recipe)
    wanted = set(table["filename"])
    # Against the store: a label without a video is an error, a video without a label is not.
    chosen = labels[labels["filename"].isin(wanted)]
    chosen.attrs["path"] = str(labels_path)
    present = match_videos(store.names, chosen, all_labelled=False)["filename"].tolist()
    n_others = len(store) - len(present)
    if n_others:
        log.info("%s: %d videos are not labelled, or not of the subset", store.path, n_others)
    by = {
        "stratified": "stratified by "
        + ("label" if metadata_path is None else "project and label"),
        "project": "whole projects",
        "plain": "plain",
    }[recipe.folds.by]
    order = {name: number for number, name in enumerate(present)}
    table = table.sort_values("filename", key=lambda names: names.map(order))
    return _with_targets(table.reset_index(drop=True), recipe), by


def _check_metadata(path: Path | None, recipe: Recipe) -> None:
    wanted = [
        name
        for name, needed in (
            ("data.subset", recipe.data.subset != "full"),
            ("data.tier1", recipe.data.tier1),
            ("data.target", recipe.data.target == "crowd"),
            ("data.reliability", recipe.data.reliability),
            ("sampler.by_project", recipe.sampler.by_project),
            ("folds.by", recipe.folds.by == "project"),
        )
        if needed
    ]
    if wanted and path is None:
        raise OptionError(
            f"recipe {recipe.name}: {', '.join(wanted)} need the table of projects and crowd "
            "scores, and there is none; pass --metadata FILE (the competition's "
            "train_metadata.csv), or set them to what needs none"
        )


def _with_metadata(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    from stallscan.data._csv import check_columns
    from stallscan.data.metadata import read_metadata
    from stallscan.data.tables import METADATA_COLUMNS

    metadata = read_metadata(path)
    check_columns(path, list(metadata.columns), METADATA_COLUMNS)
    joined = table.merge(metadata, on="filename", how="left", validate="one_to_one")
    if joined["project_id"].isna().any():
        name = joined.loc[joined["project_id"].isna(), "filename"].iloc[0]
        raise TableError(
            f"{path}: has no row for the labelled video {name}; add it, or remove the label"
        )
    joined.attrs["path"] = str(path)
    return joined.astype({"tier1": bool, "micro": bool, "nano": bool})


def _subset(table: pd.DataFrame, recipe: Recipe) -> pd.DataFrame:
    from stallscan.data.subsets import select_subset

    attrs = dict(table.attrs)
    for name, wanted in ((recipe.data.subset, True), ("tier1", recipe.data.tier1)):
        if wanted:
            table.attrs = attrs
            table = select_subset(table, name)
    flowing = table.loc[table["stalled"] == 0, "filename"].sort_values()
    most = recipe.data.max_flowing
    if most is not None and len(flowing) > most:
        rng = np.random.default_rng(recipe.folds.seed)
        drawn = set(flowing.sample(most, random_state=rng))
        table = table[(table["stalled"] == 1) | table["filename"].isin(drawn)]
    return table


def _with_targets(table: pd.DataFrame, recipe: Recipe) -> pd.DataFrame:
    from stallscan.data.reliability import crowd_targets, label_reliability

    table = table.assign(target=table["stalled"].astype(float), weight=1.0)
    if recipe.data.target == "crowd":
        table["target"] = crowd_targets(table)
    if recipe.data.reliability:
        table["weight"] = label_reliability(table)
    return table
