"""Recipes and the engine that trains them (needs the ``[train]`` extra)."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "recipe": ["RECIPES", "Recipe", "TrainOptions"],
        "run": ["train"],
        "store_data": ["Videos"],
    },
)
