"""Recipes as files: `--set`, `like:`, records that load again, and what is no recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stallscan.errors import OptionError
from stallscan.training import RECIPES, EnsembleRecipe, Recipe, load_recipe
from stallscan.training.jobs import plan_jobs
from stallscan.training.recipe import AdamW, Constant, Cosine, Plateau, Sgd
from stallscan.training.recipe_files import set_key, to_yaml


def recipe_of(name: str | Path, *overrides: str) -> Recipe:
    recipe = load_recipe(str(name), overrides)
    assert isinstance(recipe, Recipe)
    return recipe


# --- key=value --------------------------------------------------------------------------------

NUMBERS = {
    "3e-4": 3e-4,
    "3E-4": 3e-4,
    "1e-4": 1e-4,  # a word to YAML 1.1
    "+2.5e+1": 25.0,
    "1.e2": 100.0,
    ".5e1": 5.0,
    "0.001": 1e-3,
    "1": 1.0,
    " 2 ": 2.0,
}


@pytest.mark.parametrize("text", NUMBERS)
def test_numbers(text: str) -> None:
    found = recipe_of("smoke", f"optimizer.lr={text}").optimizer.lr
    assert found == NUMBERS[text] and isinstance(found, float)


def test_lists_null_booleans_and_words() -> None:
    recipe = recipe_of(
        "smoke",
        "input.size=[8, 16, 24]",
        "input.channels=[grey, mask]",
        "optimizer.clip=null",
        "data.tier1=true",
        "engine.channels_last=false",
        "data.phantom=hard",
        "augmentation=null",
    )
    assert recipe.must_input.size == (8, 16, 24)
    assert recipe.must_input.channels == ("grey", "mask")
    assert recipe.optimizer.clip is None and recipe.augmentation is None
    assert recipe.data.tier1 is True and recipe.engine.channels_last is False
    assert recipe.data.phantom == "hard"


def test_options_of_the_network_are_set_one_by_one() -> None:
    recipe = recipe_of("smoke", "model.options.width=0.5", "model.options.pool=max")
    assert recipe.must_model.options == {"width": 0.5, "dropout": 0.2, "pool": "max"}
    recipe = recipe_of("smoke", "model.options={width: 1}")
    assert recipe.must_model.options == {"width": 1}
    assert recipe.network == {
        **{"name": "resnet18", "pretrained": None, "inflate": "average", "in_channels": 3},
        "width": 1,
    }


def test_all_else_stays() -> None:
    plain, changed = recipe_of("smoke").to_dict(), recipe_of("smoke", "optimizer.lr=1").to_dict()
    assert changed.pop("optimizer") == plain.pop("optimizer") | {"lr": 1.0}
    assert changed == plain


def test_the_last_of_two_counts() -> None:
    assert recipe_of("smoke", "optimizer.lr=1", "optimizer.lr=2").optimizer.lr == 2


def test_another_name_clears_the_keys_of_the_former() -> None:
    assert recipe_of("smoke").schedule == Cosine(warmup_epochs=1)
    assert recipe_of("smoke", "schedule.name=constant").schedule == Constant()
    overrides = ("schedule.name=plateau", "schedule.factor=0.5", "schedule.patience=2")
    assert recipe_of("smoke", *overrides).schedule == Plateau(factor=0.5, patience=2)
    overrides = ("optimizer.name=sgd", "optimizer.lr=0.1")
    assert recipe_of("smoke", *overrides).optimizer == Sgd(lr=0.1)  # no decay, no clipping


def test_the_same_name_again_clears_nothing() -> None:
    assert recipe_of("smoke", "optimizer.name=adamw") == recipe_of("smoke")


def test_a_word_alone_chooses_a_section() -> None:
    assert recipe_of("smoke", "schedule=constant").schedule == Constant()
    recipe = recipe_of("smoke", "optimizer=sgd", "optimizer.lr=0.1")
    assert recipe.optimizer == Sgd(lr=0.1)


def test_set_key_makes_what_is_not_there() -> None:
    values: dict[str, Any] = {"model": None}
    set_key(values, "model.options.width", 2)
    assert values == {"model": {"options": {"width": 2}}}


UNKNOWN = {
    "optimiser.lr=1": ["unknown key 'optimiser'", "did you mean 'optimizer'?", "allowed are name"],
    "optimizer.lrr=1": ["unknown key 'optimizer.lrr'", "did you mean 'lr'?", "weight_decay"],
    "schedule.warmup=2": ["unknown key 'schedule.warmup'", "did you mean 'warmup_epochs'?"],
    "schedule.cycles=2": ["unknown key 'schedule.cycles'", "allowed are name, warmup_epochs"],
    "loss.q=0.5": ["unknown key 'loss.q'", "label_smoothing"],
    "stop.max_epoch=3": ["unknown key 'stop.max_epoch'", "did you mean 'max_epochs'?"],
    "seed=1": ["unknown key 'seed'", "allowed are name, about, start"],
    "schedule.name=cosin": ["schedule.name is 'cosin'", "did you mean 'cosine'?", "cyclic"],
    "optimizer.name=adan": ["optimizer.name is 'adan'", "did you mean 'adam'?", "adamw, adam, sgd"],
    "like=cpu-small": ["unknown key 'like'"],
}


@pytest.mark.parametrize("override", UNKNOWN)
def test_an_unknown_key_gets_the_closest(override: str) -> None:
    with pytest.raises(OptionError) as caught:
        load_recipe("smoke", [override])
    for part in ("recipe smoke", *UNKNOWN[override]):
        assert part in str(caught.value)


KINDS = {
    "optimizer.lr=fast": "optimizer.lr is 'fast', allowed is a number",
    "optimizer.lr=true": "optimizer.lr is True, allowed is a number",
    "optimizer.lr=null": "optimizer.lr is None, allowed is a number",
    "optimizer.lr=.nan": "optimizer.lr is nan, allowed is a number",
    "optimizer.lr=.inf": "optimizer.lr is inf, allowed is a number",
    "optimizer.lr=[1]": "optimizer.lr is [1], allowed is a number",
    "optimizer.lr.x=3": "optimizer.lr is {'x': 3}, allowed is a number",
    "optimizer.lr=": "optimizer.lr is None, allowed is a number",
    "stop.max_epochs=1.5": "stop.max_epochs is 1.5, allowed is a whole number",
    "stop.max_epochs=true": "stop.max_epochs is True, allowed is a whole number",
    "stop.max_epochs=null": "stop.max_epochs is None, allowed is a whole number",
    "data.tier1=1": "data.tier1 is 1, allowed is true or false",
    "data.phantom=3": "data.phantom is 3, allowed is a word",
    "model.options=3": "model.options is 3, needed are keys and values",
    "input.size=32": "input.size is 32, needed is a list",
    "input.size=[16, 32]": "input.size is [16, 32], needed are 3 values",
    "input.size=[16, 32, big]": "input.size is 'big', allowed is a whole number",
    "input.channels=grey": "input.channels is 'grey', needed is a list",
    "sampler=null": "sampler is None, needed are keys and values",
    "sampler=[1]": "sampler is [1], needed are keys and values",
    "optimizer=[1]": "optimizer.name is [1]",
    "optimizer={lr: 1}": "optimizer.name is missing",
    "optimizer={name: adam}": "optimizer.lr is missing; add it",
    "schedule.name=plateau": "schedule.factor is missing; add it",
}


@pytest.mark.parametrize("override", KINDS)
def test_a_value_of_another_kind(override: str) -> None:
    with pytest.raises(OptionError) as caught:
        load_recipe("smoke", [override])
    assert f"recipe smoke: {KINDS[override]}" in str(caught.value)


@pytest.mark.parametrize("override", ["optimizer.lr", "=3", " =3", ""])
def test_an_override_without_key_or_value(override: str) -> None:
    with pytest.raises(OptionError) as caught:
        load_recipe("smoke", [override])
    assert f"--set is {override!r}, allowed is key=value: optimizer.lr=3e-4" in str(caught.value)


def test_an_override_that_is_no_yaml() -> None:
    with pytest.raises(OptionError, match=r"--set input\.size=\[1, 2: is not YAML \(while"):
        load_recipe("smoke", ["input.size=[1, 2"])


# --- Ensembles --------------------------------------------------------------------------------


def test_keys_go_to_all_members_over_their_own() -> None:
    overrides = ["optimizer.lr=3e-4", "sampler.batch_size=1", "combine=logit"]
    recipe = load_recipe("ensemble-18", overrides)
    assert isinstance(recipe, EnsembleRecipe) and recipe.combine == "logit"
    jobs = plan_jobs(recipe)
    assert {job.recipe.optimizer.lr for job in jobs} == {3e-4}
    assert {job.recipe.sampler.batch_size for job in jobs} == {1}  # densenet201 sets 4
    plain = {job.path: job.recipe for job in plan_jobs(load_recipe("ensemble-18"))}
    assert plain["densenet201/fold0"].sampler.batch_size == 4
    assert {job.path: job.recipe.must_model for job in jobs} == {
        path: one.must_model for path, one in plain.items()
    }


def test_a_misspelt_key_of_an_ensemble() -> None:
    with pytest.raises(OptionError, match=r"'optimizer\.lrr'; did you mean 'lr'\?"):
        plan_jobs(load_recipe("ensemble-18", ["optimizer.lrr=1"]))
    with pytest.raises(OptionError, match=r"combine is 'logits'; did you mean 'logit'\?"):
        load_recipe("ensemble-18", ["combine=logits"])


BAD_MEMBERS = {
    "nobody": ("[]", "members is empty; name at least one recipe"),
    "an ensemble": ("[{recipe: ensemble-18}]", "member ensemble-18 is an ensemble"),
    "twice": ("[{recipe: smoke}, {recipe: smoke}]", "two members are smoke/fold0"),
    "a fold too many": ("[{recipe: smoke, folds: [5]}]", "has fold 5, allowed are 0 to 4"),
    "other folds": (
        "[{recipe: smoke}, {recipe: smoke, name: two, set: {folds.seed: 1}}]",
        "held out by one would be learnt by another",
    ),
    "unknown": ("[{recipe: smok}]", "did you mean 'smoke'?"),
    "a key": ("[{recipe: smoke, fold: [0]}]", "did you mean 'folds'?"),
}


@pytest.mark.parametrize("cause", BAD_MEMBERS)
def test_members_that_do_not_fit(cause: str, tmp_path: Path) -> None:
    members, expected = BAD_MEMBERS[cause]
    file = tmp_path / "mine.yaml"
    file.write_text(f"about: one\nmembers: {members}\n")
    with pytest.raises(OptionError) as caught:
        plan_jobs(load_recipe(str(file)))
    assert "recipe" in str(caught.value) and expected in str(caught.value)


def test_members_of_one_recipe_bear_names_of_their_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "about: two\nmembers: [{recipe: smoke, folds: [1, 0]}, {recipe: smoke, name: b, folds: [1],"
        " set: {optimizer.lr: 1}}]\n"
    )
    recipe = load_recipe(str(file))
    assert recipe.name == "mine"
    jobs = plan_jobs(recipe)
    assert [(job.path, job.fold) for job in jobs] == [
        *(("smoke/fold1", 1), ("smoke/fold0", 0), ("b/fold1", 1))
    ]
    assert [job.recipe.optimizer.lr for job in jobs] == [1e-3, 1e-3, 1.0]


# --- Files ------------------------------------------------------------------------------------


def test_a_file_of_one_s_own_says_what_differs(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("like: smoke\nabout: mine\noptimizer: {lr: 1e-2}\n")
    recipe = recipe_of(file)
    assert (recipe.name, recipe.about) == ("mine", "mine")
    assert recipe.optimizer == AdamW(lr=0.01, weight_decay=0.02, clip=1.0)
    expected = recipe_of("smoke").to_dict() | {"name": "mine", "about": "mine"}
    found = recipe.to_dict()
    assert found.pop("optimizer") == expected.pop("optimizer") | {"lr": 0.01}
    assert found == expected
    assert recipe_of(file, "optimizer.lr=1").optimizer.lr == 1


def test_like_a_file_that_is_like_another(tmp_path: Path) -> None:
    first, second = tmp_path / "first.yml", tmp_path / "second.yaml"
    first.write_text("like: smoke\nname: mine\nstop: {max_epochs: 7}\n")
    second.write_text(f"like: {first}\nsampler: {{batch_size: 3}}\n")
    recipe = recipe_of(second)
    assert (recipe.stop.max_epochs, recipe.sampler.batch_size) == (7, 3)
    assert recipe.name == "second"  # not the name of what it is like


def test_a_section_of_another_name_replaces_that_of_what_it_is_like(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("like: smoke\noptimizer: {name: sgd, lr: 0.1}\naugmentation: null\n")
    recipe = recipe_of(file)
    assert recipe.optimizer == Sgd(lr=0.1) and recipe.augmentation is None


def test_files_that_are_like_each_other(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"like: {file}\n")
    with pytest.raises(OptionError, match=r"mine\.yaml.*like"):
        load_recipe(str(file))


BAD_FILES = {
    "broken": (b"model: [1, 2\n", ["mine.yaml: is not YAML", "line 2"]),
    "a list": (b"- 1\n- 2\n", ["mine.yaml: is [1, 2], needed are keys and values"]),
    "empty": (b"", ["mine.yaml: is None, needed are keys and values"]),
    "no text": (b"\xff\xfe\x00x", ["mine.yaml"]),
    "code": (b"a: !!python/object:os.system {}\n", ["mine.yaml: is not YAML"]),
    "nothing said": (b"about: x\n", ["recipe mine: optimizer", "is missing; add it"]),
    "like nothing": (b"like: smok\n", ["'smok' is unknown", "did you mean 'smoke'?"]),
    "no words": (b"like: smoke\n1: 2\n", ["recipe mine: unknown key '1'"]),
}


@pytest.mark.parametrize("cause", BAD_FILES)
def test_files_that_are_no_recipes(cause: str, tmp_path: Path) -> None:
    content, expected = BAD_FILES[cause]
    file = tmp_path / "mine.yaml"
    file.write_bytes(content)
    with pytest.raises(OptionError) as caught:
        load_recipe(str(file))
    for part in expected:
        assert part in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"none\.yaml: cannot be read \(No such file.*give a"):
        load_recipe(str(tmp_path / "none.yaml"))
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(OptionError, match=r"folder\.yaml: cannot be read \(Is a directory"):
        load_recipe(str(tmp_path / "folder.yaml"))


@pytest.mark.parametrize(("name", "close"), [("cpu-smal", "'cpu-small'"), ("smoke.yml", "smoke")])
def test_an_unknown_recipe(name: str, close: str) -> None:
    with pytest.raises(OptionError) as caught:
        load_recipe(name)
    assert name in str(caught.value)
    if not name.endswith("yml"):
        assert f"did you mean {close}?" in str(caught.value)
        assert ", ".join(RECIPES) in str(caught.value)


@pytest.mark.parametrize("name", RECIPES)
def test_keys_as_data_are_as_overrides(name: str) -> None:
    keys = {"optimizer.lr": 0.5, "stop.max_epochs": 10}
    words = [f"{key}={value}" for key, value in keys.items()]
    assert load_recipe(name, keys=keys) == load_recipe(name, words)
    assert load_recipe(name, ["optimizer.lr=2"], keys) == load_recipe(
        name, words + words[:0] + ["optimizer.lr=2"]
    )


def test_a_record_keeps_null_lists_and_letters(tmp_path: Path) -> None:
    recipe = recipe_of("second-place", "about='ä — µ: #1'", "optimizer.lr=1e-05")
    text = to_yaml(recipe.to_dict())
    file = tmp_path / "mine.yaml"
    file.write_text(text, encoding="utf-8")
    assert "ä — µ" in text
    assert recipe_of(file) == recipe
