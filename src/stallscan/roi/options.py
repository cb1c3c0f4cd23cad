"""What a user may choose about regions of interest (no OpenCV, so that `--help` is quick)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stallscan.errors import OptionError
from stallscan.types import Color
from stallscan.video._limits import DEFAULT_MAX_GIB, check_max_gib

MIN_NOMINAL_CHROMA = 100
"""Highest minus lowest channel of a colour that can be told from grey: a blended line keeps more
than half of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoiOptions:
    """Where the regions come from, and what is accepted."""

    roi: Literal["outline", "full"] = "outline"
    """outline drawn into the video; full: all of it."""
    outline_color: Color | None = None
    """Colour of the line; orange by default."""
    rois: Path | None = None
    """Table of regions to use (filename, box, polygon)."""
    partial: bool = False
    """Use frames before a damaged place; flags the row."""
    max_gib: float = DEFAULT_MAX_GIB
    """The most that one stack may take in memory, in GiB."""

    def __post_init__(self) -> None:
        check_max_gib(self.max_gib)
        if self.outline_color is not None:
            _check_color(self.outline_color)
        chosen = [
            name
            for name, given in (
                ("--roi full", self.roi == "full"),
                ("--outline-color", self.outline_color is not None),
                ("--rois", self.rois is not None),
            )
            if given
        ]
        if len(chosen) > 1:
            raise OptionError(
                f"{' and '.join(chosen)} exclude each other: regions are outlines, a table or "
                "whole frames; give one of them"
            )


def _check_color(color: Color) -> None:
    """Refuse a colour that cannot be told from grey.

    Raises:
        OptionError: a channel outside 0–255, or too little colour.
    """
    text = ",".join(map(str, color))
    if not all(0 <= channel <= 255 for channel in color):
        raise OptionError(f"--outline-color is {text}, allowed are three values from 0 to 255")
    if max(color) - min(color) < MIN_NOMINAL_CHROMA:
        raise OptionError(
            f"--outline-color is {text}, too close to grey (its channels differ by "
            f"{max(color) - min(color)}, need {MIN_NOMINAL_CHROMA}); draw the outline in a "
            "saturated colour, or give the regions by --rois"
        )
