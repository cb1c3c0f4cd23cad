"""``stallscan models``."""

from __future__ import annotations

import difflib
import inspect
import textwrap
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from stallscan.cli._docstrings import attributes_of, text_of
from stallscan.cli._progress import say
from stallscan.errors import OptionError
from stallscan.models.figures import FIGURES_SIZE, read_figures
from stallscan.types import Size

if TYPE_CHECKING:
    from stallscan.models._network import Network

_NAMES, _DEFAULTS, _WIDTH = 20, 10, 100  # columns
_ADAM = 2  # numbers that it keeps for each parameter


def models(
    name: Annotated[
        Positional[str | None], arg(metavar="[NAME]", help_behavior_hint="(default: lists all)")
    ] = None,
    size: Size = Size(*FIGURES_SIZE),  # noqa: B008
    in_channels: int = 3,
    batch_size: int = 8,
) -> int:
    """List the networks of `stallscan.models`, or say all about one of them.

    Args:
        name: A network, for its cost and memory, features, first weights and options.
        size: Extents of its input.
        in_channels: Channels of its input.
        batch_size: Volumes at once, in the estimate of the memory for training.
    """
    from stallscan.models.pretrained import weights_of

    figures = read_figures()
    if name is None:
        heading = f"{'name':<{_NAMES}}{'parameters':>12}{'GMACs':>9}   {'weights':<28}licence"
        say(heading)
        for row in figures.values():
            weights = weights_of(row.name)
            origin = f"{weights.source} {weights.tag}"
            say(
                f"{row.name:<{_NAMES}}{row.n_parameters / 1e6:>10.1f} M{row.gmacs:>9.1f}   "
                f"{origin:<28}{weights.licence}"
            )
        say(
            f"\nFor one logit; GMACs for a volume of 3×{_times(FIGURES_SIZE)}. "
            "`stallscan models NAME` says all about one."
        )
        return 0
    if name not in figures:
        close = difflib.get_close_matches(name.lower(), figures, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise OptionError(f"unknown model {name!r}; {hint}choose from {', '.join(figures)}")
    say(_description(name, size, in_channels, batch_size))
    return 0


def _description(name: str, size: Size, in_channels: int, batch_size: int) -> str:
    # Late, for torch takes seconds to load.
    import torch

    from stallscan.models.cost import cost
    from stallscan.models.footprint import estimate_memory
    from stallscan.models.registry import create_model

    with torch.device("meta"):
        model = create_model(name, in_channels=in_channels)
    found = cost(model, size)
    inference = estimate_memory(model, size)
    training = estimate_memory(model, size, batch_size, training=True, optimizer_states=_ADAM)
    volume = f"{in_channels}×{_times(size)}"
    facts = {
        "parameters": f"{found.n_parameters:,}; {found.n_values:,} values with the statistics of "
        "batch normalisation",
        "cost": f"{found.macs / 1e9:.1f} GMACs for a volume of {volume}",
        "memory": f"{_gib(inference)} for one volume, {_gib(training)} for training with Adam on "
        f"batches of {batch_size}; float32, without what the convolutions take besides",
        "smallest input": f"{_times(model.smallest_size())}, with the strides below",
    }
    lines = [f"{name}: {text_of(type(model)).splitlines()[0]}", ""]
    for fact, value in facts.items():
        lines += _columns(f"{fact:<{_NAMES}}", value)
    return "\n".join([*lines, "", *_features(model), "", *_weights(name), "", *_options(name)])


def _features(model: Network) -> list[str]:
    """A line for each level."""
    return [
        f"{'Features':<{_NAMES + 2}}{'channels':>8}  reduction",
        *(
            f"  {level.name:<{_NAMES}}{level.channels:>8}  {_times(level.reduction)}"
            for level in model.feature_info
        ),
    ]


def _weights(name: str) -> list[str]:
    """Where its published weights come from, and what they expect."""
    from stallscan.models.pretrained import weights_of

    weights = weights_of(name)
    facts = {
        "published by": f"{weights.source}, {weights.tag}, trained on {weights.trained_on}",
        "URL" if "://" in weights.url_or_id else "Hugging Face hub": weights.url_or_id,
        "licence": weights.licence,
        "preprocessing": f"RGB in [0, 1], minus {weights.mean}, divided by {weights.std}",
    }
    lines = [f"Weights (pretrained={weights.word!r})"]
    for fact, value in facts.items():
        lines += _columns(f"  {fact:<{_NAMES}}", value)
    return lines


def _options(name: str) -> list[str]:
    """Each option's default and meaning."""
    from stallscan.models.options import NetworkOptions
    from stallscan.models.registry import MODELS, create_model

    arguments = text_of(create_model).replace("\nArgs:\n", "\nAttributes:\n")
    meanings = attributes_of(arguments) | attributes_of(text_of(NetworkOptions))
    defaults = {
        parameter.name: parameter.default
        for function in (create_model, NetworkOptions)
        for parameter in inspect.signature(function).parameters.values()
        if parameter.default is not parameter.empty
    } | MODELS[name].defaults
    lines = [f"Options of create_model({name!r}, …)"]
    for option, default in defaults.items():
        said = str(default).replace(" ", "") if option == "stride" else repr(default)
        beginning = f"  {option:<{_NAMES}}{said:<{_DEFAULTS}}"
        if len(said) > _DEFAULTS:  # the meaning begins under those of the others
            lines.append(beginning)
            beginning = " " * (2 + _NAMES + _DEFAULTS)
        lines += _columns(beginning, meanings[option])
    return lines


def _columns(beginning: str, text: str) -> list[str]:
    return textwrap.wrap(
        f"{beginning} {text}",
        width=_WIDTH,
        subsequent_indent=" " * (len(beginning) + 1),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _times(size: tuple[int, ...]) -> str:
    return "×".join(map(str, size))


def _gib(n_bytes: int) -> str:
    return f"{n_bytes / 2**30:.2g} GiB"
