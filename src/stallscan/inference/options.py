"""What a user may choose (no torch, so that `--help` is quick)."""

from __future__ import annotations

from dataclasses import dataclass

from stallscan.errors import OptionError


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictOptions:
    """Options of `stallscan predict` that decide what comes out."""

    flips: int | None = None
    """Mirrored copies averaged: 1, 2, 4 or 8; the model's own by default."""
    threshold: float | None = None
    """Least probability of a stalled call; the model's own by default."""

    def __post_init__(self) -> None:
        if self.flips not in (None, 1, 2, 4, 8):
            raise OptionError(f"--flips is {self.flips}, allowed are 1, 2, 4 and 8")
        if self.threshold is not None and not 0.0 <= self.threshold <= 1.0:
            raise OptionError(f"--threshold is {self.threshold}, allowed is a probability, 0 to 1")
