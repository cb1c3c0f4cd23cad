"""What is held out is asked about once, in its order, each sample alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import matthews_corrcoef, roc_auc_score
from torch import nn
from torch.utils.data import Dataset

from noise_set import Noise, noise_sample, tiny_recipe
from stallscan.models import create_model
from stallscan.training.predictions import held_out_table, predict, scores, write_table
from stallscan.training.samples import Kept, Sample, SampleKey, TrainingSet, keep
from stallscan.types import Label

pytestmark = pytest.mark.usefixtures("quick_runs")
KEYS = [SampleKey(1, 0, number, Label(number % 2)) for number in range(5)]


class OwnDepths(Dataset[Sample]):
    """Samples of 4, 5, 6 … slices."""

    def __getitem__(self, key: SampleKey) -> Sample:
        return noise_sample(0, 0, (2, 4 + key.number, 8, 8), key)


class Mean(nn.Module):
    """The mean of all voxels, times something."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.factor * inputs.mean(dim=(1, 2, 3, 4))[:, None]


def asked(*models: nn.Module, dataset: Dataset[Sample], workers: int = 0) -> np.ndarray:
    kept = dataset if isinstance(dataset, Kept) else Kept(dataset, {})
    return predict(models, kept, KEYS, device=torch.device("cpu"), workers=workers)


def sigmoid(logit: float) -> float:
    return 1 / (1 + np.exp(-logit))


def test_probabilities_come_in_the_order_of_the_keys_and_depths_may_differ() -> None:
    data = OwnDepths()
    expected = [sigmoid(3 * data[key].input.mean().item()) for key in KEYS]
    np.testing.assert_allclose(asked(Mean(3), dataset=data), expected, rtol=1e-5)
    assert (asked(Mean(3), dataset=data, workers=1) == asked(Mean(3), dataset=data)).all()


def test_several_networks_are_averaged_as_probabilities() -> None:
    one, other = (asked(Mean(factor), dataset=OwnDepths()) for factor in (1, 60))
    both = asked(Mean(1), Mean(60), dataset=OwnDepths())
    np.testing.assert_allclose(both, (one + other) / 2, rtol=1e-6)


def test_no_sample_depends_on_its_neighbours() -> None:
    """In evaluation mode: neither BN nor dropout see the others."""
    torch.manual_seed(0)
    model = create_model("resnet18", in_channels=2, width=0.0625, dropout=0.5).train()
    data = OwnDepths()
    first = asked(model, dataset=data)
    assert not model.training
    with torch.no_grad():
        alone = [torch.sigmoid(model(data[key].input[None])[0, 0]).item() for key in KEYS]
    np.testing.assert_allclose(first, alone, rtol=1e-5)


def test_samples_that_are_kept_are_asked_about_as_they_are_kept() -> None:
    """In float16, half the memory."""
    kept = keep(OwnDepths(), KEYS, 0, 2**20)
    assert all(sample.input.dtype == torch.float16 for sample in kept.samples.values())
    np.testing.assert_allclose(
        asked(Mean(3), dataset=kept), asked(Mean(3), dataset=OwnDepths()), atol=1e-3
    )


# --- Tables -----------------------------------------------------------------------------------


@pytest.fixture
def data(tmp_path: Path) -> TrainingSet:
    return Noise(2).open(tmp_path, tiny_recipe(), 0)


def test_the_table_says_which_samples_judged_the_epochs(data: TrainingSet) -> None:
    table = held_out_table(data, np.linspace(0, 1, 8) / 3)
    assert list(table.columns) == ["filename", "label", "probability", "monitored"]
    assert list(table["filename"]) == [f"v2{number}.mp4" for number in range(8)]
    assert list(table["label"]) == [0, 1] * 4
    assert list(table["monitored"]) == [True] * 6 + [False] * 2
    np.testing.assert_allclose(table["probability"], np.linspace(0, 1, 8) / 3, atol=5e-7)


def test_scores_are_scikit_learn_s_and_the_threshold_is_the_best(data: TrainingSet) -> None:
    table = held_out_table(data, np.random.default_rng(1).random(8))
    labels, probabilities = table["label"], table["probability"]
    found = scores(table)
    assert (found["n"], found["stalled"]) == (8, 4)
    assert found["auc"] == pytest.approx(roc_auc_score(labels, probabilities), abs=1e-4)

    def mcc(threshold: float) -> float:
        return float(matthews_corrcoef(labels, probabilities >= threshold))

    assert found["mcc"] == pytest.approx(mcc(found["threshold"]), abs=1e-4)
    best = max(mcc(threshold) for threshold in np.linspace(0, 1, 101))
    assert found["mcc"] == pytest.approx(best, abs=0.02) and best > 0


def test_a_table_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.csv"
    write_table(pd.DataFrame({"a": [1, 2]}), path)
    assert path.read_text() == "a\n1\n2\n"

    def torn(self: pd.DataFrame, target: Path, **_: object) -> None:
        target.write_text("a\n3")
        raise OSError("no room")

    monkeypatch.setattr(pd.DataFrame, "to_csv", torn)
    with pytest.raises(OSError, match="no room"):
        write_table(pd.DataFrame({"a": [3]}), path)
    assert path.read_text() == "a\n1\n2\n"
