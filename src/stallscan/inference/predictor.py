"""One volume: preprocessing, networks, flips, probability, call."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from stallscan.augment.evaluation import Preprocessing
from stallscan.augment.mirror import FLIPS, mirrored
from stallscan.errors import OptionError
from stallscan.inference.engine import make_engine
from stallscan.inference.member import LoadedMember, load_members
from stallscan.inference.options import EngineName, Precision, PredictOptions
from stallscan.inference.prepare import Inputs, make_inputs
from stallscan.models.box import find_model
from stallscan.models.card import ModelCard
from stallscan.models.ensemble import Combine, EnsembleCard
from stallscan.roi.volume import Volume

_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """The answer for one vessel.

    Attributes:
        probability: that it is stalled, 0–1; the mean over networks and flips, calibrated where
            the model says how, to six digits.
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
        device: "cpu", "cuda", "cuda:1"; "auto" takes a GPU that is there, if the engine is torch.
        precision: of the computation, bf16 and fp16 on a GPU alone.

    Raises:
        OptionError: ``flips``, ``threshold``, ``engine``, ``device`` or ``precision`` outside what
            is allowed, an engine that is not installed, or ``stop_early`` of a mean of logits,
            which has no bounds.
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
        device: str = "cpu",
        precision: Precision = "float32",
    ) -> None:
        # The one place that checks them.
        PredictOptions(flips=flips, threshold=threshold, device=device, precision=precision)
        self.members = tuple(members)
        self.card = card
        self.flips = card.flips if flips is None else flips
        self.threshold = card.threshold if threshold is None else threshold
        self.combine: Combine = card.combine if isinstance(card, EnsembleCard) else "probability"
        if stop_early:
            require_bounds(card)
        self.stop_early = stop_early
        self.engine = engine
        self.preprocessings = tuple(dict.fromkeys(member.preprocessing for member in self.members))
        self._engines = [
            make_engine(member.source, engine, device=device, precision=precision)
            for member in self.members
        ]

    def __call__(self, volume: Volume) -> Prediction:
        """Ask about one ROI.

        Example:
            >>> predictor = stallscan.load_predictor()
            >>> predictor(stallscan.find_roi(clip).crop(clip)).probability
        """
        return self.predict(self.prepare(volume))

    def prepare(self, volume: Volume) -> Inputs:
        """Make a volume what `predict` takes."""
        return make_inputs(volume, self.preprocessings)

    def check(self, inputs: Inputs) -> None:
        """Refuse what a network cannot take.

        Raises:
            OptionError: the volume is too thin for a network.
        """
        for member in self.members:
            member.model.feature_size(inputs[member.preprocessing].shape[1:])

    def predict(self, inputs: Inputs) -> Prediction:
        """Ask about one prepared volume, whose flips are a batch.

        Raises:
            OptionError: the volume is too thin for a network.
        """
        self.check(inputs)
        return self.predict_batch([inputs])[0]

    def predict_batch(self, vessels: Sequence[Inputs]) -> list[Prediction]:
        """Ask about several prepared and checked volumes at once; those of one shape are a batch.

        What the members say of a vessel is weighed in float64 and summed by `math.fsum`, which
        rounds once: a probability does not depend on their order. Of the other vessels in a batch
        it depends by the rounding of the engine.

        Raises:
            OptionError: a batch does not fit into the memory of a GPU.
        """
        alike: dict[tuple[tuple[int, ...], ...], list[int]] = defaultdict(list)
        for place, inputs in enumerate(vessels):
            alike[tuple(array.shape for array in inputs.values())].append(place)
        found: dict[int, Prediction] = {}
        for places in alike.values():
            predictions = self._predict_alike([vessels[place] for place in places])
            found.update(zip(places, predictions, strict=True))
        return [found[place] for place in range(len(vessels))]

    def _predict_alike(self, vessels: Sequence[Inputs]) -> list[Prediction]:
        whole = math.fsum(member.weight for member in self.members)
        # For each vessel, of each member that was asked: weight, mean over the flips.
        answers: list[list[tuple[float, float]]] = [[] for _ in vessels]
        open_ = list(range(len(vessels)))
        copies: dict[Preprocessing, NDArray[np.float32]] = {}
        for member, engine in zip(self.members, self._engines, strict=True):
            seen = member.preprocessing
            if seen not in copies:
                copies[seen] = self._mirrored([vessels[place][seen] for place in open_])
            logits = engine(copies[seen]).astype(np.float64)
            each = logits if self.combine == "logit" else expit(logits)
            means = each.reshape(len(open_), self.flips).mean(axis=1)
            for place, mean in zip(open_, means, strict=True):
                answers[place].append((member.weight, float(mean)))
            if self.stop_early:
                left = [place for place in open_ if not self._is_decided(answers[place], whole)]
                if not left:
                    break
                if len(left) < len(open_):
                    open_, copies = left, {}
        return [self._conclude(given) for given in answers]

    def _mirrored(self, arrays: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """``(vessels × flips, c, z, y, x)``, the flips of a vessel side by side."""
        return np.stack([mirrored(array, axes) for array in arrays for axes in FLIPS[: self.flips]])

    def _conclude(self, answers: list[tuple[float, float]]) -> Prediction:
        total = math.fsum(weight for weight, _ in answers)
        mean = math.fsum(weight * answer for weight, answer in answers) / total
        if self.combine == "logit":
            mean = float(expit(mean))
        probability = round(self._calibrated(mean), 6)
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
        least, most = self._calibrated(least), self._calibrated(most)
        return least - _ROUNDING >= self.threshold or most + _ROUNDING < self.threshold

    def _calibrated(self, probability: float) -> float:
        calibration = self.card.calibration
        return probability if calibration is None else calibration(probability)


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
    device: str = "cpu",
    precision: Precision = "float32",
) -> Predictor:
    """Load a checkpoint folder, an ensemble folder, or a model in the box: "default" or "fast".

    Raises:
        CheckpointError: the folder is missing, damaged or inconsistent, or a member of it is.
        OptionError: an option outside what is allowed, or not to be had on this machine.
    """
    members, card = load_members(find_model(model_dir))
    return Predictor(
        members,
        card,
        flips=flips,
        threshold=threshold,
        engine=engine,
        device=device,
        precision=precision,
    )
