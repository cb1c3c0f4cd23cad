"""From what a network says to how often it is right when it says so (read without torch)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

_LEAST = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """A line through the logits (Platt, 1999), fitted on data that trained nothing.

    Attributes:
        slope: above 0, so that the order of vessels stays.
        intercept: added to the logit.
        stalled_share: of the data on which it was fitted; where another share is stalled, the
            probabilities are as far off as the odds are.

    Raises:
        ValueError: not finite, or a slope or share outside what is allowed.
    """

    slope: float
    intercept: float
    stalled_share: float

    def __post_init__(self) -> None:
        for name in ("slope", "intercept", "stalled_share"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ValueError(f"{name} is {value!r}, allowed are numbers")
            if not math.isfinite(value):
                raise ValueError(f"{name} is {value}, allowed are finite numbers")
        if self.slope <= 0:
            raise ValueError(f"slope is {self.slope}, allowed are numbers above 0")
        if not 0 < self.stalled_share < 1:
            raise ValueError(f"stalled_share is {self.stalled_share}, allowed are shares in (0, 1)")

    @classmethod
    def from_json(cls, value: Any) -> Calibration | None:
        """From model.json or ensemble.json, where null is none.

        Raises:
            ValueError: not what `Calibration` holds.
        """
        if value is None or isinstance(value, Calibration):
            return value
        if not isinstance(value, dict):
            raise ValueError("needed is a JSON object, or null")
        try:
            return cls(**value)
        except TypeError as error:
            raise ValueError(str(error)) from None

    def __call__(self, probability: float) -> float:
        """The calibrated probability of one that the network gave."""
        inside = min(max(probability, _LEAST), 1 - _LEAST)
        logit = self.slope * math.log(inside / (1 - inside)) + self.intercept
        return 1 / (1 + math.exp(-logit)) if logit >= 0 else 1 - 1 / (1 + math.exp(logit))
