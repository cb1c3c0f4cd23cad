"""Extraction: what became of one file, good or bad."""

from __future__ import annotations

from dataclasses import dataclass

from stallscan.roi.volume import Volume


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Extraction:
    """The ROI of one file, or why there is none: a value, so that a batch goes on.

    Attributes:
        filename: base name of the file.
        outline: the verdict's word; empty where the file could not be read.
        flags: words of what is suspect about its frames.
        message: why it is not ok; empty when it is.
        n_frames: frames decoded; None where the file could not be read.
        frame_size: ``(y, x)`` of a frame in pixels; None where the file could not be read.
        volume: what is inside the outline; None where it failed.
    """

    filename: str
    outline: str = ""
    flags: tuple[str, ...] = ()
    message: str = ""
    n_frames: int | None = None
    frame_size: tuple[int, int] | None = None
    volume: Volume | None = None

    @property
    def status(self) -> str:
        """``ok``; ``flagged``: outline or frames are suspect; ``failed``: no volume."""
        if self.volume is None:
            return "failed"
        return "flagged" if self.message else "ok"
