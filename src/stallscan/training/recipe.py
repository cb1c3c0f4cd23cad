"""Recipes: everything that decides a training run, as data."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stallscan.augment.evaluation import Preprocessing
from stallscan.errors import OptionError


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A way to train one network.

    Attributes:
        architecture: registry name of the network.
        model_options: arguments of `stallscan.models.create_model`.
        preprocessing: Volume → network input.
        augmentation: preset of `stallscan.augment` for training samples; None shows them as they
            are.
        phantom: preset of the phantoms that it trains on, `stallscan.simulate.PRESETS`.
        validation_phantom: preset of those that it is validated on.
        batch_size: samples in a batch.
        batches_per_epoch: an epoch is a number of batches, for the phantom is endless.
        max_epochs: end of the cosine schedule.
        patience: epochs without a better validation AUC after which training stops.
        stalled_share: probability that a training sample is stalled.
        n_validation: validation ROIs, half of them stalled.
        learning_rate: peak, after one epoch of warm-up.
        weight_decay: AdamW's.
        label_smoothing: distance of the targets from 0 and 1.
    """

    architecture: str
    model_options: dict[str, Any] = field(default_factory=dict)
    preprocessing: Preprocessing
    augmentation: str | None = "mirror3"
    phantom: str = "randomised"
    validation_phantom: str = "clogloss"
    batch_size: int = 16
    batches_per_epoch: int = 40
    max_epochs: int = 50
    patience: int = 12
    stalled_share: float = 0.5
    n_validation: int = 400
    learning_rate: float = 1e-3
    weight_decay: float = 0.02
    label_smoothing: float = 0.02


RECIPES: dict[str, Recipe] = {
    # Half an hour on two cores: a ResNet18-3D of quarter width on grey, change and outline mask.
    "cpu-small": Recipe(
        architecture="resnet18",
        model_options={"in_channels": 3, "width": 0.25, "dropout": 0.1},
        preprocessing=Preprocessing(size=(48, 64, 64)),
        phantom="clogloss",  # of the randomised one so small a network learns next to nothing
    ),
    # Two steps of a tiny network: proves that an installation can train.
    "smoke": Recipe(
        architecture="resnet18",
        model_options={"in_channels": 3, "width": 0.0625, "dropout": 0.2},
        preprocessing=Preprocessing(size=(16, 32, 32)),
        batch_size=4,
        batches_per_epoch=2,
        max_epochs=2,
        n_validation=8,
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """Options of `stallscan train`."""

    recipe: str = "cpu-small"
    """Name of the recipe."""
    seed: int = 0
    """Decides the initial weights and every sample."""
    max_epochs: int | None = None
    """Stop earlier (or later) than the recipe does."""
    start: Path | None = None
    """Checkpoint folder whose weights are the first ones; random ones by default."""
    workers: int = 2
    """Processes that make samples; 0 makes them in the training process."""
    device: str = "auto"
    """Lightning accelerator: auto, cpu, gpu."""
    fold: int = 0
    """Of labelled videos: the fold that validates, from 0."""
    n_folds: int = 5
    """Of labelled videos: how many folds, stratified by label."""

    def __post_init__(self) -> None:
        if self.recipe not in RECIPES:
            close = difflib.get_close_matches(self.recipe, RECIPES, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise OptionError(
                f"--recipe {self.recipe!r} is unknown; {hint}choose from {', '.join(RECIPES)}"
            )
        if not 0 <= self.seed < 2**31:  # with the step's number it must fit torch's 64 bits
            raise OptionError(
                f"--seed is {self.seed}, allowed are 0 to {2**31 - 1}; choose another"
            )
        if self.n_folds < 2:
            raise OptionError(f"--n-folds is {self.n_folds}, allowed are 2 and above; 5 is usual")
        if not 0 <= self.fold < self.n_folds:
            raise OptionError(
                f"--fold is {self.fold}, allowed are 0 to {self.n_folds - 1} for {self.n_folds} "
                "folds; choose one"
            )
        if self.max_epochs is not None and self.max_epochs < 1:
            raise OptionError(
                f"--max-epochs is {self.max_epochs}, allowed are 1 and above; leave it out to "
                "follow the recipe"
            )
        if self.workers < 0:
            raise OptionError(
                f"--workers is {self.workers}, allowed are 0 and above; 0 renders in the training "
                "process"
            )
