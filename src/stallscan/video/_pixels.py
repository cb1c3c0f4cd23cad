"""Pixels of any depth → a Clip of RGB uint8."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from stallscan.errors import VideoError
from stallscan.video.clip import Clip

_MIN_COLOR = 60 / 255
"""Difference of channels, relative to the highest level, from which a pixel is coloured: that of
an orange line (`stallscan.roi.color`)."""

DTYPES = (np.dtype(np.uint8), np.dtype(np.uint16))


def check_dtype(dtype: np.dtype[Any], path: Path) -> None:
    """Refuse what is no grey level of 8 or 16 bits.

    Raises:
        VideoError: another dtype, in whichever byte order.
    """
    if dtype.newbyteorder("=") not in DTYPES:
        raise VideoError(
            f"{path}: pixels are {dtype.name}, allowed are uint8 and uint16; convert it first"
        )


def clip_of(
    frames: np.ndarray[Any, Any],
    path: Path,
    *,
    voxel_size_um: tuple[float, float, float] | None = None,
    damage: str = "",
) -> Clip:
    """Make a Clip; 16 bits are stretched from the minimum to the maximum of the whole stack.

    Coloured pixels, those of a drawn outline, have no part in that: they keep their colours, and
    do not darken the tissue.

    Args:
        frames: ``(z, y, x, c)`` uint8 or uint16, grey (c = 1) or RGB (c = 3).
        path: where they came from.
        voxel_size_um: as in `Clip`.
        damage: as in `Clip`.
    """
    rescaling = None
    if frames.dtype != np.uint8:
        spread = frames.max(axis=3) - frames.min(axis=3)  # (z, y, x)
        is_colored = spread > frames.max() * _MIN_COLOR
        greys = frames[~is_colored] if is_colored.any() and not is_colored.all() else frames
        colors = frames[is_colored] / (int(frames.max()) or 1)
        low, high = int(greys.min()), int(greys.max())
        scaled = (np.arange(1 << 16) - low) * (255 / max(high - low, 1))
        table = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
        frames, rescaling = table[frames], (float(low), float(high))
        frames[is_colored] = np.rint(255 * colors)
    is_grey = frames.shape[3] == 1
    return Clip(
        array=np.repeat(frames, 3, axis=3) if is_grey else np.ascontiguousarray(frames),
        source=str(path),
        voxel_size_um=voxel_size_um,
        rescaling=rescaling,
        damage=damage,
    )
