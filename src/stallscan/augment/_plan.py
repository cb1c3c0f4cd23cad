"""Spatial maps in, resampled array out: composed into stages, each of which interpolates once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stallscan.augment._copy import contiguous
from stallscan.augment._maps import Map
from stallscan.augment._resample import run_stage
from stallscan.augment._stage import fuse


def resample(array: NDArray[Any], maps: Sequence[Map], *, labels: bool = False) -> NDArray[Any]:
    """Move the voxels of a volume.

    Args:
        array: ``(z, y, x)`` or ``(z, y, x, c)``.
        maps: in order; composed as far as one interpolation can say them.
        labels: take the nearest voxel always, so that no value is new.

    Returns:
        The same rank and dtype, contiguous, never a view of `array`.
    """
    volume = array if array.ndim == 4 else array[..., None]
    depth, height, width, _ = volume.shape
    for stage in fuse((depth, height, width), maps):
        volume = run_stage(volume, stage, labels=labels)
    volume = contiguous(volume)
    if np.may_share_memory(volume, array):
        volume = volume.copy()
    return volume if array.ndim == 4 else volume[..., 0]
