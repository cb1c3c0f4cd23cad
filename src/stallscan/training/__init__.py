"""Recipes and the engine that trains them (needs the ``[train]`` extra)."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "jobs": ["train_all"],
        "options": ["TrainOptions"],
        "recipe": ["EnsembleRecipe", "Recipe"],
        "recipe_files": ["RECIPES", "load_recipe"],
        "run": ["train"],
        "phantom_data": ["Phantom"],
        "store_data": ["Videos"],
    },
)
