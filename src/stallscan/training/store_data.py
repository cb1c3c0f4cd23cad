"""Labelled videos: a ROI store, or a folder whose ROIs are extracted into one first."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch.utils.data import Dataset

from stallscan.errors import OptionError, TrainingError
from stallscan.training.recipe import Recipe
from stallscan.training.samples import (
    TRAIN_STREAM,
    VALIDATION_STREAM,
    Preparation,
    Sample,
    SampleKey,
    TrainingSet,
)
from stallscan.training.video_table import read_video_table
from stallscan.types import Label, Size

if TYPE_CHECKING:
    import pandas as pd

    from stallscan.data.shards import Store

log = logging.getLogger(__name__)

ROIS = "rois.lmdb"
"""The store of what had to be extracted."""

NOTES = "Validated on one fold of its own data set alone; not a medical device."


@dataclass(frozen=True, slots=True, kw_only=True)
class Videos:
    """A run on labelled videos: one fold validates, the others train.

    Attributes:
        data: a ROI store, a folder of videos, or a data set, whose train/ is meant.
        labels: table of labels.
        metadata: table of projects, crowd scores, tiers and subsets; None: there is none.
        fold: the fold that validates, from 0; the recipe says how many there are.
        workers: processes that extract.
        rois_dir: where extracted ROIs go; None: into the run's folder.
        progress: called with (videos done, videos in all) while ROIs are extracted.
    """

    data: Path
    labels: Path
    metadata: Path | None = None
    fold: int = 0
    workers: int = 2
    rois_dir: Path | None = None
    progress: Callable[[int, int], None] | None = None

    def of_fold(self, fold: int) -> Videos:
        """The same with another fold for validation."""
        return dataclasses.replace(self, fold=fold)

    def sharing(self, folder: Path) -> Videos:
        """The same for several runs, whose ROIs are extracted once, into a folder."""
        return dataclasses.replace(self, rois_dir=folder)

    def identity(self) -> dict[str, Any]:
        """What decides the samples beside recipe and seed."""
        from stallscan.data.shards import open_store
        from stallscan.data.store import is_store
        from stallscan.data.videos import find_videos, fingerprint

        if is_store(self.data):
            found: object = dict(open_store(self.data).identity)
        else:
            paths = find_videos([self._folder])
            found = f"{len(paths)} videos, sha256 {fingerprint(paths)}"
        return {
            "data": found,
            "labels": _digest(self.labels),
            "metadata": None if self.metadata is None else _digest(self.metadata),
            "fold": self.fold,
        }

    def open(self, run_dir: Path, recipe: Recipe, seed: int) -> TrainingSet:
        """Extract what has to be, and deal the labelled videos out.

        Raises:
            InputError: labels and videos do not match, or the store is damaged or incomplete.
            OptionError: fewer videos of a label than folds, or no such fold.
            TrainingError: too few videos have a ROI.
        """
        from stallscan.data.shards import open_store

        if self.fold >= recipe.folds.n:
            raise OptionError(
                f"--folds is {self.fold}, allowed are 0 to {recipe.folds.n - 1} for "
                f"{recipe.folds.n} folds; choose one"
            )
        _refuse_what_phantoms_have(recipe)
        store = open_store(self._store(run_dir, recipe))
        _check_region(store, recipe)
        table, strata = read_video_table(self.labels, self.metadata, store, recipe)
        usable = np.array([store.summary(name).status != "failed" for name in table["filename"]])
        n_failed = int((~usable).sum())
        if n_failed:
            log.warning("%s: %d of %d videos have no ROI", store.path, n_failed, len(table))
        held_out = (table["fold"] == self.fold).to_numpy()
        parts = {"training": table[usable & ~held_out], "validation": table[usable & held_out]}
        for name, members in parts.items():
            for label in Label:
                if not (members["stalled"] == label).any():
                    raise TrainingError(
                        f"{store.path}: no {label.word} video for {name} in fold {self.fold} of "
                        f"{recipe.folds.n} ({n_failed} of {len(table)} videos have no ROI); choose "
                        "another fold, fewer folds, or label more videos"
                    )
        training, validation = parts["training"], parts["validation"]
        keys = [
            SampleKey(VALIDATION_STREAM, 0, number, Label(int(stalled)))
            for number, stalled in enumerate(validation["stalled"])
        ]
        return TrainingSet(
            dataset=StoreRois(store, training, validation["filename"].tolist(), seed, recipe),
            natural_share=float(training["stalled"].mean()),
            validation=_monitored(keys, recipe),
            held_out=keys,
            names=validation["filename"].tolist(),
            description={
                "data": f"{len(table)} labelled videos",
                "stalled": int(table["stalled"].sum()),
                "without_roi": n_failed,
                "fold": f"{self.fold} of {recipe.folds.n}, {strata}, seed {recipe.folds.seed}",
            },
            notes=NOTES,
        )

    @property
    def _folder(self) -> Path:
        train = self.data / "train"
        return train if train.is_dir() else self.data

    def _store(self, run_dir: Path, recipe: Recipe) -> Path:
        from stallscan.data.extract import ExtractOptions, extract_to_store
        from stallscan.data.store import is_store
        from stallscan.roi.options import RoiOptions

        if is_store(self.data):
            return self.data
        path = (self.rois_dir or run_dir) / ROIS
        size = recipe.must_input.size
        # Whole frames are large: what the network will never see is not stored.
        shrink = recipe.data.region == "full" and size[0] is not None
        extract_to_store(
            [self._folder],
            path,
            ExtractOptions(size=Size(*size) if shrink else None),  # type: ignore[arg-type]
            RoiOptions(roi=recipe.data.region),
            workers=max(self.workers, 1),
            progress=self.progress,
        )
        return path


class StoreRois(Dataset[Sample]):
    """ROIs of a store; a training sample is drawn by its key among those of its label.

    So the flowing ones, of which there are many more than an epoch shows, are drawn anew in each.

    Args:
        store: the ROIs.
        training: columns filename, stalled, target, weight and, to draw projects first, project_id.
        validation: names, taken by number.
        seed: of the run.
        recipe: decides the draw, the augmentation and Volume → network input.
    """

    def __init__(
        self,
        store: Store,
        training: pd.DataFrame,
        validation: Sequence[str],
        seed: int,
        recipe: Recipe,
    ) -> None:
        self.store = store
        self.names = training["filename"].tolist()
        self.targets = training["target"].to_numpy(np.float64)
        self.weights = training["weight"].to_numpy(np.float64)
        self.pools = {label: _pools(training, label, recipe) for label in Label}
        self.validation = list(validation)
        self.seed = seed
        self.prepare = Preparation(recipe)

    def __getitem__(self, key: SampleKey) -> Sample:
        """See `Sample`.

        Raises:
            StoreError: the entry is damaged.
        """
        label = int(key.label)
        if key.stream == VALIDATION_STREAM:
            volume = self._volume(self.validation[key.number])
            return Sample(self.prepare(volume, None), float(label), 1.0, label, key.number)
        rng = np.random.default_rng((self.seed, TRAIN_STREAM, key.epoch, key.number))
        pools = self.pools[key.label]
        pool = pools[int(rng.integers(len(pools)))] if len(pools) > 1 else pools[0]
        row = int(pool[int(rng.integers(len(pool)))])
        volume = self._volume(self.names[row])
        target, weight = float(self.targets[row]), float(self.weights[row])
        return Sample(self.prepare(volume, rng), target, weight, label, key.number)

    def _volume(self, name: str) -> Any:
        volume = self.store[name].volume
        assert volume is not None, f"{name} has no ROI"  # those were left out
        return volume


def _pools(table: pd.DataFrame, label: Label, recipe: Recipe) -> list[np.ndarray[Any, Any]]:
    """Rows of a label: all together, or one array for each project."""
    rows = np.flatnonzero(table["stalled"].to_numpy() == label)
    if not recipe.sampler.by_project:
        return [rows]
    projects = table["project_id"].to_numpy(str)[rows]
    return [rows[projects == project] for project in np.unique(projects)]


def _monitored(keys: list[SampleKey], recipe: Recipe) -> list[SampleKey]:
    """All stalled ones, and so many flowing ones as the recipe wants beside each."""
    ratio = recipe.validation.flowing_per_stalled
    if ratio is None:
        return keys
    flowing = [key for key in keys if key.label is Label.FLOWING]
    wanted = max(1, round(ratio * (len(keys) - len(flowing))))
    if wanted > len(flowing):
        log.warning(
            "validation has %d flowing videos, %d would be %g for each stalled one; all are taken",
            len(flowing),
            wanted,
            ratio,
        )
        return keys
    rng = np.random.default_rng((recipe.folds.seed, VALIDATION_STREAM))
    drawn = {flowing[index] for index in rng.permutation(len(flowing))[:wanted]}
    return [key for key in keys if key.label is Label.STALLED or key in drawn]


def _refuse_what_phantoms_have(recipe: Recipe) -> None:
    given = {
        "sampler.twins": recipe.sampler.twins,
        "data.scenes": recipe.data.scenes is not None,
    }
    found = [key for key, is_given in given.items() if is_given]
    if found:
        remedy = " ".join(f"{key}={_NONE[key]}" for key in found)
        raise OptionError(
            f"recipe {recipe.name}: {', '.join(found)} can be had of phantoms alone, whose truth "
            f"is known; for labelled videos --set {remedy}"
        )


_NONE = {"sampler.twins": "false", "data.scenes": "null"}


def _check_region(store: Store, recipe: Recipe) -> None:
    found = str(store.identity.get("roi", "outline"))
    if found != recipe.data.region:
        raise OptionError(
            f"{store.path}: was extracted with --roi {found}, recipe {recipe.name} has "
            f"data.region {recipe.data.region}; extract the videos anew with --roi "
            f"{recipe.data.region}, or choose another recipe"
        )


def _digest(path: Path) -> str:
    content = path.read_bytes() if path.is_file() else b""
    return f"sha256 {hashlib.sha256(content).hexdigest()[:16]}"
