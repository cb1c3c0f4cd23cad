"""A bound on what a file may unpack to, so that a wrong or hostile one cannot eat the memory."""

from __future__ import annotations

import math
from pathlib import Path

from stallscan.errors import OptionError, VideoError

DEFAULT_MAX_GIB = 4.0
"""GiB of RGB: 7,281 frames of 512×384; the longest video of the competition has 434."""


def check_max_gib(max_gib: float) -> None:
    """Refuse a limit that is none.

    Raises:
        OptionError: not above 0.
    """
    if not max_gib > 0:
        raise OptionError(f"--max-gib is {max_gib}, allowed is anything above 0; 4 is usual")


def check_size(path: Path, n_frames: int, height: int, width: int, max_gib: float) -> None:
    """Refuse a stack that is too large; call it before the memory is taken.

    Raises:
        VideoError: ``n_frames`` RGB frames are more than ``max_gib``.
    """
    gib = n_frames * height * width * 3 / 2**30
    if gib > max_gib:
        raise VideoError(
            f"{path}: {n_frames:,} frames of {width}×{height} pixels are {gib:.3g} GiB as RGB, "
            f"allowed are {max_gib:g}; if that is what it should be, pass --max-gib "
            f"{math.ceil(gib)} (max_gib={math.ceil(gib)} in Python) or more"
        )
