"""The phantom's endless set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from stallscan.errors import OptionError
from stallscan.roi.region import whole_frame
from stallscan.roi.volume import Volume
from stallscan.simulate.phantom import phantom_clip, phantom_roi
from stallscan.simulate.settings import PRESETS
from stallscan.training._fields import closest
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
    "Trained on synthetic data alone (the stallscan phantom). Not validated on real data beyond "
    "two short clips; not a medical device."
)

NATURAL_SHARE = 1887 / 573_048
"""Of stalled videos in the competition's training set (paper, section 2.1)."""


class Phantom:
    """A run on the phantom: rendered on demand, no training sample twice.

    Args:
        fold: of an ensemble: another one has other samples, of training and validation.
    """

    def __init__(self, fold: int = 0) -> None:
        self.fold = fold

    def of_fold(self, fold: int) -> Phantom:
        """The set of another fold."""
        return Phantom(fold)

    def sharing(self, folder: Path) -> Phantom:
        """The same: nothing is extracted that runs could share."""
        return self

    def identity(self) -> dict[str, Any]:
        """The seed and the recipe decide everything else."""
        return {"phantom": "endless", "fold": self.fold}

    def open(self, run_dir: Path, recipe: Recipe, seed: int) -> TrainingSet:
        """Nothing is read or written.

        Raises:
            OptionError: a preset that the phantom has not, or a validation set of one label.
        """
        _check(recipe)
        keys = validation_keys(recipe)
        return TrainingSet(
            dataset=PhantomRois(seed, recipe, self.fold),
            natural_share=NATURAL_SHARE,
            validation=keys,
            held_out=keys,
            names=[f"phantom-{self.fold}-{key.number:06d}" for key in keys],
            description={
                "data": "stallscan phantom, endless",
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
    """

    def __init__(self, seed: int, recipe: Recipe, fold: int = 0) -> None:
        self.seed = seed
        self.fold = fold
        self.whole_frames = recipe.data.region == "full"
        self.prepare = Preparation(recipe)
        self.settings = {
            TRAIN_STREAM: PRESETS[recipe.data.phantom],
            VALIDATION_STREAM: PRESETS[recipe.validation.phantom],
        }

    def __getitem__(self, key: SampleKey) -> Sample:
        """See `Sample`; labels are certain, so they are the targets."""
        where = (self.seed, key.stream, key.epoch, key.number) + (self.fold,) * bool(self.fold)
        volume = self._render(where, key)
        rng = np.random.default_rng((*where, 1)) if key.stream == TRAIN_STREAM else None
        label = int(key.label)
        return Sample(self.prepare(volume, rng), float(label), 1.0, label, key.number)

    def _render(self, where: tuple[int, ...], key: SampleKey) -> Volume:
        settings = self.settings[key.stream]
        if not self.whole_frames:
            return phantom_roi(where, key.label, settings)[0]
        clip, _ = phantom_clip(where, key.label, settings)
        return whole_frame(clip).crop(clip)


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
    for key, name in (
        ("data.phantom", recipe.data.phantom),
        ("validation.phantom", recipe.validation.phantom),
    ):
        if name not in PRESETS:
            raise OptionError(
                f"recipe {recipe.name}: {key} is {name!r}; {closest(name, PRESETS)}allowed are "
                f"{', '.join(PRESETS)}"
            )
