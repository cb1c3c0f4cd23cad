"""A run that begins with the weights of another."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from labelled import Video, plain_volume, write_labelled
from stallscan.augment import Preprocessing
from stallscan.errors import CheckpointError, OptionError
from stallscan.models import ModelCard, create_model, read_card, save_checkpoint
from stallscan.models.box import find_model
from stallscan.training import Recipe, TrainOptions, load_recipe, phantom_data, train
from stallscan.training.module import StallModule
from stallscan.training.start import Start, check_fold, network_options, resolve_start

OPTIONS = TrainOptions(workers=0, device="cpu")


def recipe_of(name: str, *overrides: str) -> Recipe:
    recipe = load_recipe(name, overrides)
    assert isinstance(recipe, Recipe)
    return recipe


SMOKE = recipe_of("smoke", "stop.max_epochs=1", "validation.n=4", "sampler.batch_size=2")


@pytest.fixture(autouse=True)
def nothing_is_rendered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phantom_data, "phantom_roi", lambda *_: (plain_volume(100), None))


@pytest.fixture
def write_start(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes an untrained checkpoint folder: (name, training, **options) → path."""

    def write(name: str, training: dict[str, Any] | None = None, **options: Any) -> Path:
        arguments = {"in_channels": 3, "width": 0.0625, "dropout": 0.2} | options
        card = ModelCard(
            name=name,
            architecture="resnet18",
            options=arguments,
            preprocessing=dataclasses.asdict(Preprocessing(size=(8, 24, 24))),
            training=training or {},
        )
        save_checkpoint(create_model("resnet18", **arguments), card, tmp_path / name)
        return tmp_path / name

    return write


# --- The first weights ------------------------------------------------------------------------


def test_the_first_weights_are_those_of_the_folder(
    tmp_path: Path, write_start: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    first: dict[str, torch.Tensor] = {}
    begin = StallModule.on_train_start

    def remember(module: StallModule) -> None:
        first.update({key: value.clone() for key, value in module.model.state_dict().items()})
        assert module.model.training and all(p.requires_grad for p in module.model.parameters())
        begin(module)

    monkeypatch.setattr(StallModule, "on_train_start", remember)
    once = write_start("once")
    given = load_file(once / "weights.safetensors")
    options = dataclasses.replace(OPTIONS, seed=4, start=once)
    again = train(tmp_path / "again", SMOKE, options, progress=False)
    assert first.keys() == given.keys()
    for key, value in given.items():
        torch.testing.assert_close(first[key], value.to(first[key].dtype))
    assert read_card(again).training["start"] == "once"
    trained = load_file(again / "weights.safetensors")
    assert any(not torch.equal(trained[key], given[key]) for key in given)


def test_a_recipe_may_begin_with_2d_weights(tmp_path: Path) -> None:
    flat = tmp_path / "images.safetensors"
    save_file(create_model("resnet18", width=0.0625, dropout=0.2, rank=2).state_dict(), flat)
    keys = {"model.pretrained": str(flat), "model.inflate": "average"}
    recipe = load_recipe("smoke", ["stop.max_epochs=1", "validation.n=4"], keys)
    assert isinstance(recipe, Recipe)
    once = train(tmp_path / "once", recipe, OPTIONS, progress=False)
    card = read_card(once)
    assert card.options == {"in_channels": 3, "width": 0.0625, "dropout": 0.2}
    assert (card.pretrained["source"], card.pretrained["inflated"]) == ("images.safetensors", 20)
    flat.unlink()  # weights that go on need it no more, and still say where they began
    options = dataclasses.replace(OPTIONS, start=once)
    again = train(tmp_path / "again", recipe, options, progress=False)
    assert read_card(again).pretrained == card.pretrained


# --- What follows from it ---------------------------------------------------------------------


def test_without_a_start_a_recipe_is_as_it_is() -> None:
    assert resolve_start(SMOKE, None, 0) == (SMOKE, None)


def test_fine_tuning_takes_network_and_input_from_the_start(
    write_start: Callable[..., Path],
) -> None:
    path = write_start("once", depth_padding="replicate")
    recipe, start = resolve_start(recipe_of("fine-tune"), path, 0)
    assert start is not None and start.path == path
    assert recipe.must_model.architecture == "resnet18"
    assert recipe.must_model.options == {
        **{"width": 0.0625, "dropout": 0.2},
        "depth_padding": "replicate",
    }
    assert recipe.must_input.size == (8, 24, 24)
    assert recipe.must_input.channels == ("grey", "change", "mask")
    assert network_options(recipe) == read_card(path).options
    assert recipe.optimizer == recipe_of("fine-tune").optimizer


def test_fine_tuning_starts_from_the_model_in_the_box() -> None:
    recipe, start = resolve_start(recipe_of("fine-tune"), None, 0)
    card = read_card(find_model("fast"))
    assert start is not None and start.path == find_model("fast")
    assert recipe.must_model.architecture == card.architecture
    assert recipe.must_input.preprocessing() == Preprocessing.from_dict(card.preprocessing)


def test_a_recipe_s_own_input_stays(write_start: Callable[..., Path]) -> None:
    """Networks take any size; the channels' number is the network's."""
    recipe, _ = resolve_start(SMOKE, write_start("once"), 0)
    assert recipe.must_input == SMOKE.must_input
    own = recipe_of("fine-tune", "input={size: [16, 32, 32], channels: [grey, change, mask]}")
    assert resolve_start(own, write_start("other"), 0)[0].must_input.size == (16, 32, 32)


def test_no_image_weights_are_asked_for_where_there_is_a_start(
    write_start: Callable[..., Path],
) -> None:
    recipe = load_recipe("smoke", ["model.pretrained=imagenet"])
    assert isinstance(recipe, Recipe)
    assert resolve_start(recipe, write_start("once"), 0)[0].must_model.pretrained is None
    assert resolve_start(recipe, None, 0)[0].must_model.pretrained == "imagenet"


def test_a_folder_of_folds_gives_the_same_fold(
    tmp_path: Path, write_start: Callable[..., Path]
) -> None:
    for fold in (0, 1):
        write_start(f"runs/fold{fold}", width=0.0625)
    for fold in (0, 1):
        start = resolve_start(SMOKE, tmp_path / "runs", fold)[1]
        assert start is not None and start.path == tmp_path / "runs" / f"fold{fold}"
    with pytest.raises(CheckpointError, match=r"runs.model\.json: missing"):
        resolve_start(SMOKE, tmp_path / "runs", 2)
    # A checkpoint is itself, whatever folders lie in it.
    path = write_start("plain")
    shutil.copytree(tmp_path / "runs" / "fold0", path / "fold0")
    start = resolve_start(SMOKE, path, 0)[1]
    assert start is not None and start.path == path


def test_other_weights_are_another_start(write_start: Callable[..., Path]) -> None:
    digests = []
    for name in ("a", "b"):
        start = resolve_start(SMOKE, write_start(name), 0)[1]
        assert start is not None
        digests.append(start.digest)
        assert start.digest == start.digest
    assert digests[0] != digests[1]


# --- What is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "words"), [("winner-stage2", "a run of winner-stage1"), ("smoke", "any run")]
)
def test_a_start_that_is_missing(name: str, words: str) -> None:
    recipe = recipe_of(name, *(["start=any"] if name == "smoke" else []))
    with pytest.raises(OptionError) as caught:
        resolve_start(recipe, None, 0)
    for part in (f"recipe {name}", words, "pass --start RUN", "--set start=null"):
        assert part in str(caught.value)


DIFFERING = {
    "width": ["model.options.width=0.25"],
    "architecture": ["model.architecture=resnet34"],
    "channels": ["input.channels=[grey, mask]"],
    "padding": ["model.options.depth_padding=replicate"],
}


@pytest.mark.parametrize("cause", DIFFERING)
def test_weights_of_another_network_are_refused(
    cause: str, tmp_path: Path, write_start: Callable[..., Path]
) -> None:
    path = write_start("once")
    options = dataclasses.replace(OPTIONS, start=path)
    with pytest.raises(OptionError) as caught:
        train(tmp_path / "run", recipe_of("smoke", *DIFFERING[cause]), options, progress=False)
    expected = (
        *(f"--start {path}: is resnet18 with", "'width': 0.0625", "recipe smoke needs resnet"),
        *("weights of the same network", "model.architecture and model.options"),
    )
    for part in expected:
        assert part in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_what_changes_no_weight_is_no_other_network(write_start: Callable[..., Path]) -> None:
    recipe = recipe_of("smoke", "model.options.checkpointing=true", "model.options.stride=2")
    resolve_start(recipe, write_start("once"), 0)


def test_a_misspelt_option_of_the_network(write_start: Callable[..., Path]) -> None:
    recipe = recipe_of("smoke", "model.options.widht=0.25")
    with pytest.raises(OptionError, match="'widht'; did you mean 'width'"):
        resolve_start(recipe, write_start("once"), 0)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    options = dataclasses.replace(OPTIONS, start=tmp_path)
    with pytest.raises(CheckpointError, match=r"model\.json"):
        train(tmp_path / "run", SMOKE, options, progress=False)
    options = dataclasses.replace(OPTIONS, start=tmp_path / "none")
    with pytest.raises(CheckpointError, match=r"none: no such checkpoint folder"):
        train(tmp_path / "run", SMOKE, options, progress=False)
    assert not (tmp_path / "run").exists()


def test_a_start_of_another_recipe_is_told(
    write_start: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    recipe = recipe_of("smoke", "start=winner-stage1")
    path = write_start("once", {"recipe": "cpu-small"})
    resolve_start(recipe, path, 0)
    assert "once: was trained by recipe cpu-small; smoke starts from winner-stage1" in caplog.text
    caplog.clear()
    resolve_start(recipe, write_start("twice", {"recipe": "winner-stage1"}), 0)
    resolve_start(recipe_of("smoke", "start=any"), path, 0)
    assert not caplog.text


FOLD = "0 of 2, stratified by project and label, seed 42"


@pytest.mark.parametrize(
    ("start", "before", "now", "refused"),
    [
        ("winner-stage1", FOLD, FOLD, False),
        ("winner-stage1", "1" + FOLD[1:], FOLD, True),
        ("winner-stage1", FOLD.replace("42", "43"), FOLD, True),
        ("winner-stage1", None, FOLD, False),
        ("winner-stage1", FOLD, None, False),  # the phantom has an end of neither
        ("any", "1" + FOLD[1:], FOLD, False),  # other data, other folds
        ("default", "1" + FOLD[1:], FOLD, False),
    ],
)
def test_a_stage_goes_on_with_its_own_fold(
    write_start: Callable[..., Path], start: str, before: str | None, now: str | None, refused: bool
) -> None:
    path = write_start("once", {"fold": before} if before else {})
    found = Start(path=path, card=read_card(path))
    recipe = recipe_of("smoke", f"start={start}")
    if not refused:
        check_fold(found, recipe, now)
        return
    with pytest.raises(OptionError) as caught:
        check_fold(found, recipe, now)
    for part in (f"--start {path}", f"was {before}", f"is {now}", "has learnt", "same fold"):
        assert part in str(caught.value)


def test_a_stage_from_another_fold_is_refused_by_a_run(
    tmp_path: Path, write_start: Callable[..., Path]
) -> None:
    """Before a step is taken; the fold of a run is what its data say."""
    source = write_labelled(tmp_path / "data", [Video(stalled=n % 2) for n in range(8)])
    recipe = recipe_of("smoke", "start=winner-stage1", "folds.n=2")
    path = write_start("once", {"recipe": "winner-stage1", "fold": FOLD})
    options = dataclasses.replace(OPTIONS, start=path)
    with pytest.raises(OptionError, match=r"its fold was 0 of 2, .*, this run's is 1 of 2"):
        train(tmp_path / "run", recipe, options, source=source.of_fold(1), progress=False)
    assert not (tmp_path / "run" / "checkpoints").exists()
