"""Plain data (YAML, JSON) → dataclasses, key by key; unknown keys and wrong kinds are refused."""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from stallscan.errors import OptionError

T = TypeVar("T")


def build(cls: type[T], values: Any, where: str, key: str = "") -> T:
    """A dataclass from a mapping; fields may be dataclasses, or one of several told by ``name``.

    Args:
        cls: the dataclass.
        values: what the file says.
        where: the file or recipe, for messages.
        key: the path to `values`, for messages: ``optimizer``.

    Raises:
        OptionError: an unknown or missing key, or a value of another kind than the field's.
    """
    if not isinstance(values, Mapping):
        raise OptionError(
            f"{where}: {key or 'the recipe'} is {values!r}, needed are keys and values"
        )
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    _check_keys(values, fields, where, key)
    hints = get_type_hints(cls)
    found: dict[str, Any] = {}
    for name, field in fields.items():
        if name in values:
            found[name] = _value(hints[name], values[name], where, _path(key, name))
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise OptionError(f"{where}: {_path(key, name)} is missing; add it")
    try:
        return cls(**found)
    except OptionError as error:
        raise OptionError(f"{where}: {_path(key, str(error))}") from None


def _check_keys(values: Any, known: Mapping[str, Any], where: str, key: str) -> None:
    for name in values:
        if name not in known:
            raise OptionError(
                f"{where}: unknown key {_path(key, name)!r}; {closest(name, known)}allowed are "
                f"{', '.join(known)}"
            )


def closest(name: Any, known: Any) -> str:
    """``did you mean 'x'? `` for a misspelt name, or nothing."""
    close = difflib.get_close_matches(str(name), list(known), n=1)
    return f"did you mean {close[0]!r}? " if close else ""


def _path(key: str, name: Any) -> str:
    return f"{key}.{name}" if key else str(name)


def _value(kind: Any, value: Any, where: str, key: str) -> Any:
    """A value as a field's type wants it."""
    if get_origin(kind) in (Union, types.UnionType):
        return _one_of(get_args(kind), value, where, key)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return build(kind, value, where, key)
    if get_origin(kind) is tuple:
        return _tuple(get_args(kind), value, where, key)
    if get_origin(kind) is Literal:
        allowed = get_args(kind)
        if not any(type(value) is type(one) and value == one for one in allowed):
            raise OptionError(
                f"{where}: {key} is {value!r}; {closest(value, allowed)}allowed are "
                f"{', '.join(map(str, allowed))}"
            )
        return value
    if get_origin(kind) is dict:
        if not isinstance(value, Mapping):
            raise OptionError(f"{where}: {key} is {value!r}, needed are keys and values")
        return dict(value)
    plain = isinstance(value, kind) and not (isinstance(value, bool) and kind is not bool)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not plain or (kind is float and not math.isfinite(value)):
        words = {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}
        raise OptionError(f"{where}: {key} is {value!r}, allowed is {words[kind]}")
    return value


def _one_of(kinds: tuple[Any, ...], value: Any, where: str, key: str) -> Any:
    """None, one of several dataclasses by their ``name``, or the one other kind."""
    others = [kind for kind in kinds if kind is not types.NoneType]
    if value is None and len(others) < len(kinds):
        return None
    if len(others) == 1:
        return _value(others[0], value, where, key)
    by_name = {get_args(get_type_hints(kind)["name"])[0]: kind for kind in others}
    if isinstance(value, Mapping) and "name" not in value:
        known = dict.fromkeys(field.name for kind in others for field in dataclasses.fields(kind))
        _check_keys(value, known, where, key)
        raise OptionError(f"{where}: {key}.name is missing; add it: {', '.join(by_name)}")
    name = value.get("name") if isinstance(value, Mapping) else value
    if not isinstance(name, str) or name not in by_name:
        raise OptionError(
            f"{where}: {key}.name is {name!r}; {closest(name, by_name)}allowed are "
            f"{', '.join(by_name)}"
        )
    return build(by_name[name], value if isinstance(value, Mapping) else {"name": name}, where, key)


def _tuple(kinds: tuple[Any, ...], value: Any, where: str, key: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise OptionError(f"{where}: {key} is {value!r}, needed is a list")
    if kinds[-1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    if len(kinds) != len(value):
        raise OptionError(f"{where}: {key} is {value!r}, needed are {len(kinds)} values")
    return tuple(_value(kind, one, where, key) for kind, one in zip(kinds, value, strict=True))
