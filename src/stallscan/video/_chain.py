"""The end of a walk through a container whose chain of boxes breaks."""

from __future__ import annotations


class BrokenChainError(Exception):
    """The chain of boxes is not whole.

    Attributes:
        at: the byte up to which it is.
    """

    def __init__(self, reason: str, *, at: int) -> None:
        super().__init__(reason)
        self.at = at


def ends_early(n_bytes: int, n_announced: int) -> BrokenChainError:
    """A file that is shorter than its headers say."""
    return BrokenChainError(
        f"the file ends early ({n_bytes:,} bytes, its headers announce {n_announced:,})", at=n_bytes
    )
