"""Calibrated probabilities, and the models in the box by name."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

from stallscan.errors import CheckpointError
from stallscan.inference.member import LoadedMember
from stallscan.inference.predictor import Predictor, load_predictor
from stallscan.models import create_model
from stallscan.models.box import IN_THE_BOX, find_model
from stallscan.models.calibration import Calibration
from stallscan.models.card import ModelCard, read_card, write_card
from stallscan.models.checkpoint import save_checkpoint
from stallscan.models.ensemble import EnsembleCard, Member, read_ensemble, write_ensemble
from stallscan.roi import Volume
from stallscan.types import Box

LINE = Calibration(slope=2.0, intercept=-1.0, stalled_share=0.5)


def card_of(**fields: object) -> ModelCard:
    return ModelCard(
        name="tiny",
        architecture="resnet18",
        options={"width": 0.0625},
        preprocessing={"size": [8, 16, 16], "channels": ["grey", "change", "mask"]},
        **fields,  # type: ignore[arg-type]
    )


def volume() -> Volume:
    array = np.random.default_rng(0).integers(0, 256, (9, 30, 40, 1), np.uint8)
    mask = np.ones((30, 40), bool)
    return Volume(array=array, mask=mask, line=~mask, box=Box(0, 0, 0, 9, 30, 40), source="drawn")


# --- The line ---------------------------------------------------------------------------------


@pytest.mark.parametrize("probability", [0.001, 0.2, 0.5, 0.73, 0.999])
def test_a_line_through_the_logits(probability: float) -> None:
    odds = probability / (1 - probability)
    expected = odds**2 * math.exp(-1)
    assert LINE(probability) == pytest.approx(expected / (1 + expected), rel=1e-9)


def test_the_order_stays_and_the_ends_are_probabilities() -> None:
    found = [LINE(p) for p in (0.0, 1e-9, 0.1, 0.5, 0.9, 1 - 1e-9, 1.0)]
    assert found == sorted(found) and 0 <= found[0] < 1e-12 and 1 - 1e-12 < found[-1] <= 1
    steep = Calibration(slope=500.0, intercept=9.0, stalled_share=0.5)
    assert steep(0.0) == pytest.approx(0) and steep(1.0) == pytest.approx(1)


def test_it_is_part_of_the_answer() -> None:
    model = create_model("resnet18", width=0.0625)
    answers = {}
    for name, calibration in {"plain": None, "calibrated": LINE}.items():
        card = card_of(calibration=calibration)
        answers[name] = Predictor([LoadedMember(model, card)], card, flips=2)(volume()).probability
    assert answers["calibrated"] == pytest.approx(LINE(answers["plain"]), abs=2e-6)
    assert answers["calibrated"] != answers["plain"]


def test_an_ensemble_has_its_own() -> None:
    model = create_model("resnet18", width=0.0625)
    member = LoadedMember(model, card_of(calibration=LINE))
    plain = Predictor([member], EnsembleCard(name="e", members=(Member("a"),)), flips=1)
    own = EnsembleCard(name="e", members=(Member("a"),), calibration=LINE)
    calibrated = Predictor([member], own, flips=1, stop_early=True)
    expected = LINE(plain(volume()).probability)
    assert calibrated(volume()).probability == pytest.approx(expected, abs=2e-6)


# --- In files ---------------------------------------------------------------------------------


def test_there_and_back(tmp_path: Path) -> None:
    save_checkpoint(create_model("resnet18", width=0.0625), card_of(calibration=LINE), tmp_path)
    assert read_card(tmp_path).calibration == LINE
    inner = tmp_path / "ensemble"
    write_ensemble(EnsembleCard(name="e", members=(Member("a"),), calibration=LINE), inner)
    assert read_ensemble(inner).calibration == LINE


def test_a_card_of_before_has_none(tmp_path: Path) -> None:
    write_card(card_of(), tmp_path / "model.json")
    fields = json.loads((tmp_path / "model.json").read_text())
    assert fields.pop("calibration") is None
    (tmp_path / "model.json").write_text(json.dumps(fields))
    assert read_card(tmp_path).calibration is None


WRONG = {
    '{"slope": 0, "intercept": 0, "stalled_share": 0.5}': "slope is 0, allowed are numbers above 0",
    '{"slope": -1, "intercept": 0, "stalled_share": 0.5}': "slope is -1, allowed are numbers above",
    '{"slope": 1, "intercept": NaN, "stalled_share": 0.5}': "intercept is nan, allowed are finite",
    '{"slope": "1", "intercept": 0, "stalled_share": 0.5}': "slope is '1', allowed are numbers",
    '{"slope": 1, "intercept": 0, "stalled_share": 1}': "stalled_share is 1, allowed are shares",
    '{"slope": 1, "intercept": 0}': "stalled_share",
    '{"slope": 1, "intercept": 0, "stalled_share": 0.5, "power": 2}': "power",
    "[1, 0]": "needed is a JSON object, or null",
}


@pytest.mark.parametrize(("written", "message"), WRONG.items())
def test_what_makes_no_sense_is_refused(tmp_path: Path, written: str, message: str) -> None:
    write_card(card_of(calibration=LINE), tmp_path / "model.json")
    text = (tmp_path / "model.json").read_text()
    fields = json.loads(text) | {"calibration": json.loads(written)}
    (tmp_path / "model.json").write_text(json.dumps(fields))
    with pytest.raises(CheckpointError, match="calibration is .*" + re.escape(message)) as refused:
        read_card(tmp_path)
    assert "correct model.json" in str(refused.value)
    ensemble = tmp_path / "ensemble"
    write_ensemble(EnsembleCard(name="e", members=(Member("a"),)), ensemble)
    fields = json.loads((ensemble / "ensemble.json").read_text())
    fields["calibration"] = json.loads(written)
    (ensemble / "ensemble.json").write_text(json.dumps(fields))
    with pytest.raises(CheckpointError, match=re.escape(message)):
        read_ensemble(ensemble)


# --- The box ----------------------------------------------------------------------------------


def test_models_in_the_box_have_names() -> None:
    assert find_model() == find_model("default") == find_model(Path("default"))
    for name in IN_THE_BOX:
        card = read_card(find_model(name))
        assert card.name == name == find_model(name).name
        assert load_predictor(name).card.name == name
    assert find_model("./default") == Path("./default") != find_model("default")
    assert find_model(Path("runs/mine")) == Path("runs/mine")
