"""The true state of a vessel."""

from __future__ import annotations

from enum import StrEnum

from stallscan.types import Label


class State(StrEnum):
    """What a phantom's target does, by the rule of `stallscan.simulate.truth`."""

    FLOWING = "flowing"
    STALLED = "stalled"
    UNDECIDABLE = "undecidable"

    @classmethod
    def of(cls, value: State | Label) -> State:
        """A label as a state; a state stays itself."""
        if isinstance(value, Label):
            return cls.STALLED if value is Label.STALLED else cls.FLOWING
        return cls(value)

    @property
    def label(self) -> Label | None:
        """The label, None where nobody could decide."""
        return {State.FLOWING: Label.FLOWING, State.STALLED: Label.STALLED}.get(self)
