"""How values are read and shown: numbers, triples in one word, None where nothing is given."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from tyro.constructors import (
    ConstructorRegistry,
    PrimitiveConstructorSpec,
    PrimitiveTypeInfo,
)

from stallscan.types import Color, Size
from stallscan.video.remote import is_url

_TRIPLES: dict[Any, str] = {Size: "Z,Y,X", Color: "R,G,B"}

REGISTRY = ConstructorRegistry()
"""Active while a command line is parsed."""


@REGISTRY.primitive_rule
def _triple(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    metavar = _TRIPLES.get(info.type)
    if metavar is None:
        return None
    make: Any = info.type

    def parse(words: list[str]) -> Any:
        numbers = words[0].split(",")
        if len(numbers) != 3 or not all(number.strip().isdecimal() for number in numbers):
            raise ValueError(f"{words[0]!r} are not three whole numbers as {metavar}")
        return make(*map(int, numbers))

    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=parse,
        is_instance=lambda value: isinstance(value, make),
        str_from_instance=lambda value: [",".join(map(str, value))],
    )


@REGISTRY.primitive_rule
def _number(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """One letter, so that name and text of an option share a line."""
    metavar = {int: "N", float: "X"}.get(info.type) if isinstance(info.type, type) else None
    if metavar is None:
        return None
    make: Any = info.type
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=lambda words: make(words[0]),
        is_instance=lambda value: isinstance(value, make) and not isinstance(value, bool),
        str_from_instance=lambda value: [str(value)],
    )


@REGISTRY.primitive_rule
def _choice(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """One of some words, which the option's text explains and so need not stand before it."""
    allowed = get_args(info.type)
    if get_origin(info.type) is not Literal or not all(isinstance(word, str) for word in allowed):
        return None

    def parse(words: list[str]) -> str:
        if words[0] not in allowed:
            raise ValueError(f"{words[0]!r} is not one of {', '.join(allowed)}")
        return words[0]

    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="WORD",
        instance_from_str=parse,
        is_instance=lambda value: value in allowed,
        str_from_instance=lambda value: [value],
    )


@REGISTRY.primitive_rule
def _location(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """A path, or a URL, whose slashes a path would not keep."""
    if info.type != Path | str:
        return None
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="PLACE",
        instance_from_str=lambda words: words[0] if is_url(words[0]) else Path(words[0]),
        is_instance=lambda value: isinstance(value, Path | str),
        str_from_instance=lambda value: [str(value)],
    )


@REGISTRY.primitive_rule
def _optional(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """``X | None``: nobody types None, so the help need not offer it."""
    others = [part for part in get_args(info.type) if part is not NoneType]
    is_union = get_origin(info.type) in (Union, UnionType)
    if not is_union or len(others) == len(get_args(info.type)) or len(others) not in (1, 2):
        return None
    other = others[0] if len(others) == 1 else others[0] | others[1]
    if len(others) == 2 and other != Path | str:
        return None
    spec = ConstructorRegistry.get_primitive_spec(PrimitiveTypeInfo.make(other, info.markers))
    if not isinstance(spec, PrimitiveConstructorSpec):
        return None
    return dataclasses.replace(
        spec,
        is_instance=lambda value: value is None or spec.is_instance(value),
        str_from_instance=lambda value: (
            ["None"] if value is None else spec.str_from_instance(value)
        ),
    )
