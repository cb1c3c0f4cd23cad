"""The phantom's endless set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from stallscan.augment.presets import preset
from stallscan.simulate.phantom import phantom_roi
from stallscan.simulate.settings import PRESETS
from stallscan.training.recipe import Recipe
from stallscan.training.samples import (
    TRAIN_STREAM,
    VALIDATION_STREAM,
    SampleKey,
    TrainingSet,
    network_input,
)
from stallscan.types import Label

NOTES = (
    "Trained on synthetic data alone (the stallscan phantom). Not validated on real data beyond "
    "two short clips; not a medical device."
)


class Phantom:
    """A run on the phantom: rendered on demand, no training sample twice."""

    def identity(self) -> dict[str, Any]:
        """The seed and the recipe decide everything."""
        return {}

    def open(self, run_dir: Path, recipe: Recipe, seed: int) -> TrainingSet:
        """Nothing is read or written."""
        return TrainingSet(
            dataset=PhantomRois(seed, recipe),
            validation=validation_keys(recipe.n_validation),
            description={
                "data": "stallscan phantom, endless",
                "phantom": recipe.phantom,
                "validation_phantom": recipe.validation_phantom,
            },
            notes=NOTES,
        )


class PhantomRois(Dataset[tuple[Tensor, Tensor]]):
    """ROIs rendered on demand; a sample depends on the seed and its key alone.

    Args:
        seed: of the run.
        recipe: decides the phantom's presets, the augmentation and Volume → network input.
    """

    def __init__(self, seed: int, recipe: Recipe) -> None:
        self.seed = seed
        self.preprocessing = recipe.preprocessing
        self.augmentation = preset(recipe.augmentation) if recipe.augmentation else None
        self.settings = {
            TRAIN_STREAM: PRESETS[recipe.phantom],
            VALIDATION_STREAM: PRESETS[recipe.validation_phantom],
        }

    def __getitem__(self, key: SampleKey) -> tuple[Tensor, Tensor]:
        """``(c, z, y, x)`` float32 and the label, a float32 scalar."""
        where = (self.seed, key.stream, key.epoch, key.number)
        volume, _ = phantom_roi(where, key.label, self.settings[key.stream])
        augmentation = self.augmentation if key.stream == TRAIN_STREAM else None
        rng = np.random.default_rng((*where, 1))
        array = network_input(volume, augmentation, self.preprocessing, rng)
        return array, torch.tensor(float(key.label))


def validation_keys(n: int) -> list[SampleKey]:
    """The fixed validation set: flowing and stalled in turn."""
    return [SampleKey(VALIDATION_STREAM, 0, index, Label(index % 2)) for index in range(n)]
