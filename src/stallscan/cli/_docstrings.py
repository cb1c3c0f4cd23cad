"""What docstrings say, for the verbs that list things."""

from __future__ import annotations

import inspect
import textwrap


def text_of(thing: object) -> str:
    """The docstring as it reads on a terminal."""
    return inspect.cleandoc(thing.__doc__ or "").replace("``", "`")


def attributes_of(text: str) -> dict[str, str]:
    """What a docstring says of each attribute, in one line."""
    section = text.partition("\nAttributes:\n")[2].partition("\n\n")[0]
    found: dict[str, str] = {}
    for line in textwrap.dedent(section).splitlines():
        if line.startswith(" "):
            name = list(found)[-1]
            found[name] += f" {line.strip()}"
        else:
            name, _, meaning = line.partition(": ")
            found[name] = meaning
    return found
