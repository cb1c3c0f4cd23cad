"""What a user may choose about descriptions (no pandas, so that `--help` is quick)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stallscan.errors import OptionError


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeOptions:
    """Options of `stallscan describe`."""

    store: Path | None = None
    """ROI store of these videos, read instead of the videos."""
    max_videos: int = 2000
    """Videos of a split that are read for sizes and outlines, drawn by the seed; 0 reads none."""
    seed: int = 0
    """Of that draw."""

    def __post_init__(self) -> None:
        if self.max_videos < 0:
            raise OptionError(
                f"--max-videos is {self.max_videos}, allowed are 0 and above; 0 reads no video"
            )
        if self.seed < 0:
            raise OptionError(f"--seed is {self.seed}, allowed are 0 and above; choose another")
