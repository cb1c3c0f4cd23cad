"""Recipes as files: `recipes/*.yaml`, and a user's own."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from stallscan.errors import OptionError
from stallscan.training._fields import build, closest
from stallscan.training.recipe import EnsembleRecipe, Recipe

_FOLDER = Path(__file__).parent / "recipes"

RECIPES = tuple(sorted(path.stem for path in _FOLDER.glob("*.yaml")))
"""Names of the recipes in the box."""


def load_recipe(
    name: str, overrides: Iterable[str] = (), keys: Mapping[str, Any] | None = None
) -> Recipe | EnsembleRecipe:
    """A recipe in the box, or a file of one's own, with some keys set anew.

    A file may say ``like: NAME`` and then only what differs from that recipe.

    Args:
        name: from `RECIPES`, or the path of a YAML file.
        overrides: ``key=value`` with dots between the keys: ``optimizer.lr=3e-4``. Of an ensemble
            they are for every member's recipe, all but ``combine`` and ``members``.
        keys: the same as data, set before them.

    Raises:
        OptionError: an unknown recipe or key, or a value that is not allowed.

    Example:
        >>> load_recipe("cpu-small", ["optimizer.lr=3e-4"]).optimizer.lr
        0.0003
    """
    values = _read(name)
    values.setdefault("name", Path(name).stem)
    where = f"recipe {values['name']}"
    chosen = dict(keys or {}) | dict(map(_key_and_value, overrides))
    if not values.keys().isdisjoint(("members", "combine")):
        own = {key: chosen.pop(key) for key in ("combine", "members") if key in chosen}
        return _ensemble(build(EnsembleRecipe, values | own, where), chosen)
    for key, value in chosen.items():
        set_key(values, key, value)
    return build(Recipe, values, where)


def _key_and_value(override: str) -> tuple[str, Any]:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise OptionError(f"--set is {override!r}, allowed is key=value: optimizer.lr=3e-4")
    return key.strip(), _parse(text, f"--set {override}")


def _ensemble(recipe: EnsembleRecipe, keys: dict[str, Any]) -> EnsembleRecipe:
    """With keys set in every member."""
    members = [dataclasses.replace(one, set=one.set | keys) for one in recipe.members]
    return dataclasses.replace(recipe, members=tuple(members))


def to_yaml(recipe: Mapping[str, Any]) -> str:
    """What `Recipe.to_dict` gives, as a file that `load_recipe` reads."""
    return yaml.safe_dump(
        _plain(recipe), sort_keys=False, width=100, allow_unicode=True, default_flow_style=None
    )


def set_key(values: dict[str, Any], key: str, value: Any) -> None:
    """Set ``a.b`` of nested mappings; ``a.name`` clears the keys that belong to the former name."""
    *parents, last = key.split(".")
    for parent in parents:
        if not isinstance(old := values.get(parent), dict):
            # A word alone is the name of a choice: optimizer=sgd.
            values[parent] = {"name": old} if isinstance(old, str) else {}
        values = values[parent]
    if last == "name" and parents and values.get("name") != value:
        values.clear()
    values[last] = value


def _read(name: str, read: tuple[str, ...] = ()) -> dict[str, Any]:
    path = Path(name)
    if name in RECIPES:
        path = _FOLDER / f"{name}.yaml"
    elif path.suffix not in (".yaml", ".yml"):
        raise OptionError(
            f"recipe {name!r} is unknown; {closest(name, RECIPES)}choose from "
            f"{', '.join(RECIPES)}, or give a .yaml file"
        )
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OptionError(
            f"{path}: cannot be read ({reason}); give a recipe's name or file"
        ) from error
    values = _parse(text, str(path))
    if not isinstance(values, dict):
        raise OptionError(f"{path}: is {values!r}, needed are keys and values")
    like = values.pop("like", None)
    if like is None:
        return values
    beside = path.parent / str(like)
    like = str(beside if beside.is_file() else like)
    if like in (name, *read):
        raise OptionError(f"{path}: is like itself (like: {like}); name another recipe")
    base = _read(like, (*read, name))
    base.pop("name", None)
    return _merged(base, values)


def _merged(base: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """``values`` over ``base``, key by key; a section of another name replaces the base's."""
    result = deepcopy(base)
    for key, value in values.items():
        old = result.get(key)
        same = isinstance(old, dict) and isinstance(value, dict)
        if same and value.get("name", old.get("name")) == old.get("name"):  # type: ignore[union-attr]
            result[key] = _merged(old, value)  # type: ignore[arg-type]
        else:
            result[key] = value
    return result


class _Loader(yaml.SafeLoader):
    """YAML in which ``1e-4`` is a number, as everywhere else but in YAML 1.1."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+0123456789."),
)


def _parse(text: str, where: str) -> Any:
    try:
        return yaml.load(text, _Loader)  # a SafeLoader: plain data only
    except yaml.YAMLError as error:
        raise OptionError(f"{where}: is not YAML ({' '.join(str(error).split())})") from error


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value
