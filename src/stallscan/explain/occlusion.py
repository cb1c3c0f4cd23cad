"""Occlusion: how much the answer changes when a part cannot be seen (Zeiler and Fergus, 2014)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from stallscan.errors import OptionError
from stallscan.explain._network import Float32, as_it_answers, batch_of
from stallscan.models._network import Network

BATCH = 8
"""Covered copies that are asked about at once."""

_LEAST_VOXELS = 8


def occlusion(
    model: Network,
    inputs: Float32,
    *,
    stalled: bool = True,
    window: Sequence[int] | None = None,
) -> Float32:
    """By how much the logit falls where a window is covered, a window after the other.

    Windows overlap by half; a covered one shows each channel's mean. A voxel has the mean of all
    windows that cover it; what lies below zero, which speaks for the other call, is left out.

    Args:
        model: any network of the zoo with one logit; its mode is left as it was.
        inputs: ``(c, z, y, x)`` float32, as the network sees it.
        stalled: what speaks for a stall; else what speaks for flow.
        window: ``(z, y, x)`` of what is covered; by default a quarter of each extent, or eight
            voxels where that is more.

    Returns:
        ``(z, y, x)`` float32, 0 to 1, at the input's resolution.

    Raises:
        OptionError: a window below 1 or larger than the input, or an input that is too thin.
    """
    size = inputs.shape[1:]
    least = tuple(min(extent, max(extent // 4, _LEAST_VOXELS)) for extent in size)
    window = tuple(window or least)
    if len(window) != 3 or not all(1 <= a <= b for a, b in zip(window, size, strict=True)):
        raise OptionError(
            f"window is {window}, allowed are three extents from 1 to those of the input, {size}"
        )
    batch = batch_of(model, inputs)
    hidden = batch.mean(dim=(2, 3, 4), keepdim=True)[0]
    fall, times = np.zeros(size, np.float64), np.zeros(size, np.float64)
    with as_it_answers(model), torch.no_grad():
        whole = model(batch)[0, 0]
        windows = list(_windows(size, window))
        for begin in range(0, len(windows), BATCH):
            places = windows[begin : begin + BATCH]
            covered = batch.repeat(len(places), 1, 1, 1, 1)
            for each, place in zip(covered, places, strict=True):
                each[:, *place] = hidden
            change = whole - model(covered)[:, 0]
            for place, value in zip(places, change.tolist(), strict=True):
                fall[place] += value if stalled else -value
                times[place] += 1
    heat = (fall / times).clip(0)
    return (heat / max(float(heat.max()), 1e-12)).astype(np.float32)


def _windows(size: Sequence[int], window: Sequence[int]) -> Iterator[tuple[slice, slice, slice]]:
    """Windows half a window apart that reach to every edge."""
    along = []
    for extent, side in zip(size, window, strict=True):
        step = max(1, side // 2)
        begins = sorted({*range(0, extent - side + 1, step), extent - side})
        along.append([slice(begin, begin + side) for begin in begins])
    yield from itertools.product(*along)
