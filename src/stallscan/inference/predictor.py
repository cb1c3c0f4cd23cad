"""One volume: preprocessing, networks, flips, probability, call."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from stallscan.augment.evaluation import Preprocessing, preprocess
from stallscan.augment.mirror import FLIPS, mirrored
from stallscan.errors import OptionError
from stallscan.inference.engine import make_engine
from stallscan.inference.member import LoadedMember, load_members
from stallscan.inference.options import EngineName, PredictOptions
from stallscan.models.card import ModelCard
from stallscan.models.checkpoint import DEFAULT_MODEL_DIR
from stallscan.models.ensemble import Combine, EnsembleCard
from stallscan.roi.volume import Volume

Inputs = dict[Preprocessing, NDArray[np.float32]]
"""One volume as the networks want it: ``(c, z, y, x)`` for each distinct preprocessing."""

_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """The answer for one vessel.

    Attributes:
        probability: that it is stalled, 0–1; the mean over networks and flips, to six digits.
        stalled: 1 where the probability reaches the threshold, else 0.
        n_networks: that were asked: all members, or fewer where the rest could not change the call.
    """

    probability: float
    stalled: int
    n_networks: int = 1


class Predictor:
    """One network, or several that answer together, with all that it takes to ask them.

    Args:
        members: the network, or those of an ensemble.
        card: its model.json, or the ensemble's ensemble.json.
        flips: mirrored copies that are averaged, 1, 2, 4 or 8; None takes the card's.
        threshold: probability from which a vessel is called stalled; None takes the card's.
        stop_early: ask no further members once they cannot change the call; the probability is then
            that of the members asked.
        engine: what computes the networks. Probabilities of two engines differ by rounding, at most
            by about 1e-5.

    Raises:
        OptionError: ``flips``, ``threshold`` or ``engine`` outside what is allowed, an engine that
            is not installed, or ``stop_early`` of a mean of logits, which has no bounds.
    """

    def __init__(
        self,
        members: Iterable[LoadedMember],
        card: ModelCard | EnsembleCard,
        *,
        flips: int | None = None,
        threshold: float | None = None,
        stop_early: bool = False,
        engine: EngineName = "torch",
    ) -> None:
        PredictOptions(flips=flips, threshold=threshold)  # the one place that checks them
        self.members = tuple(members)
        self.card = card
        self.flips = card.flips if flips is None else flips
        self.threshold = card.threshold if threshold is None else threshold
        self.combine: Combine = card.combine if isinstance(card, EnsembleCard) else "probability"
        if stop_early:
            require_bounds(card)
        self.stop_early = stop_early
        self.engine = engine
        self._engines = [make_engine(member.model, engine) for member in self.members]

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

    def predict(self, inputs: Inputs) -> Prediction:
        """Ask about one prepared volume.

        The flips of one vessel are a batch, and nothing else is in it: a probability never depends
        on the other videos of a run. Nor does it depend on the order of the members: what they say
        is weighed in float64 and summed by `math.fsum`, which rounds once.

        Raises:
            OptionError: the volume is too thin for a network.
        """
        whole = math.fsum(member.weight for member in self.members)
        copies = {
            preprocessing: np.stack([mirrored(array, axes) for axes in FLIPS[: self.flips]])
            for preprocessing, array in inputs.items()
        }  # (n, c, z, y, x)
        for member in self.members:  # refuses a stack that is too thin before any is asked
            member.model.feature_size(inputs[member.preprocessing].shape[1:])
        answers: list[tuple[float, float]] = []  # weight, mean over the flips
        for member, engine in zip(self.members, self._engines, strict=True):
            logits = engine(copies[member.preprocessing]).astype(np.float64)
            each = logits if self.combine == "logit" else expit(logits)
            answers.append((member.weight, float(each.mean())))
            if self.stop_early and self._is_decided(answers, whole):
                break
        total = math.fsum(weight for weight, _ in answers)
        mean = math.fsum(weight * answer for weight, answer in answers) / total
        if self.combine == "logit":
            mean = float(expit(mean))
        probability = round(mean, 6)
        return Prediction(
            probability=probability,
            stalled=int(probability >= self.threshold),
            n_networks=len(answers),
        )

    def _is_decided(self, answers: list[tuple[float, float]], whole: float) -> bool:
        """Whether the call is the same if all members left say 0, and if all say 1."""
        least = math.fsum(weight * answer for weight, answer in answers) / whole
        most = least + 1 - math.fsum(weight for weight, _ in answers) / whole
        # Probabilities are rounded to six digits before they are compared with the threshold.
        return least - _ROUNDING >= self.threshold or most + _ROUNDING < self.threshold


def require_bounds(card: ModelCard | EnsembleCard) -> None:
    """Refuse to stop early where members left may say anything.

    Raises:
        OptionError: the ensemble averages logits.
    """
    if isinstance(card, EnsembleCard) and card.combine == "logit":
        raise OptionError(
            f"{card.name}: --stop-early is on and the ensemble averages logits, allowed are means "
            "of probabilities, whose bounds are known; leave --stop-early out"
        )


def load_predictor(
    model_dir: str | Path | None = None,
    *,
    flips: int | None = None,
    threshold: float | None = None,
    engine: EngineName = "torch",
) -> Predictor:
    """Load a checkpoint folder, an ensemble folder, or the model in the box.

    Raises:
        CheckpointError: the folder is missing, damaged or inconsistent, or a member of it is.
        OptionError: ``flips``, ``threshold`` or ``engine`` outside what is allowed, or an engine
            that is not installed.
    """
    members, card = load_members(DEFAULT_MODEL_DIR if model_dir is None else Path(model_dir))
    return Predictor(members, card, flips=flips, threshold=threshold, engine=engine)
