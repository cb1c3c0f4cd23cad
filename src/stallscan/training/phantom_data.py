"""The phantom's endless set."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from stallscan.augment.evaluation import to_grey
from stallscan.errors import OptionError
from stallscan.roi.region import whole_frame
from stallscan.roi.resize import resize
from stallscan.roi.volume import Volume
from stallscan.simulate.phantom import phantom_clip, phantom_roi
from stallscan.simulate.settings import PRESETS
from stallscan.training._fields import closest
from stallscan.training.phantom_shelf import Shelf
from stallscan.training.recipe import Recipe
from stallscan.training.samples import (
    TRAIN_STREAM,
    VALIDATION_STREAM,
    Preparation,
    Sample,
    SampleKey,
    TrainingSet,
)
from stallscan.types import Label

NOTES = (
    "Trained on synthetic data alone (the stallscan phantom). Not validated on real data; not a "
    "medical device."
)

SHELF = "phantoms"
"""Folder of a run where scenes that come again are kept."""

NATURAL_SHARE = 1887 / 573_048
"""Of stalled videos in the competition's training set (paper, section 2.1)."""


class Phantom:
    """A run on the phantom: rendered on demand, no training sample twice unless the recipe says so.

    Args:
        fold: of an ensemble: another one has other samples, of training and validation.
        shelf_dir: where scenes that come again are kept, for several runs of one seed to share;
            None: in the run's folder.
    """

    def __init__(self, fold: int = 0, shelf_dir: Path | None = None) -> None:
        self.fold = fold
        self.shelf_dir = shelf_dir

    def of_fold(self, fold: int) -> Phantom:
        """The set of another fold."""
        return Phantom(fold, self.shelf_dir)

    def sharing(self, folder: Path) -> Phantom:
        """The same for several runs, whose scenes that come again are kept in one place."""
        return Phantom(self.fold, self.shelf_dir or folder / SHELF)

    def identity(self) -> dict[str, Any]:
        """The seed and the recipe decide everything else."""
        return {"phantom": "endless", "fold": self.fold}

    def open(self, run_dir: Path, recipe: Recipe, seed: int) -> TrainingSet:
        """Nothing is read or written until samples are drawn.

        Raises:
            OptionError: a preset that the phantom has not, or a validation set of one label.
        """
        _check(recipe)
        keys = validation_keys(recipe)
        comes_again = recipe.data.scenes is not None
        shelf = Shelf(self.shelf_dir or run_dir / SHELF) if comes_again else None
        return TrainingSet(
            dataset=PhantomRois(seed, recipe, self.fold, shelf),
            natural_share=NATURAL_SHARE,
            validation=keys,
            held_out=keys,
            names=[f"phantom-{self.fold}-{key.number:06d}" for key in keys],
            description={
                "data": "stallscan phantom, "
                + (f"{recipe.data.scenes:,} scenes" if comes_again else "endless"),
                "phantom": recipe.data.phantom,
                "validation_phantom": recipe.validation.phantom,
            },
            notes=NOTES,
        )


class PhantomRois(Dataset[Sample]):
    """ROIs rendered on demand; a sample depends on the seed, the fold and its key alone.

    Args:
        seed: of the run.
        recipe: decides the phantom's presets, the augmentation and Volume → network input.
        fold: of an ensemble.
        shelf: keeps what is rendered where scenes come again; None: nothing is kept.
    """

    def __init__(
        self, seed: int, recipe: Recipe, fold: int = 0, shelf: Shelf | None = None
    ) -> None:
        self.seed = seed
        self.fold = fold
        self.whole_frames = recipe.data.region == "full"
        depth, height, width = recipe.must_input.size
        self.frame_size = None if depth is None else (depth, height, width)
        self.scenes = recipe.data.scenes
        self.shelf = shelf
        self.prepare = Preparation(recipe)
        self.phantoms = {
            TRAIN_STREAM: recipe.data.phantoms,
            VALIDATION_STREAM: (recipe.validation.phantom,),
        }

    def __getitem__(self, key: SampleKey) -> Sample:
        """See `Sample`; labels are certain, so they are the targets."""
        own = self._seed_of(key.stream, key.epoch, key.number)
        where = own
        if key.stream == TRAIN_STREAM and self.scenes is not None:
            drawn = int(np.random.default_rng((*own, 2)).integers(self.scenes))
            where = self._seed_of(key.stream, 0, drawn)
        phantoms = self.phantoms[key.stream]
        preset = phantoms[where[3] % len(phantoms)]
        label = int(key.label)
        made = self._render if self.shelf is None else self._kept
        volume = made(where, key.label, preset)
        rng = None if key.stream == VALIDATION_STREAM else np.random.default_rng((*own, 1))
        return Sample(self.prepare(volume, rng), float(label), 1.0, label, key.number)

    def _seed_of(self, *where: int) -> tuple[int, ...]:
        return (self.seed, *where) + (self.fold,) * bool(self.fold)

    def _kept(self, where: tuple[int, ...], label: Label, preset: str) -> Volume:
        """From the shelf."""

        def render() -> Volume:
            volume = self._render(where, label, preset)
            if not is_colour:  # a third to keep and to read
                volume = dataclasses.replace(volume, array=to_grey(volume.array)[..., None])
            return volume

        assert self.shelf is not None
        is_colour = self.prepare.preprocessing.is_colour
        words = ("roi", "colour" if is_colour else "grey")
        if self.whole_frames:
            words = ("frame", *(self.frame_size or ()), words[1])
        name = "-".join(map(str, (preset, *where, label.word, *words)))
        return self.shelf.take(name, render)

    def _render(self, where: tuple[int, ...], label: Label, preset: str) -> Volume:
        settings = PRESETS[preset]
        if not self.whole_frames:
            return phantom_roi(where, label, settings)[0]
        clip, _ = phantom_clip(where, label, settings)
        frames, size = whole_frame(clip).crop(clip), self.frame_size
        # Whole frames are large: what the network will never see is not kept.
        return frames if size is None else resize(frames, size)


def validation_keys(recipe: Recipe) -> list[SampleKey]:
    """The fixed validation set, the stalled ones spread evenly over it.

    Raises:
        OptionError: too few samples for one stalled and one flowing.
    """
    chosen = recipe.validation
    ratio = chosen.flowing_per_stalled
    share = NATURAL_SHARE if ratio is None else 1 / (1 + ratio)
    stalled = [int((k + 1) * share + 1e-9) > int(k * share + 1e-9) for k in range(chosen.n)]
    if not any(stalled) or all(stalled):
        raise OptionError(
            f"recipe {recipe.name}: validation.n is {chosen.n}, of which {sum(stalled)} are "
            f"stalled at a share of {share:.2%}, needed is one of each label; set validation.n to "
            f"{int(np.ceil(1 / min(share, 1 - share)))} or more"
        )
    return [
        SampleKey(VALIDATION_STREAM, 0, number, Label(int(is_stalled)))
        for number, is_stalled in enumerate(stalled)
    ]


def _check(recipe: Recipe) -> None:
    for key, names in (
        ("data.phantom", recipe.data.phantoms),
        ("validation.phantom", (recipe.validation.phantom,)),
    ):
        for name in names:
            if name not in PRESETS:
                raise OptionError(
                    f"recipe {recipe.name}: {key} is {name!r}; {closest(name, PRESETS)}allowed are "
                    f"{', '.join(PRESETS)}"
                )
