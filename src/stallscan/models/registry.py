"""The one table of networks."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from stallscan.errors import OptionError
from stallscan.models.resnet import ResNet

MODELS: dict[str, Callable[..., nn.Module]] = {
    "resnet18": partial(ResNet, (2, 2, 2, 2)),
    "resnet34": partial(ResNet, (3, 4, 6, 3)),
}


def list_models() -> list[str]:
    """Names that `create_model` knows."""
    return sorted(MODELS)


def create_model(name: str, **options: Any) -> nn.Module:
    """Build a network by its registry name (timm's).

    Args:
        name: one of `list_models`.
        **options: ``rank``, ``in_channels``, ``num_classes``, ``width``, ``pool``,
            ``stem_stride``, ``dropout``; see `stallscan.models.resnet.ResNet`.

    Raises:
        OptionError: an unknown name or option.

    Example:
        >>> model = create_model("resnet18", in_channels=2, width=0.25)
        >>> model(torch.zeros(1, 2, 48, 64, 64)).shape
        torch.Size([1, 1])
    """
    if name not in MODELS:
        close = difflib.get_close_matches(name, MODELS, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise OptionError(f"unknown model {name!r}; {hint}choose from {', '.join(list_models())}")
    try:
        return MODELS[name](**options)
    except (TypeError, ValueError) as error:
        raise OptionError(f"model {name!r}: {error}; see its docstring for its options") from error
