"""A training set that costs nothing: noise, brighter where the vessel is stalled."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from stallscan.training.recipe import Recipe
from stallscan.training.recipe_files import load_recipe
from stallscan.training.samples import VALIDATION_STREAM, Sample, SampleKey, TrainingSet
from stallscan.types import Label

N_HELD_OUT = 8


def tiny_recipe(*overrides: str, name: str = "smoke") -> Recipe:
    """The smoke recipe without what makes it slow, and with some keys set."""
    recipe = load_recipe(name, ["augmentation=null", "stop.patience=null", *overrides])
    assert isinstance(recipe, Recipe)
    return recipe


def noise_sample(seed: int, fold: int, shape: Sequence[int], key: SampleKey) -> Sample:
    """Decided by its arguments alone, as the samples of a real set are."""
    rng = np.random.default_rng((seed, fold, key.stream, key.epoch, key.number))
    values = rng.normal(0.3 * key.label, 1.0, shape).astype(np.float32)
    return Sample(torch.from_numpy(values), float(key.label), 1.0, int(key.label), key.number)


class NoiseSamples(Dataset[Sample]):
    """`SampleKey` → `Sample`."""

    def __init__(self, seed: int, fold: int, recipe: Recipe) -> None:
        self.where = seed, fold
        self.shape = (len(recipe.must_input.channels), *recipe.must_input.size)

    def __getitem__(self, key: SampleKey) -> Sample:
        return noise_sample(*self.where, self.shape, key)


class Noise:
    """A source of eight held-out samples in each fold; the last two do not judge epochs."""

    def __init__(self, fold: int = 0, samples: type[NoiseSamples] = NoiseSamples) -> None:
        self.fold = fold
        self.samples = samples

    def of_fold(self, fold: int) -> Noise:
        return Noise(fold, self.samples)

    def sharing(self, folder: Path) -> Noise:
        return self

    def identity(self) -> dict[str, Any]:
        return {"data": "noise", "fold": self.fold}

    def open(self, run_dir: Path, recipe: Recipe, seed: int) -> TrainingSet:
        keys = [
            SampleKey(VALIDATION_STREAM, 0, number, Label(number % 2))
            for number in range(N_HELD_OUT)
        ]
        return TrainingSet(
            dataset=self.samples(seed, self.fold, recipe),
            natural_share=0.25,
            validation=keys[:-2],
            held_out=keys,
            names=[f"v{self.fold}{key.number}.mp4" for key in keys],
            description={"data": "noise", "fold": f"{self.fold} of {recipe.folds.n}"},
            notes="Noise.",
        )
