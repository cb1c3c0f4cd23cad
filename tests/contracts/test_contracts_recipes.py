"""Every recipe trains, saves and predicts; everything that a recipe says is read by something."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
import torch

import stallscan
from cases import case
from labelled import Video, write_labelled
from stallscan.cli import main
from stallscan.errors import OptionError
from stallscan.models import footprint
from stallscan.roi.region import whole_frame
from stallscan.roi.volume import Volume
from stallscan.simulate.phantom import phantom_roi
from stallscan.training import (
    RECIPES,
    Recipe,
    TrainOptions,
    history,
    load_recipe,
    phantom_data,
    recipe_files,
    train,
)
from stallscan.training import recipe as recipe_module
from stallscan.training.devices import resolve_devices, with_device
from stallscan.training.jobs import plan_jobs, train_all
from stallscan.training.phantom_data import Phantom
from stallscan.training.plan import describe_run
from stallscan.training.recipe import Cyclic, EnsembleRecipe, Member
from stallscan.training.recipe_files import to_yaml
from stallscan.training.samples import TRAIN_STREAM, SampleKey
from stallscan.training.start import resolve_start
from stallscan.types import Label
from stallscan.video.clip import Clip

OPTIONS = TrainOptions(seed=3, workers=0, device="cpu")
STEPS = ("sampler.batches_per_epoch=3", "optimizer.accumulate=2", "stop.max_epochs=1")
"""Two steps: of two batches, and of what is left of the epoch."""
NETWORK = ("model.options.width=0.0625", "model.pretrained=null")
"""Narrow, and nothing is downloaded."""


def narrowed(name: str) -> list[str]:
    """Overrides that make a recipe quick and leave it what it is."""
    recipe = load_recipe(name)
    if isinstance(recipe, EnsembleRecipe):
        sampler = ["sampler.batch_size=2", "validation.n=4", "input.size=[32, 32, 32]"]
        return [*STEPS, *NETWORK, *sampler]
    found = list(STEPS)
    ratio = recipe.validation.flowing_per_stalled
    if ratio is None:  # natural prevalence takes hundreds of samples
        found += ["validation.flowing_per_stalled=1"]
    found += [f"validation.n={2 * (1 + int(ratio or 1))}"]
    if isinstance(recipe.schedule, Cyclic):
        found += ["schedule.cycles=1"]
    if recipe.sampler.batch_size > 1:
        found += ["sampler.batch_size=2"]
    if recipe.model is not None:
        found += NETWORK
    if recipe.input is not None:
        found += [f"input.size=[{'null' if recipe.input.size[0] is None else 32}, 32, 32]"]
    return found


def networks_of(name: str) -> dict[str, Recipe]:
    """The recipe itself, or those of an ensemble's members, each for its first fold."""
    recipe = load_recipe(name, narrowed(name))
    if isinstance(recipe, Recipe):
        return {name: recipe}
    return {f"{name}/{job.path}": job.recipe for job in plan_jobs(recipe) if job.fold == 0}


NETWORKS = {path: recipe for name in RECIPES for path, recipe in networks_of(name).items()}


# --- Watching what is read --------------------------------------------------------------------

Field = tuple[type, str]
SECTIONS = [
    cls
    for cls in vars(recipe_module).values()
    if dataclasses.is_dataclass(cls) and cls.__module__ == recipe_module.__name__
]


CHOICES = [
    cls
    for cls in SECTIONS
    if "name" in cls.__annotations__ and "about" not in cls.__annotations__ and cls is not Member
]
"""Their name only says which of several a section is."""


class Reads:
    """Fields of a recipe's dataclasses that the program has asked for."""

    def __init__(self) -> None:
        self.all: set[Field] = set()
        self.now: set[Field] = set()

    def add(self, field: Field) -> None:
        self.all.add(field)
        self.now.add(field)


def only_copies_or_checks(frame: FrameType | None) -> bool:
    """Whether a read is that of asdict, replace or ==, or of the check of a value."""
    while frame is not None:
        if frame.f_code.co_filename in (dataclasses.__file__, "<string>"):
            return True
        if frame.f_code.co_name == "__post_init__":
            return True
        if frame.f_code.co_filename != recipe_module.__file__:
            return False
        frame = frame.f_back  # of a property, or a check's helper: who asked for it?
    return False


@pytest.fixture(scope="module")
def reads() -> Iterator[Reads]:
    """Watches while the tests of this file run."""
    seen = Reads()
    with pytest.MonkeyPatch.context() as patch:
        for cls in SECTIONS:
            names = frozenset(field.name for field in dataclasses.fields(cls))

            def watched(self: Any, name: str, names: frozenset[str] = names) -> Any:
                if name in names and not only_copies_or_checks(sys._getframe(1)):
                    seen.add((type(self), name))
                return object.__getattribute__(self, name)

            patch.setattr(cls, "__getattribute__", watched)
        yield seen


def named_fields(recipe: Recipe, values: dict[str, Any]) -> set[Field]:
    """The fields that a recipe's file names, but for words that no program reads."""
    found: set[Field] = set()
    for key, value in values.items():
        section = getattr(recipe, key)
        if isinstance(value, dict):
            found |= {(type(section), inner) for inner in value if inner != "name"}
        elif key not in ("name", "about"):
            found.add((Recipe, key))
    return found


# --- Runs -------------------------------------------------------------------------------------


def noise_clip(seed: tuple[int, ...], *_: object) -> tuple[Clip, None]:
    """A depth of its own, as phantoms have."""
    rng = np.random.default_rng(seed)
    array = rng.integers(0, 256, (int(rng.integers(33, 40)), 30, 34, 3), np.uint8)
    return Clip(array=array, source="noise", voxel_size_um=(1.0, 1.0, 1.0)), None


def noise_roi(seed: tuple[int, ...], *_: object) -> tuple[Volume, Volume]:
    """What is known of noise is the noise."""
    clip, _ = noise_clip(seed)
    volume = whole_frame(clip).crop(clip)
    return volume, volume


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    folder: Path
    recipe: Recipe
    read: set[Field]


Train = Callable[[str], Run]


@pytest.fixture(scope="module")
def train_once(tmp_path_factory: pytest.TempPathFactory, reads: Reads) -> Iterator[Train]:
    """A function: path in `NETWORKS` → its run on the phantom, after those that it starts from.

    The recipe also makes a sample of labelled videos, so that all that it says is read.
    """
    folder = tmp_path_factory.mktemp("recipes")
    videos = [
        Video(stalled=n % 2, project="GHIJL"[n % 5], crowd_score=n % 2 * 0.8) for n in range(40)
    ]
    labelled = {
        region: write_labelled(folder / f"labelled-{region}", videos, region=region)
        for region in ("outline", "full")
    }
    done: dict[str, Run] = {}

    def run(path: str) -> Run:
        if path in done:
            return done[path]
        recipe = NETWORKS[path]
        before = run(recipe.start).folder if recipe.start in NETWORKS else None
        options = dataclasses.replace(OPTIONS, start=before)
        reads.now.clear()
        with pytest.MonkeyPatch.context() as patch:
            # Half of the time, and tested elsewhere.
            patch.setattr(footprint, "estimate_memory", lambda *_, **__: 1)
            if path != "smoke":  # which renders phantoms and draws; the others see noise
                patch.setattr(history, "draw_curves", lambda *_: None)
                patch.setattr(phantom_data, "phantom_roi", noise_roi)
                patch.setattr(phantom_data, "phantom_clip", noise_clip)
            run_dir = train(folder / path, recipe, options, progress=False)
        resolved, _ = resolve_start(recipe, before, 0)
        resolved = with_device(resolved, resolve_devices(resolved, options))
        if not resolved.sampler.twins:  # which labelled videos do not have
            data = labelled[resolved.data.region].open(folder, resolved, 0)
            data.dataset[SampleKey(TRAIN_STREAM, 0, 0, Label.STALLED)]
        done[path] = Run(folder=run_dir, recipe=resolved, read=set(reads.now))
        return done[path]

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield run
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def roi() -> Volume:
    return phantom_roi(5, Label.STALLED)[0]


@pytest.mark.parametrize("path", NETWORKS)
def test_a_recipe_takes_two_steps_and_saves_what_predicts(
    path: str, train_once: Train, roi: Volume
) -> None:
    run = train_once(path)
    last = torch.load(run.folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert (last["epoch"], last["global_step"]) == (0, 2)
    predictor = stallscan.load_predictor(run.folder, flips=1)
    assert 0 < predictor(roi).probability < 1
    for member in predictor.members:
        assert member.preprocessing == run.recipe.must_input.preprocessing()
    again = load_recipe(str(run.folder / "recipe.yaml"))
    assert again == run.recipe


@pytest.mark.parametrize("path", NETWORKS)
def test_what_a_recipe_s_file_says_is_read(path: str, train_once: Train) -> None:
    """By its own run, not only by another's."""
    run = train_once(path)
    name = path.partition("/")[0]
    if name != path:  # of an ensemble's member
        members = load_recipe(name).members
        name = next(m.recipe for m in members if path.split("/")[1] == (m.name or m.recipe))
    missed = named_fields(run.recipe, recipe_files._read(name)) - run.read
    assert not {f"{cls.__name__}.{field}" for cls, field in missed}


def test_every_key_that_a_recipe_may_have_is_read(
    train_once: Train, reads: Reads, tmp_path: Path
) -> None:
    """And the words of it are printed, or say which section it is."""
    for path in NETWORKS:
        train_once(path)
    main(["recipes"])
    # What no recipe in the box chooses.
    chosen = ["optimizer.name=sgd", "optimizer.lr=0.01", "schedule.name=constant", "combine=logit"]
    file = tmp_path / "mine.yaml"
    file.write_text("about: one\nmembers: [{recipe: smoke, folds: [0]}]\n")
    for mix in ("mixup", "cutmix"):
        recipe = load_recipe(str(file), [*narrowed("smoke"), *chosen, f"mix.name={mix}"])
        train_all(tmp_path / mix, recipe, OPTIONS, progress=False)
    known = {
        (cls, field.name)
        for cls in SECTIONS
        for field in dataclasses.fields(cls)
        if not (field.name == "name" and cls in CHOICES) and not cls.__name__.startswith("_")
    }
    missed = known - reads.all
    assert not {f"{cls.__name__}.{field}" for cls, field in missed}


# --- Misspelt keys ----------------------------------------------------------------------------


def keys_of(values: dict[str, Any], before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths to all keys of nested mappings and lists."""
    for key, value in values.items():
        yield (*before, key)
        if isinstance(value, dict):
            yield from keys_of(value, (*before, key))
        if isinstance(value, list):
            for index, one in enumerate(value):
                if isinstance(one, dict):
                    yield from keys_of(one, (*before, key, index))


FOLDER = Path(recipe_files.__file__).parent / "recipes"
FILES = {name: recipe_files._parse((FOLDER / f"{name}.yaml").read_text(), name) for name in RECIPES}


def misspelt(word: str) -> str:
    """With its last two letters in the other order; of a short word, the last one twice."""
    return word[:-2] + word[:-3:-1] if len(word) > 3 and word[-1] != word[-2] else word + word[-1]


@pytest.mark.parametrize("name", FILES)
def test_a_misspelt_key_is_refused_with_the_right_one(name: str, tmp_path: Path) -> None:
    for path in keys_of(FILES[name]):
        with case(path):
            assert_misspelt_is_refused(FILES[name], path, tmp_path / "mine.yaml")


def assert_misspelt_is_refused(sound: dict[str, Any], path: tuple[Any, ...], file: Path) -> None:
    values = deepcopy(sound)
    inner: Any = values
    for key in path[:-1]:
        inner = inner[key]
    right = path[-1]
    wrong = misspelt(right)
    inner[wrong] = inner.pop(right)
    file.write_text(to_yaml(values))
    with pytest.raises(OptionError) as caught:
        recipe = load_recipe(str(file))
        jobs = [job.recipe for job in plan_jobs(recipe)]
        describe_run(jobs[0], OPTIONS, Phantom())
    message = str(caught.value)
    last = right.rpartition(".")[2]
    assert misspelt(last) in message and (f"did you mean {last!r}?" in message or last == "like")


@pytest.mark.parametrize("path", NETWORKS)
def test_a_recipe_s_record_is_a_file_of_it(path: str, tmp_path: Path) -> None:
    recipe = NETWORKS[path]
    file = tmp_path / "mine.yaml"
    file.write_text(to_yaml(recipe.to_dict()))
    assert load_recipe(str(file)) == recipe
