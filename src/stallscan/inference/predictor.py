"""One volume: preprocessing, network, flips, probability, call."""

from __future__ import annotations

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
from stallscan.roi.volume import Volume


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """The answer for one vessel.

    Attributes:
        probability: that it is stalled, 0–1; the mean over the flips, to six digits.
        stalled: 1 where the probability reaches the threshold, else 0.
    """

    probability: float
    stalled: int


class Predictor:
    """A network with everything it needs to be asked about a volume.

    Args:
        model: the network; put into evaluation mode.
        card: its model.json.
        flips: mirrored copies that are averaged, 1, 2, 4 or 8; None takes the card's.
        threshold: probability from which a vessel is called stalled; None takes the card's.

    Raises:
        OptionError: ``flips`` or ``threshold`` outside what is allowed.
        CheckpointError: the card's preprocessing does not make sense.
    """

    def __init__(
        self,
        model: nn.Module,
        card: ModelCard,
        *,
        flips: int | None = None,
        threshold: float | None = None,
    ) -> None:
        # The faster layout for 3D convolutions, on CPUs too.
        self.model = model.eval().to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.card = card
        PredictOptions(flips=flips, threshold=threshold)  # the one place that checks them
        self.flips = card.flips if flips is None else flips
        self.threshold = card.threshold if threshold is None else threshold
        try:
            self.preprocessing = Preprocessing.from_dict(card.preprocessing)
        except (TypeError, ValueError) as error:
            raise CheckpointError(
                f"model.json of {card.name}: preprocessing is {card.preprocessing} ({error}); "
                "export the model anew"
            ) from error

    def __call__(self, volume: Volume) -> Prediction:
        """Ask about one ROI.

        Example:
            >>> predictor = stallscan.load_predictor()
            >>> predictor(stallscan.find_roi(clip).crop(clip)).probability
        """
        return self.predict(preprocess(volume, self.preprocessing))

    @torch.inference_mode()
    def predict(self, inputs: NDArray[np.float32]) -> Prediction:
        """Ask about one preprocessed input ``(c, z, y, x)``.

        The flips of one vessel are a batch, and nothing else is in it: a probability never depends
        on the other videos of a run.
        """
        copies = np.stack(
            [mirrored(inputs, axes) for axes in FLIPS[: self.flips]]
        )  # (n, c, z, y, x)
        batch = torch.from_numpy(copies).to(memory_format=torch.channels_last_3d)
        probability = round(torch.sigmoid(self.model(batch).double()).mean().item(), 6)
        return Prediction(probability=probability, stalled=int(probability >= self.threshold))


def load_predictor(
    model_dir: str | Path | None = None,
    *,
    flips: int | None = None,
    threshold: float | None = None,
) -> Predictor:
    """Load a checkpoint folder, or the model in the box.

    Raises:
        CheckpointError: the folder is missing, damaged or inconsistent.
        OptionError: ``flips`` or ``threshold`` outside what is allowed.
    """
    model, card = load_checkpoint(DEFAULT_MODEL_DIR if model_dir is None else Path(model_dir))
    return Predictor(model, card, flips=flips, threshold=threshold)
