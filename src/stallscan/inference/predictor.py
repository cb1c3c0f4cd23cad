"""One volume: preprocessing, networks, flips, probability, call."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from stallscan.augment.evaluation import Preprocessing, preprocess
from stallscan.augment.mirror import FLIPS, mirrored
from stallscan.errors import CheckpointError
from stallscan.inference.options import PredictOptions
from stallscan.models.card import ModelCard
from stallscan.models.checkpoint import DEFAULT_MODEL_DIR, load_checkpoint
from stallscan.models.ensemble import (
    ENSEMBLE_FILE,
    Combine,
    EnsembleCard,
    flat_members,
    is_ensemble,
    read_ensemble,
)
from stallscan.roi.volume import Volume

Inputs = dict[Preprocessing, NDArray[np.float32]]
"""One volume as the networks want it: ``(c, z, y, x)`` for each distinct preprocessing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """The answer for one vessel.

    Attributes:
        probability: that it is stalled, 0–1; the mean over networks and flips, to six digits.
        stalled: 1 where the probability reaches the threshold, else 0.
    """

    probability: float
    stalled: int


class LoadedMember:
    """A network that answers, alone or among others.

    Args:
        model: the network; put into evaluation mode.
        card: its model.json.
        weight: how much it counts, above 0.

    Raises:
        CheckpointError: the card's preprocessing does not make sense.
    """

    def __init__(self, model: nn.Module, card: ModelCard, weight: float = 1.0) -> None:
        # The faster layout for 3D convolutions, on CPUs too.
        self.model = model.eval().to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.weight = weight
        try:
            self.preprocessing = Preprocessing.from_dict(card.preprocessing)
        except (TypeError, ValueError) as error:
            raise CheckpointError(
                f"model.json of {card.name}: preprocessing is {card.preprocessing} ({error}); "
                "export the model anew"
            ) from error


class Predictor:
    """One network, or several that answer together, with all that it takes to ask them.

    Args:
        model: the network, or the members of an ensemble.
        card: its model.json, or the ensemble's ensemble.json.
        flips: mirrored copies that are averaged, 1, 2, 4 or 8; None takes the card's.
        threshold: probability from which a vessel is called stalled; None takes the card's.

    Raises:
        OptionError: ``flips`` or ``threshold`` outside what is allowed.
        CheckpointError: the card's preprocessing does not make sense.
    """

    def __init__(
        self,
        model: nn.Module | Sequence[LoadedMember],
        card: ModelCard | EnsembleCard,
        *,
        flips: int | None = None,
        threshold: float | None = None,
    ) -> None:
        PredictOptions(flips=flips, threshold=threshold)  # the one place that checks them
        self.card = card
        self.flips = card.flips if flips is None else flips
        self.threshold = card.threshold if threshold is None else threshold
        self.combine: Combine = "probability"
        if isinstance(card, EnsembleCard):
            assert not isinstance(model, nn.Module), "an ensemble.json needs its members"
            self.members, self.combine = tuple(model), card.combine
        else:
            assert isinstance(model, nn.Module), "a model.json is of one network"
            self.members = (LoadedMember(model, card),)

    def __call__(self, volume: Volume) -> Prediction:
        """Ask about one ROI.

        Example:
            >>> predictor = stallscan.load_predictor()
            >>> predictor(stallscan.find_roi(clip).crop(clip)).probability
        """
        return self.predict(self.prepare(volume))

    def prepare(self, volume: Volume) -> Inputs:
        """Make a volume what `predict` takes; safe to call in threads."""
        distinct = dict.fromkeys(member.preprocessing for member in self.members)
        return {preprocessing: preprocess(volume, preprocessing) for preprocessing in distinct}

    @torch.inference_mode()
    def predict(self, inputs: Inputs) -> Prediction:
        """Ask about one prepared volume.

        The flips of one vessel are a batch, and nothing else is in it: a probability never depends
        on the other videos of a run. Nor does it depend on the order of the members: what they say
        is weighed in float64 and summed by `math.fsum`, which rounds once.
        """
        answers: list[tuple[float, float]] = []  # weight, mean over the flips
        for preprocessing, array in inputs.items():
            copies = np.stack(
                [mirrored(array, axes) for axes in FLIPS[: self.flips]]
            )  # (n, c, z, y, x)
            batch = torch.from_numpy(copies).to(memory_format=torch.channels_last_3d)
            for member in self.members:
                if member.preprocessing == preprocessing:
                    logits = member.model(batch).double()
                    each = logits if self.combine == "logit" else torch.sigmoid(logits)
                    answers.append((member.weight, each.mean().item()))
        total = math.fsum(weight for weight, _ in answers)
        mean = math.fsum(weight * answer for weight, answer in answers) / total
        if self.combine == "logit":
            mean = torch.sigmoid(torch.tensor(mean, dtype=torch.float64)).item()
        probability = round(mean, 6)
        return Prediction(probability=probability, stalled=int(probability >= self.threshold))


def load_predictor(
    model_dir: str | Path | None = None,
    *,
    flips: int | None = None,
    threshold: float | None = None,
) -> Predictor:
    """Load a checkpoint folder, an ensemble folder, or the model in the box.

    Raises:
        CheckpointError: the folder is missing, damaged or inconsistent, or a member of it is.
        OptionError: ``flips`` or ``threshold`` outside what is allowed.
    """
    folder = DEFAULT_MODEL_DIR if model_dir is None else Path(model_dir)
    if not is_ensemble(folder):
        return Predictor(*load_checkpoint(folder), flips=flips, threshold=threshold)
    card = read_ensemble(folder)
    members = [_load_member(folder, *member) for member in flat_members(folder)]
    return Predictor(members, card, flips=flips, threshold=threshold)


def _load_member(folder: Path, place: Path, weight: float) -> LoadedMember:
    try:
        return LoadedMember(*load_checkpoint(place), weight)
    except CheckpointError as error:
        member = place.relative_to(folder).as_posix()
        raise CheckpointError(
            f"{folder / ENSEMBLE_FILE}: its member {member!r} cannot be used: {error}"
        ) from error
