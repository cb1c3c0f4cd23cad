"""A recipe's network without its weights, for looking at sizes and memory."""

from __future__ import annotations

import torch

from stallscan.models._network import Network
from stallscan.models.registry import create_model
from stallscan.training.recipe import Recipe

TYPICAL_DEPTH = 64
"""Slices by which memory is judged where every video keeps its own depth (median of the
competition's videos: 56)."""


def empty_network(recipe: Recipe) -> Network:
    """The network on the meta device: nothing is allocated, drawn or fetched.

    Raises:
        OptionError: an unknown network or option.
    """
    arguments = {**recipe.network, "pretrained": None}
    with torch.device("meta"):
        return create_model(arguments.pop("name"), **arguments)


def typical_size(recipe: Recipe) -> tuple[int, int, int]:
    """``(z, y, x)`` of an input, of `TYPICAL_DEPTH` where videos keep their own."""
    depth, height, width = recipe.must_input.size
    return depth or TYPICAL_DEPTH, height, width
