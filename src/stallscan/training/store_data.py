"""Labelled videos: a ROI store, or a folder whose ROIs are extracted into one first."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from stallscan.augment.presets import preset
from stallscan.errors import TableError, TrainingError
from stallscan.training.recipe import Recipe
from stallscan.training.samples import (
    VALIDATION_STREAM,
    SampleKey,
    TrainingSet,
    network_input,
)
from stallscan.types import Label

if TYPE_CHECKING:
    import pandas as pd

    from stallscan.data.store import RoiStore

log = logging.getLogger(__name__)

NOTES = "Validated on one fold of its own data set alone; not a medical device."

Labelled = tuple[str, Label]
"""Name in the store, and label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Videos:
    """A run on labelled videos: one fold validates, the others train.

    Attributes:
        data: a ROI store, a folder of videos, or a data set, whose train/ is meant.
        labels: table of labels.
        fold: the fold that validates, from 0.
        n_folds: how many there are, stratified by label, and by project where that is known.
        workers: processes that extract.
        progress: called with (videos done, videos in all) while ROIs are extracted.
    """

    data: Path
    labels: Path
    fold: int = 0
    n_folds: int = 5
    workers: int = 2
    progress: Callable[[int, int], None] | None = None

    def identity(self) -> dict[str, Any]:
        """What decides the samples beside recipe and seed."""
        from stallscan.data.store import RoiStore, is_store
        from stallscan.data.videos import find_videos, fingerprint

        if is_store(self.data):
            found: object = dict(RoiStore(self.data).identity)
        else:
            paths = find_videos([self._folder])
            found = f"{len(paths)} videos, sha256 {fingerprint(paths)}"
        content = self.labels.read_bytes() if self.labels.is_file() else b""
        return {
            "data": found,
            "labels": f"sha256 {hashlib.sha256(content).hexdigest()[:16]}",
            "fold": f"{self.fold} of {self.n_folds}",
        }

    def open(self, run_dir: Path, recipe: Recipe, seed: int) -> TrainingSet:
        """Extract what has to be, and deal the labelled videos out.

        Raises:
            InputError: labels and videos do not match, or the store is damaged or incomplete.
            TrainingError: too few videos have a ROI.
        """
        from stallscan.data.folds import assign_folds
        from stallscan.data.matching import match_videos
        from stallscan.data.store import RoiStore
        from stallscan.data.tables import only_decided, read_labels

        store = RoiStore(self._store(run_dir))
        labels = read_labels(self.labels, undecidable=True)
        labelled = set(labels["filename"])
        # A store may hold test videos, too; a label without a video is an error all the same.
        table = match_videos([name for name in store.names if name in labelled], labels)
        n_unlabelled = len(store) - len(table)
        if n_unlabelled:
            log.info("%s: %d videos have no label", store.path, n_unlabelled)
        n_undecidable = int(table["stalled"].isna().sum())
        if n_undecidable:
            log.warning(
                "%s: %d of %d labels are empty (undecidable); their videos are left out",
                self.labels,
                n_undecidable,
                len(table),
            )
        table, strata = self._with_projects(only_decided(table))
        folds = assign_folds(table, n_folds=self.n_folds)
        usable = np.array([store.summary(name).status != "failed" for name in table["filename"]])
        n_failed = int((~usable).sum())
        if n_failed:
            log.warning("%s: %d of %d videos have no ROI", store.path, n_failed, len(table))

        def part(chosen: np.ndarray[Any, np.dtype[np.bool_]]) -> list[Labelled]:
            rows = table[chosen & usable]
            labels = (Label(int(label)) for label in rows["stalled"])
            return list(zip(rows["filename"], labels, strict=True))

        training, validation = part(folds != self.fold), part(folds == self.fold)
        for name, members in (("training", training), ("validation", validation)):
            for label in Label:
                if not any(found is label for _, found in members):
                    raise TrainingError(
                        f"{store.path}: no {label.word} video for {name} in fold {self.fold} of "
                        f"{self.n_folds} ({n_failed} of {len(table)} videos have no ROI); choose "
                        "another fold, fewer folds, or label more videos"
                    )
        return TrainingSet(
            dataset=StoreRois(store, training, validation, seed, recipe),
            validation=[
                SampleKey(VALIDATION_STREAM, 0, index, label)
                for index, (_, label) in enumerate(validation)
            ],
            description={
                "data": f"{len(table)} labelled videos",
                "stalled": int(table["stalled"].sum()),
                "without_roi": n_failed,
                "undecidable": n_undecidable,
                "fold": f"{self.fold} of {self.n_folds}, stratified by {strata}",
            },
            notes=NOTES,
        )

    def _with_projects(self, table: pd.DataFrame) -> tuple[pd.DataFrame, str]:
        """The labels with ``project_id``, where a data set's metadata tell it."""
        from stallscan.data.dataset import find_table
        from stallscan.data.metadata import read_metadata

        path = find_table(self.data, "train_metadata") if self.data.is_dir() else None
        if path is None:
            return table, "label"
        projects = read_metadata(path)[["filename", "project_id"]]
        joined = table.merge(projects, on="filename", how="left", validate="one_to_one")
        if joined["project_id"].isna().any():
            name = joined.loc[joined["project_id"].isna(), "filename"].iloc[0]
            raise TableError(
                f"{path}: has no row for the labelled video {name}; add it, or remove the label"
            )
        return joined, "project and label"

    @property
    def _folder(self) -> Path:
        train = self.data / "train"
        return train if train.is_dir() else self.data

    def _store(self, run_dir: Path) -> Path:
        from stallscan.data.extract import ExtractOptions, extract_to_store
        from stallscan.data.store import is_store
        from stallscan.roi.options import RoiOptions

        if is_store(self.data):
            return self.data
        path = run_dir / "rois.lmdb"
        extract_to_store(
            [self._folder],
            path,
            ExtractOptions(),
            RoiOptions(),
            workers=max(self.workers, 1),
            progress=self.progress,
        )
        return path


class StoreRois(Dataset[tuple[Tensor, Tensor]]):
    """ROIs of a store; a training sample is drawn by its key among those of its label.

    Args:
        store: the ROIs.
        training: names and labels to draw from.
        validation: names and labels, taken by number.
        seed: of the run.
        recipe: decides the augmentation and Volume → network input.
    """

    def __init__(
        self,
        store: RoiStore,
        training: Sequence[Labelled],
        validation: Sequence[Labelled],
        seed: int,
        recipe: Recipe,
    ) -> None:
        self.store = store
        self.names = {label: [name for name, of in training if of is label] for label in Label}
        self.validation = list(validation)
        self.seed = seed
        self.preprocessing = recipe.preprocessing
        self.augmentation = preset(recipe.augmentation) if recipe.augmentation else None

    def __getitem__(self, key: SampleKey) -> tuple[Tensor, Tensor]:
        """``(c, z, y, x)`` float32 and the label, a float32 scalar."""
        rng = np.random.default_rng((self.seed, key.stream, key.epoch, key.number))
        if key.stream == VALIDATION_STREAM:
            name, _ = self.validation[key.number]
        else:
            names = self.names[key.label]
            name = names[int(rng.integers(len(names)))]
        volume = self.store[name].volume
        assert volume is not None, f"{name} has no ROI"  # those were left out
        augmentation = None if key.stream == VALIDATION_STREAM else self.augmentation
        array = network_input(volume, augmentation, self.preprocessing, rng)
        return array, torch.tensor(float(key.label))
