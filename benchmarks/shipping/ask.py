"""The models, and the score beside them, asked about ROIs."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import NamedTuple

import cv2
import torch

from stallscan.inference.predictor import Predictor, load_predictor
from stallscan.roi.persistence import persistence_score
from stallscan.roi.volume import Volume
from stallscan.simulate.phantom import phantom_roi
from stallscan.simulate.settings import Settings
from stallscan.simulate.truth import Truth
from stallscan.types import Label

SCORE = "persistence"
"""Beside the models' names: the one-line score of `stallscan.roi.persistence`."""

VALIDATION_SEED, TEST_SEED, ROBUSTNESS_SEED, TWO_WAYS_SEED = 6_001, 6_002, 6_003, 6_004
PLAIN_SEED = 6_006
"""First part of the seeds of each set; no training and no other script has them."""


class Job(NamedTuple):
    """One phantom and who is asked about it.

    Attributes:
        seed: of the phantom.
        label: its state.
        settings: its ranges.
        models: names or folders.
    """

    seed: tuple[int, ...]
    label: Label
    settings: Settings
    models: tuple[str, ...]


@functools.cache
def predictor_of(model: str, flips: int | None = None) -> Predictor:
    """One for each process; the model's own flips, unless they are given."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    return load_predictor(model, flips=flips)


def answers(volume: Volume, models: Iterable[str], *, flips: int | None = None) -> dict[str, float]:
    """Probabilities by model, and the score."""
    found = {model: predictor_of(model, flips)(volume).probability for model in models}
    return found | {SCORE: persistence_score(volume)}


def ask(job: Job) -> dict[str, object]:
    """A row: what is true of a phantom, and what was answered."""
    volume, truth = phantom_roi(job.seed, job.label, job.settings)
    return {**about(truth), **answers(volume, job.models)}


def about(truth: Truth) -> dict[str, object]:
    """What tables are made by."""
    return {"stalled": int(truth.stalled or 0), "kind": str(truth.kind)}


def labels_of(n: int, stalled_share: float) -> list[Label]:
    """The stalled ones first."""
    n_stalled = round(stalled_share * n)
    return [Label.STALLED] * n_stalled + [Label.FLOWING] * (n - n_stalled)
