"""A run that begins with the weights of another."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from stallscan.errors import CheckpointError, OptionError
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
