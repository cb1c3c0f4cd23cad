"""``stallscan transforms``."""

from __future__ import annotations

import difflib
import inspect
import textwrap
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from stallscan.cli._docstrings import attributes_of, text_of
from stallscan.cli._progress import say
from stallscan.errors import OptionError

if TYPE_CHECKING:
    from stallscan.augment._batch import BatchAugmentation
    from stallscan.augment._transform import Transform

_NAMES, _DEFAULTS = 23, 12  # columns
_WIDTH = 100
_EVALUATION = "evaluation"  # the one preset without randomness


def transforms(
    name: Annotated[
        Positional[str | None], arg(metavar="[NAME]", help_behavior_hint="(default: lists all)")
    ] = None,
) -> int:
    """List the transforms and presets of `stallscan.augment`, or say all about one of them.

    The YAML of a preset, changed or not, is a pipeline for `stallscan.augment.from_yaml`.

    Args:
        name: A transform, for its options; or a preset, for its YAML.
    """
    from stallscan.augment.evaluation import Preprocessing
    from stallscan.augment.presets import PRESETS, preset
    from stallscan.augment.registry import (
        BATCHES,
        GROUPS,
        MODULES,
        batch_class,
        to_yaml,
        transform_class,
    )

    if name is None:
        width = max(map(len, MODULES)) + 1
        for title, group in GROUPS.items():
            say(f"{title}:")
            for each in group:
                say(f"  {each:<{width}}{text_of(transform_class(each)).splitlines()[0]}")
        say("Of batches:")
        for each in BATCHES:
            say(f"  {each:<{width}}{text_of(batch_class(each)).splitlines()[0]}")
        say("Presets:")
        for each, steps in PRESETS.items():
            say(f"  {each:<{width}}{text_of(steps).splitlines()[0]}")
        say(f"  {_EVALUATION:<{width}}{text_of(Preprocessing).splitlines()[0]}")
        say("\n`stallscan transforms NAME` says all about one.")
    elif name in MODULES:
        say(_description(transform_class(name)))
    elif name in BATCHES:
        say(_description(batch_class(name)))
    elif name in PRESETS:
        say(to_yaml(preset(name)).rstrip())
    elif name == _EVALUATION:
        say(text_of(Preprocessing))
    else:
        known = {each.lower(): each for each in (*MODULES, *BATCHES, *PRESETS, _EVALUATION)}
        close = difflib.get_close_matches(name.lower(), known, n=1)
        hint = f"did you mean {known[close[0]]!r}? " if close else ""
        raise OptionError(
            f"no transform or preset {name!r}; {hint}choose from {', '.join(known.values())}"
        )
    return 0


def _description(kind: type[Transform | BatchAugmentation]) -> str:
    """The docstring, with each option's default beside its meaning."""
    text, _, example = text_of(kind).partition("\nExample:\n")
    meanings: dict[str, str] = {}
    for parent in reversed(kind.__mro__):
        meanings |= attributes_of(text_of(parent))
    prose = text.partition("\nAttributes:\n")[0]
    lines = [f"{kind.__name__}: {prose}", "Options:"]
    for option in inspect.signature(kind).parameters.values():
        default = "required" if option.default is option.empty else repr(option.default)
        beginning = f"  {option.name:<{_NAMES}}{default:<{_DEFAULTS}}"
        lines += textwrap.wrap(
            f"{beginning} {meanings[option.name]}",
            width=_WIDTH,
            subsequent_indent=" " * (_NAMES + _DEFAULTS + 3),
        )
    return "\n".join([*lines, "", "Example:", example])
