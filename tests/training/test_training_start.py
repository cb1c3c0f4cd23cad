"""A run that begins with the weights of another."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from stallscan.errors import CheckpointError, OptionError
from stallscan.models import create_model, read_card
from stallscan.models.checkpoint import DEFAULT_MODEL_DIR
from stallscan.training.module import StallModule
from stallscan.training.recipe import RECIPES, TrainOptions
from stallscan.training.run import train


def test_the_first_weights_are_those_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first: dict[str, torch.Tensor] = {}
    begin = StallModule.on_train_start

    def remember(module: StallModule) -> None:
        first.update({key: value.clone() for key, value in module.model.state_dict().items()})
        begin(module)

    monkeypatch.setattr(StallModule, "on_train_start", remember)
    options = TrainOptions(recipe="smoke", max_epochs=1, workers=0, seed=3)
    once = train(tmp_path / "once", options, progress=False)
    given = load_file(once / "weights.safetensors")
    first.clear()
    options = TrainOptions(recipe="smoke", max_epochs=1, workers=0, seed=4, start=once)
    again = train(tmp_path / "again", options, progress=False)
    assert first.keys() == given.keys()
    for key, value in given.items():
        torch.testing.assert_close(first[key], value.to(first[key].dtype))
    assert '"start": "once"' in (again / "model.json").read_text()


def test_a_recipe_may_begin_with_2d_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    smoke = RECIPES["smoke"]
    flat = tmp_path / "images.safetensors"
    save_file(create_model("resnet18", **smoke.model_options, rank=2).state_dict(), flat)
    inflated = smoke.model_options | {"pretrained": str(flat), "inflate": "average"}
    monkeypatch.setitem(RECIPES, "smoke", replace(smoke, model_options=inflated))
    options = TrainOptions(recipe="smoke", max_epochs=1, workers=0)
    once = train(tmp_path / "once", options, progress=False)
    card = read_card(once)
    assert card.options == smoke.model_options
    assert (card.pretrained["source"], card.pretrained["inflated"]) == ("images.safetensors", 20)
    flat.unlink()  # weights that go on need it no more, and still say where they began
    again = train(tmp_path / "again", replace(options, start=once), progress=False)
    assert read_card(again).pretrained == card.pretrained


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    options = TrainOptions(recipe="smoke", start=DEFAULT_MODEL_DIR)
    assert RECIPES["smoke"].model_options != RECIPES["cpu-small"].model_options
    with pytest.raises(OptionError, match=r"--start .*the recipe needs resnet18"):
        train(tmp_path / "run", options, progress=False)
    assert not (tmp_path / "run").exists()


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    options = TrainOptions(recipe="smoke", start=tmp_path)
    with pytest.raises(CheckpointError, match=r"model\.json"):
        train(tmp_path / "run", options, progress=False)
