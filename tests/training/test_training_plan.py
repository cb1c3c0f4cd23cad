"""What a run would be: the resolved recipe, and what follows from it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from labelled import Video, write_labelled
from stallscan.errors import OptionError
from stallscan.models import create_model
from stallscan.models.box import find_model
from stallscan.training import Phantom, Recipe, TrainOptions, Videos, load_recipe, plan
from stallscan.training.plan import describe_run

OPTIONS = TrainOptions(device="cpu")


def recipe_of(name: str, *overrides: str) -> Recipe:
    recipe = load_recipe(name, overrides)
    assert isinstance(recipe, Recipe)
    return recipe


def lines_of(text: str) -> dict[str, str]:
    """The figures below the recipe, by their name."""
    tail = text.rpartition("\n\n")[2]
    return dict(re.split(r" {2,}", line, maxsplit=1) for line in tail.splitlines())


def test_the_recipe_comes_first_and_loads_again(tmp_path: Path) -> None:
    recipe = recipe_of("smoke", "optimizer.lr=3e-4", "augmentation.device=false")
    text = describe_run(recipe, OPTIONS, Phantom())
    file = tmp_path / "mine.yaml"
    file.write_text(text.rpartition("\n\n")[0])
    assert recipe_of(str(file)) == recipe


def test_a_cpu_does_not_augment_by_itself() -> None:
    """The workers do, unless a recipe says otherwise; a plan shows what auto comes to."""
    for device, found in (("auto", "false"), ("false", "false"), ("true", "true")):
        recipe = recipe_of("smoke", f"augmentation.device={device}")
        assert f"device: {found}}}" in describe_run(recipe, OPTIONS, Phantom())


def test_sizes_and_steps() -> None:
    recipe = recipe_of(
        "smoke",
        "sampler={batch_size: 4, batches_per_epoch: 7}",
        "optimizer.accumulate=3",
        "stop.max_epochs=5",
        "validation.flowing_per_stalled=3",
    )
    found = lines_of(describe_run(recipe, OPTIONS, Phantom()))
    n_parameters = sum(p.numel() for p in create_model("resnet18", width=0.0625).parameters())
    assert found["network"].startswith(f"resnet18, {n_parameters:,} parameters, 0.0")
    assert found["first weights"] == "random"
    assert found["input"] == "3×16×32×32 float32, 0.2 MiB a sample"
    assert found["batch"] == "4 samples × 3 accumulated = 12 a step"
    assert found["epoch"] == "7 batches, 3 steps, 28 samples"
    assert found["run"] == "at most 5 epochs, 15 steps"
    assert found["devices"] == "1 × cpu, float32"
    assert re.fullmatch(r"about 0\.0\d GiB on each.*: fits", found["memory"])
    assert found["data"] == "stallscan phantom, endless; validation: 2 stalled, 6 flowing"


def test_the_winner_s_first_stage() -> None:
    """Its sizes are the paper's: 11.9 million parameters, batches of 6 × 20."""
    recipe = recipe_of("winner-stage1", "model.pretrained=null", "validation.n=4")
    found = lines_of(describe_run(recipe, OPTIONS, Phantom()))
    assert "11,811,841 parameters, 40.8" in found["network"]
    assert found["batch"] == "6 samples × 20 accumulated = 120 a step"
    assert found["epoch"] == "1,000 batches, 50 steps, 6,000 samples"


def test_native_depth() -> None:
    """Judged by a typical stack."""
    recipe = recipe_of(
        "smoke",
        "input.size=[null, 32, 32]",
        "sampler.batch_size=1",
        "augmentation.resize=false",
    )
    found = lines_of(describe_run(recipe, OPTIONS, Phantom()))
    assert "3×64×32×32" in found["input"] and "keeps its own depth" in found["input"]


def test_first_weights() -> None:
    recipe = recipe_of("smoke", "model.pretrained=imagenet")  # nothing is downloaded for a plan
    assert lines_of(describe_run(recipe, OPTIONS, Phantom()))["first weights"] == "imagenet"
    recipe = recipe_of("fine-tune", "validation={n: 4, flowing_per_stalled: 1}")
    found = lines_of(describe_run(recipe, OPTIONS, Phantom()))
    assert found["first weights"] == str(find_model("fast"))
    assert found["network"].startswith("resnet18")


def test_too_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "available_memory", lambda _: 2**20)
    found = lines_of(describe_run(recipe_of("smoke"), OPTIONS, Phantom()))
    assert "of 0.00 GiB available: TOO MUCH; lower sampler.batch_size" in found["memory"]
    monkeypatch.setattr(plan, "available_memory", lambda _: None)
    found = lines_of(describe_run(recipe_of("smoke"), OPTIONS, Phantom()))
    assert re.fullmatch(r"about \d\.\d\d GiB on each in float32", found["memory"])


def test_labelled_videos(tmp_path: Path) -> None:
    videos = write_labelled(tmp_path / "data", [Video(stalled=int(n % 3 == 0)) for n in range(12)])
    before = sorted(tmp_path.rglob("*"))
    recipe = recipe_of("smoke", "folds.n=2")
    found = lines_of(describe_run(recipe, OPTIONS, videos))
    assert found["data"] == "12 labelled videos; validation: 2 stalled, 2 flowing"
    folder = tmp_path / "videos"
    folder.mkdir()
    found = lines_of(describe_run(recipe, OPTIONS, Videos(data=folder, labels=videos.labels)))
    assert found["data"] == f"{folder}: counted once its ROIs are extracted"
    folder.rmdir()
    assert sorted(tmp_path.rglob("*")) == before


REFUSED = {
    "data": (["data.phantom=randomized"], "did you mean 'randomised'?"),
    "too few": (["validation={n: 4, flowing_per_stalled: 10}"], "set validation.n to 11"),
    "network": (["model.architecture=resnt18"], "did you mean 'resnet18'?"),
    "option": (["model.options.widht=1"], "did you mean 'width'?"),
    "preset": (["augmentation.preset=hevy"], "did you mean 'heavy'?"),
    "precision": (["engine.precision=bf16"], "allowed on a CPU is float32"),
    "start": (["start=any"], "pass --start RUN"),
}


@pytest.mark.parametrize("cause", REFUSED)
def test_a_plan_refuses_what_a_run_would(cause: str) -> None:
    overrides, expected = REFUSED[cause]
    with pytest.raises(OptionError) as caught:
        describe_run(recipe_of("smoke", *overrides), OPTIONS, Phantom())
    assert expected in str(caught.value)
