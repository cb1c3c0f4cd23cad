"""One volume through a checkpoint folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import stallscan
from clips import draw_clip
from stallscan.augment.mirror import FLIPS
from stallscan.errors import CheckpointError, OptionError
from stallscan.inference.member import LoadedMember
from stallscan.inference.predictor import Predictor
from stallscan.models import load_checkpoint


@pytest.fixture
def volume() -> stallscan.Volume:
    array = draw_clip(3)
    return stallscan.find_roi(array).crop(array)


def test_probability_is_the_mean_over_the_flips(
    tiny_model_dir: Path, volume: stallscan.Volume
) -> None:
    predictor = stallscan.load_predictor(tiny_model_dir, flips=4)
    from stallscan.augment.evaluation import preprocess

    (member,) = predictor.members
    inputs = preprocess(volume, member.preprocessing)
    copies = np.stack([np.flip(inputs, axes) for axes in FLIPS[:4]])
    with torch.no_grad():
        expected = torch.sigmoid(member.model(torch.from_numpy(copies))).mean().item()
    assert predictor(volume).probability == pytest.approx(expected, abs=2e-6)


def test_more_flips_change_the_answer(tiny_model_dir: Path, volume: stallscan.Volume) -> None:
    probabilities = {
        stallscan.load_predictor(tiny_model_dir, flips=flips)(volume).probability
        for flips in (1, 2, 4, 8)
    }
    assert len(probabilities) == 4


@pytest.mark.parametrize("above", [True, False])
def test_the_call_is_made_at_the_threshold(
    tiny_model_dir: Path, volume: stallscan.Volume, above: bool
) -> None:
    probability = stallscan.load_predictor(tiny_model_dir)(volume).probability
    threshold = probability if above else probability + 1e-6
    predictor = stallscan.load_predictor(tiny_model_dir, threshold=threshold)
    assert predictor(volume).stalled == int(above)


def test_a_probability_does_not_depend_on_what_was_asked_before(
    tiny_model_dir: Path, volume: stallscan.Volume
) -> None:
    predictor = stallscan.load_predictor(tiny_model_dir)
    other = draw_clip(9)
    first = predictor(volume)
    predictor(stallscan.find_roi(other).crop(other))
    assert predictor(volume) == first


def test_the_predictor_evaluates_even_after_training_mode(tiny_model_dir: Path) -> None:
    model, card = load_checkpoint(tiny_model_dir)
    (member,) = Predictor([LoadedMember(model.train(), card)], card).members
    assert not member.model.training


@pytest.mark.parametrize(
    ("options", "value", "allowed"),
    [({"flips": 3}, "3", "1, 2, 4 and 8"), ({"threshold": 1.5}, "1.5", "0 to 1")],
)
def test_bad_options_are_refused(
    tiny_model_dir: Path, options: dict[str, float], value: str, allowed: str
) -> None:
    with pytest.raises(OptionError, match=value) as caught:
        stallscan.load_predictor(tiny_model_dir, **options)  # type: ignore[arg-type]
    assert allowed in str(caught.value)


@pytest.mark.parametrize(
    "preprocessing",
    [{"size": [0, 32, 32]}, {"size": [8, 32, 32], "channels": ["colour"]}, {"side": 3}],
)
def test_nonsense_preprocessing_is_refused(
    tiny_model_dir: Path, tmp_path: Path, preprocessing: dict[str, object]
) -> None:
    model_dir = tmp_path / "bent"
    shutil.copytree(tiny_model_dir, model_dir)
    card = json.loads((model_dir / "model.json").read_text())
    card["preprocessing"] = preprocessing
    (model_dir / "model.json").write_text(json.dumps(card))
    with pytest.raises(CheckpointError, match=r"model\.json of tiny: preprocessing") as caught:
        stallscan.load_predictor(model_dir)
    assert "export the model anew" in str(caught.value)
