"""Recipes and options: they build what they name, and wrong ones are refused with a way out."""

import pytest
import torch

from stallscan import augment
from stallscan.errors import OptionError
from stallscan.models import create_model
from stallscan.simulate import PRESETS
from stallscan.training import RECIPES, TrainOptions


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_fits_together(name: str) -> None:
    """The network takes what its preprocessing gives, and answers with one logit."""
    recipe = RECIPES[name]
    model = create_model(recipe.architecture, **recipe.model_options).eval()
    shape = (1, len(recipe.preprocessing.channels), *recipe.preprocessing.size)
    with torch.no_grad():
        assert model(torch.zeros(shape)).shape == (1, 1)
    # Validation has both classes, its augmentation exists, patience can run out.
    assert recipe.n_validation >= 2 and recipe.n_validation % 2 == 0
    assert recipe.augmentation in (None, *augment.PRESETS)
    assert 0 < recipe.stalled_share < 1
    assert {recipe.phantom, recipe.validation_phantom} <= set(PRESETS)
    assert TrainOptions(recipe=name).recipe == name


BAD_OPTIONS = {
    "recipe": ({"recipe": "cpu-smal"}, ["'cpu-smal'", "did you mean 'cpu-small'?", "smoke"]),
    "recipe, far off": ({"recipe": "winner"}, ["'winner'", "choose from cpu-small, smoke"]),
    "seed": ({"seed": -1}, ["--seed is -1", "0 to 2147483647", "choose another"]),
    "large seed": ({"seed": 2**31}, ["--seed is 2147483648", "0 to 2147483647", "choose another"]),
    "epochs": ({"max_epochs": 0}, ["--max-epochs is 0", "1 and above", "leave it out"]),
    "workers": ({"workers": -2}, ["--workers is -2", "0 and above", "0 renders in"]),
}


@pytest.mark.parametrize("cause", BAD_OPTIONS)
def test_bad_options(cause: str) -> None:
    options, expected = BAD_OPTIONS[cause]
    with pytest.raises(OptionError) as caught:
        TrainOptions(**options)
    for part in expected:
        assert part in str(caught.value)
