"""What a user may choose about explanations (no torch, so that `--help` is quick)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from stallscan.errors import OptionError

MapName = Literal["grad-cam", "attention", "occlusion"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainOptions:
    """What is drawn."""

    map: MapName = "grad-cam"
    """grad-cam, attention (the paper's), or occlusion."""
    speaks_for: Literal["call", "stalled", "flowing"] = "call"
    """What a map of a class is of: the call, or one of both."""
    layer: str | None = None
    """Level of features for grad-cam."""
    size: tuple[int, int, int] | None = None
    """Input Z Y X of the map; the paper took 320 400 400."""
    picture_alone: bool = False
    """Write neither video nor gif."""

    def __post_init__(self) -> None:
        if self.layer is not None and self.map != "grad-cam":
            raise OptionError(
                f"--layer is {self.layer!r} and --map is {self.map}, which has no choice of "
                "layers; leave one of them out"
            )
        if self.size is not None and min(self.size) < 1:
            raise OptionError(f"--size is {self.size}, allowed are three positive extents Z Y X")
