"""``stallscan recipes``: the ways to train that are in the box."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from tyro.conf import Positional, arg

from stallscan.cli._progress import say
from stallscan.training.recipe_files import RECIPES, load_recipe, to_yaml


def recipes(
    name: Annotated[
        Positional[str | None], arg(metavar="[RECIPE]", help_behavior_hint="(default: lists all)")
    ] = None,
) -> int:
    """List the recipes, or show one as a file, with all its keys.

    Args:
        name: Recipe to show, by name or .yaml file.
    """
    if name is not None:
        say(to_yaml(dataclasses.asdict(load_recipe(name))).rstrip())
        return 0
    width = max(map(len, RECIPES))
    for one in RECIPES:
        say(f"{one:<{width}}  {load_recipe(one).about}")
    say("\n`stallscan recipes NAME` shows one; `stallscan train DATA --recipe NAME` trains it.")
    return 0
