"""What was predicted of vessels that nobody can decide: outside the metrics, told apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, kw_only=True)
class Undecidable:
    """Videos whose label is empty.

    Attributes:
        n: how many were predicted or failed.
        n_failed: those without a probability.
        n_called_stalled: those called stalled.
        median_probability: of those with a probability; None where all failed.
    """

    n: int
    n_failed: int
    n_called_stalled: int
    median_probability: float | None

    @property
    def sentence(self) -> str:
        """The same in words."""
        if self.median_probability is None:
            return f"Undecidable: {self.n:,} videos, all failed."
        failed = f", {self.n_failed:,} failed" if self.n_failed else ""
        return (
            f"Undecidable: {self.n:,} videos, {self.n_called_stalled:,} called stalled{failed}, "
            f"median probability {self.median_probability:.3f}; not in the metrics."
        )


def describe_undecidable(
    n: int, probabilities: pd.Series[float], calls: pd.Series[int]
) -> Undecidable:
    """Count.

    Args:
        n: all of them.
        probabilities: of those that have one, 0–1.
        calls: of the same, 1 stalled and 0 flowing.
    """
    return Undecidable(
        n=n,
        n_failed=n - len(probabilities),
        n_called_stalled=int(calls.sum()),
        median_probability=float(probabilities.median()) if len(probabilities) else None,
    )
