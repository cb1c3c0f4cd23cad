"""What phantoms alone can give: twins, and scenes that come again."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from stallscan.errors import OptionError, TrainingError
from stallscan.models.checkpoint import load_checkpoint
from stallscan.training import Phantom, TrainOptions, train
from stallscan.training.devices import Devices, with_device
from stallscan.training.phantom_data import PhantomRois
from stallscan.training.phantom_shelf import Shelf
from stallscan.training.recipe import Recipe
from stallscan.training.recipe_files import load_recipe
from stallscan.training.samples import TRAIN_STREAM, BalancedSampler, SampleKey
from stallscan.training.store_data import Videos
from stallscan.types import Label

TINY = (
    "model.options={width: 0.0625, stride: [[1, 2, 2], [2, 2, 1], 2, 2, 2]}",
    "input.size=[16, 32, 16]",
    "sampler.batch_size=4",
    "sampler.batches_per_epoch=2",
    "stop.max_epochs=2",
    "data={phantom: clean+clogloss, scenes: 3}",
    "validation.n=4",
    "validation.phantom=clean",
)


def recipe_of(*overrides: str) -> Recipe:
    recipe = load_recipe("vessel", [*TINY, *overrides])
    assert isinstance(recipe, Recipe)
    return recipe


def key(number: int, label: Label = Label.STALLED, epoch: int = 0) -> SampleKey:
    return SampleKey(TRAIN_STREAM, epoch, number, label)


def input_of(dataset: Any, where: SampleKey) -> Tensor:
    found = dataset[where].input
    assert isinstance(found, Tensor)
    return found


# --- Twins ------------------------------------------------------------------------------------


def test_keys_of_twins_come_in_pairs() -> None:
    keys = list(BalancedSampler(5, 6, 0.5, twins=True))
    assert [found.number for found in keys] == [0, 0, 1, 1, 2, 2]
    assert [int(found.label) for found in keys] == [0, 1] * 3


def test_twins_differ_in_their_blood_alone() -> None:
    dataset = PhantomRois(4, recipe_of("input.view=box"))
    flowing, stalled = (dataset[key(1, label)] for label in Label)
    grey, change, mask = flowing.input - stalled.input
    assert not mask.any()  # outline, place, augmentation
    assert grey.abs().max() > 0.5 and change.abs().max() > 0.5


def test_presets_take_turns() -> None:
    dataset = PhantomRois(4, recipe_of("data.scenes=null"))
    found = []
    dataset._render = lambda where, label, preset: found.append((where[3], preset)) or 1 / 0  # type: ignore[method-assign,assignment]
    for number in range(4):
        with pytest.raises(ZeroDivisionError):
            dataset[key(number)]
    assert found == [(0, "clean"), (1, "clogloss"), (2, "clean"), (3, "clogloss")]


# --- Scenes that come again -------------------------------------------------------------------


def test_scenes_come_again_and_the_shelf_changes_nothing(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "phantoms")
    keys = [key(number, Label(number % 2), epoch) for epoch in (0, 1) for number in range(4)]
    for view in ("box", "vessel"):
        recipe = recipe_of(f"input.view={view}")
        plain = PhantomRois(4, recipe)
        for _ in range(2):  # rendered, then read
            kept = PhantomRois(4, recipe, shelf=shelf)
            for where in keys:
                one, other = plain[where], kept[where]
                assert torch.equal(one.input, other.input)  # type: ignore[arg-type]
    files = list((tmp_path / "phantoms").iterdir())
    assert 1 <= len(files) <= 6 and all(file.suffix == ".npz" for file in files)
    colour = PhantomRois(4, recipe_of("input.channels=[red, green, blue]"), shelf=shelf)
    assert input_of(colour, keys[0]).shape[0] == 3
    assert len(list((tmp_path / "phantoms").iterdir())) == len(files) + 1  # not grey ones taken


def test_epochs_show_the_same_scene_otherwise() -> None:
    dataset = PhantomRois(4, recipe_of("data.scenes=1", "augmentation=null", "input.view=box"))
    assert torch.equal(input_of(dataset, key(0)), input_of(dataset, key(3, epoch=5)))
    changed = PhantomRois(4, recipe_of("data.scenes=1", "input.view=box"))
    seen = [input_of(changed, key(number)) for number in range(6)]
    assert any(not torch.equal(seen[0], other) for other in seen[1:])


def test_a_damaged_phantom_is_named(tmp_path: Path) -> None:
    dataset = PhantomRois(4, recipe_of("data.scenes=1"), shelf=Shelf(tmp_path))
    _ = dataset[key(0)]
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:2000])
    with pytest.raises(TrainingError, match=r"is damaged .*remove it, and it is rendered anew"):
        _ = dataset[key(0)]


def test_what_a_run_of_twins_leaves(tmp_path: Path) -> None:
    run = train(
        tmp_path / "run", recipe_of(), TrainOptions(workers=0), source=Phantom(), progress=False
    )
    _, card = load_checkpoint(run)
    assert card.preprocessing["view"] == "vessel" and card.training["data"].endswith("3 scenes")
    assert len(list((run / "phantoms").iterdir())) <= 6 + 4  # and those that validate


# --- Where it cannot be had -------------------------------------------------------------------


def test_labelled_videos_have_no_twins(tmp_path: Path) -> None:
    source = Videos(data=tmp_path, labels=tmp_path / "labels.csv")
    with pytest.raises(
        OptionError,
        match=r"sampler.twins, data.scenes can be had of phantoms alone.* --set "
        r"sampler.twins=false data.scenes=null",
    ):
        source.open(tmp_path, recipe_of(), 0)


def test_whole_frames_have_no_vessel_to_look_along() -> None:
    with pytest.raises(OptionError, match=r"input.view is vessel, but whole frames"):
        recipe_of("data.region=full")


def test_workers_do_what_a_device_cannot() -> None:
    gpu = Devices(accelerator="cuda", n_ranks=1, rank=0, precision="float32")
    chosen = with_device(recipe_of(), gpu)
    assert chosen.augmentation is not None and chosen.augmentation.device is False
    plain = with_device(recipe_of("input.view=box"), gpu)
    assert plain.augmentation is not None and plain.augmentation.device is True
    with pytest.raises(OptionError, match=r"device is true and input.view is vessel"):
        with_device(recipe_of("augmentation.device=true"), gpu)
