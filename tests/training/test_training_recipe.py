"""What a recipe may hold, and what it refuses; the options beside it."""

from __future__ import annotations

from typing import Any

import pytest

from stallscan.errors import OptionError
from stallscan.models.box import IN_THE_BOX
from stallscan.simulate.settings import PRESETS
from stallscan.training import RECIPES, EnsembleRecipe, Recipe, TrainOptions, load_recipe
from stallscan.training.recipe import (
    Adam,
    AdamW,
    BinaryCrossEntropy,
    Constant,
    Cosine,
    Cyclic,
    Plateau,
    Sgd,
)


def recipe_of(name: str, *overrides: str) -> Recipe:
    recipe = load_recipe(name, overrides)
    assert isinstance(recipe, Recipe)
    return recipe


# --- The recipes in the box say what the paper says -------------------------------------------


def test_the_winner_s_stages() -> None:
    """FACTS 4: network, loss, steps, patience; what differs from stage to stage."""
    stages = [recipe_of(f"winner-stage{number}") for number in (1, 2, 3)]
    for stage in stages:
        assert (stage.must_model.architecture, stage.must_model.inflate) == (
            "densenet121",
            "average",
        )
        assert stage.must_model.options == {"head": "paper"}
        assert stage.must_input.size == (96, 128, 128)
        assert stage.must_input.channels == ("red", "green", "blue")
        assert stage.loss == BinaryCrossEntropy(label_smoothing=0)
        assert stage.optimizer == Adam(lr=1e-4, accumulate=20)
        assert stage.schedule == Plateau(factor=0.95, patience=3)
        assert stage.stop.patience == 15
        assert (stage.sampler.batch_size, stage.sampler.batches_per_epoch) == (6, 1000)
        assert stage.sampler.stalled_share == 0.25
        assert (stage.folds.n, stage.folds.seed) == (5, 42)
    assert [stage.start for stage in stages] == [None, "winner-stage1", "winner-stage2"]
    assert [stage.validation.metric for stage in stages] == ["mcc", "auc", "auc"]
    assert [stage.validation.flowing_per_stalled for stage in stages] == [1, 4, 10]
    assert [stage.data.tier1 for stage in stages] == [False, False, True]
    presets = [stage.augmentation and stage.augmentation.preset for stage in stages]
    assert presets == ["winner_v13", "winner_v13", "winner_v20"]


def test_the_second_place() -> None:
    recipe = recipe_of("second-place")
    assert recipe.must_model.architecture == "resnet101"
    assert recipe.must_model.options["stride"][0] == [1, 2, 2]
    assert recipe.must_input.size == (None, 160, 160)
    assert recipe.data.target == "crowd"
    assert recipe.schedule == Cyclic(cycles=5)
    assert recipe.sampler.batch_size == 1  # no video is padded to its neighbours


@pytest.mark.parametrize(("n_members", "n_backbones"), [(18, 4), (6, 3)])
def test_an_ensemble_has_as_many_members_as_it_says(n_members: int, n_backbones: int) -> None:
    from stallscan.training.jobs import plan_jobs

    recipe = load_recipe(f"ensemble-{n_members}")
    assert isinstance(recipe, EnsembleRecipe)
    jobs = plan_jobs(recipe)
    assert len(jobs) == n_members
    assert len({job.recipe.must_model.architecture for job in jobs}) == n_backbones


@pytest.mark.parametrize("name", [name for name in RECIPES if not name.startswith("ensemble-")])
def test_a_recipe_in_the_box_names_what_there_is(name: str) -> None:
    recipe = recipe_of(name)
    assert {*recipe.data.phantoms, recipe.validation.phantom} <= set(PRESETS)
    assert recipe.about.endswith(".") and len(recipe.about) <= 120
    assert recipe.start in (None, "any", *IN_THE_BOX, *RECIPES)


# --- What is refused --------------------------------------------------------------------------

RANGES = {
    "optimizer.lr=0": "optimizer.lr is 0.0, allowed are numbers above 0",
    "optimizer.lr=-1e-3": "optimizer.lr is -0.001, allowed are numbers above 0",
    "optimizer.weight_decay=-1": "optimizer.weight_decay is -1, allowed are 0 and above",
    "optimizer.accumulate=0": "optimizer.accumulate is 0, allowed are 1 and above",
    "optimizer.clip=0": "optimizer.clip is 0.0, allowed are numbers above 0, and null",
    "optimizer={name: sgd, lr: 1, momentum: 1}": "optimizer.momentum is 1.0, allowed are 0 up to",
    "optimizer={name: sgd, lr: 0}": "optimizer.lr is 0.0, allowed are numbers above 0",
    "loss.label_smoothing=0.5": "loss.label_smoothing is 0.5, allowed are 0 to 0.49",
    "loss.label_smoothing=-0.1": "loss.label_smoothing is -0.1, allowed are 0 to 0.49",
    "loss={name: gce, q: 0}": "loss.q is 0.0, allowed are numbers above 0, up to 1",
    "loss={name: gce, q: 1.1}": "loss.q is 1.1, allowed are numbers above 0, up to 1",
    "mix={name: mixup, alpha: 0}": "mix.MixUp.alpha is 0.0, allowed is what lies above 0",
    "mix={name: cutmix, axes: [3]}": "mix.CutMix.axes is (3,), allowed are different axes",
    "mix={name: mixup, axes: [1]}": "unknown key 'mix.axes'; allowed are name, alpha, p",
    "data.scenes=0": "data.scenes is 0, allowed are 1 and above",
    "input.view=fisheye": "input.view is 'fisheye'; allowed are box, vessel",
    "input.spacing_px=0": "input.spacing_px is 0.0, allowed are 0.25 to 16",
    "sampler={twins: true, batch_size: 5}": "pairs need an even batch_size",
    "sampler={twins: true, stalled_share: 0.25}": "pairs need an even batch_size",
    "schedule.warmup_epochs=-1": "schedule.warmup_epochs is -1, allowed are 0 and above",
    "schedule={name: plateau, factor: 1, patience: 3}": "schedule.factor is 1.0, allowed are",
    "schedule={name: plateau, factor: 0.5, patience: -1}": "schedule.patience is -1, allowed",
    "schedule={name: cyclic, cycles: 0}": "schedule.cycles is 0, allowed are 1 and above",
    "sampler.batch_size=0": "sampler.batch_size is 0, allowed are 1 and above",
    "sampler.batches_per_epoch=0": "sampler.batches_per_epoch is 0, allowed are 1 and above",
    "sampler.stalled_share=1.2": "sampler.stalled_share is 1.2, allowed are 0 to 1",
    "sampler.stalled_share=-0.1": "sampler.stalled_share is -0.1, allowed are 0 to 1",
    "validation.n=1": "validation.n is 1, allowed are 2 and above",
    "validation.flowing_per_stalled=0": "validation.flowing_per_stalled is 0.0, allowed are",
    "validation.metric=mmc": "validation.metric is 'mmc'; did you mean 'mcc'? allowed are auc",
    "folds.n=1": "folds.n is 1, allowed are 2 and above",
    "folds.seed=-1": "folds.seed is -1, allowed are 0 and above",
    "folds.by=projects": "folds.by is 'projects'; did you mean 'project'? allowed are strat",
    "data.max_flowing=0": "data.max_flowing is 0, allowed are 1 and above",
    "data.subset=mikro": "data.subset is 'mikro'; did you mean 'micro'? allowed are full",
    "data.target=croud": "data.target is 'croud'; did you mean 'crowd'? allowed are label",
    "data.region=outlin": "data.region is 'outlin'; did you mean 'outline'? allowed are",
    "stop.max_epochs=0": "stop.max_epochs is 0, allowed are 1 and above",
    "stop.patience=0": "stop.patience is 0, allowed are 1 and above",
    "engine.precision=fp32": "engine.precision is 'fp32'; allowed are float32, bf16, fp16, auto",
    "engine.ema=1": "engine.ema is 1.0, allowed are numbers between 0 and 1, and null",
    "engine.ema=0": "engine.ema is 0.0, allowed are numbers between 0 and 1, and null",
    "input.size=[0, 32, 32]": "input.size is (0, 32, 32), allowed are three positive extents",
    "input.size=[16, null, 32]": "input.size is None, allowed is a whole number",
    "input.channels=[gray]": "input.channels are ('gray',), allowed are grey, change, mask",
    "input.channels=[]": "input.channels are (), allowed are grey, change, mask",
    "model.options={num_classes: 2}": "model.options has num_classes, which follow from",
    "model.options={in_channels: 2}": "model.options has in_channels, which follow from",
}


@pytest.mark.parametrize("override", RANGES)
def test_a_value_out_of_range_is_named_with_its_key(override: str) -> None:
    with pytest.raises(OptionError) as caught:
        load_recipe("smoke", [override])
    assert str(caught.value).startswith("recipe smoke: ")
    assert RANGES[override] in str(caught.value)


TOGETHER = {
    "cycles": (
        ["schedule.name=cyclic", "schedule.cycles=3", "stop.max_epochs=4", "stop.patience=null"],
        ["stop.max_epochs is 4", "3 cycles", "multiple of schedule.cycles"],
    ),
    "cycles and patience": (
        ["schedule.name=cyclic", "schedule.cycles=2", "stop.patience=2"],
        ["stop.patience is 2", "every cycle has to end", "null"],
    ),
    "snapshots of averages": (
        [
            "schedule.name=cyclic",
            "schedule.cycles=2",
            "stop.patience=null",
            "engine.ema=0.9",
        ],
        ["engine.ema is 0.9", "snapshots", "null"],
    ),
    "depths that differ": (
        ["input.size=[null, 32, 32]"],
        ["sampler.batch_size is 4", "their own depth", "set it to 1", "optimizer.accumulate"],
    ),
    "depths that differ, resized in the midst": (
        ["input.size=[null, 32, 32]", "sampler.batch_size=1", "augmentation.resize=true"],
        ["augmentation.resize is true", "their own depth", "set it to false"],
    ),
    "no network": (["model=null"], ["model and input are missing", "start from a checkpoint"]),
    "no input": (["input=null"], ["model and input are missing", "start from a checkpoint"]),
}


@pytest.mark.parametrize("cause", TOGETHER)
def test_keys_that_do_not_go_together(cause: str) -> None:
    overrides, expected = TOGETHER[cause]
    with pytest.raises(OptionError) as caught:
        load_recipe("smoke", overrides)
    for part in ("recipe smoke", *expected):
        assert part in str(caught.value)


def test_what_a_start_gives_need_not_be_said() -> None:
    recipe = recipe_of("smoke", "start=any", "model=null", "input=null")
    assert recipe.model is None and recipe.input is None


def test_the_defaults_of_a_recipe() -> None:
    """They stand in recipe.py alone; this is where a change of one is noticed."""
    recipe = Recipe(name="x", about="y", start="any", optimizer=AdamW(lr=1e-3))
    assert recipe.schedule == Cosine(warmup_epochs=1)
    assert recipe.loss == BinaryCrossEntropy(label_smoothing=0.0)
    assert (recipe.stop.max_epochs, recipe.stop.patience) == (50, 12)
    assert (recipe.sampler.batch_size, recipe.sampler.stalled_share) == (16, 0.5)
    assert recipe.engine.precision == "float32" and recipe.engine.ema is None
    assert recipe.validation.flowing_per_stalled == 1
    assert Sgd(lr=1.0).momentum == 0.9 and Constant().name == "constant"


# --- Options beside the recipe ----------------------------------------------------------------

BAD_OPTIONS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "seed": ({"seed": -1}, ["--seed is -1", "0 to 2147483647", "choose another"]),
    "large seed": ({"seed": 2**31}, ["--seed is 2147483648", "0 to 2147483647", "choose another"]),
    "workers": ({"workers": -2}, ["--workers is -2", "0 and above", "training process"]),
    "devices": ({"devices": 0}, ["--devices is 0", "1 and above"]),
    "nodes": ({"nodes": 0}, ["--nodes is 0", "1 and above"]),
}


@pytest.mark.parametrize("cause", BAD_OPTIONS)
def test_bad_options(cause: str) -> None:
    options, expected = BAD_OPTIONS[cause]
    with pytest.raises(OptionError) as caught:
        TrainOptions(**options)
    for part in expected:
        assert part in str(caught.value)


def test_options_at_their_ends() -> None:
    assert TrainOptions(seed=0, workers=0, devices=1, nodes=1).seed == 0
    assert TrainOptions(seed=2**31 - 1).seed == 2**31 - 1
