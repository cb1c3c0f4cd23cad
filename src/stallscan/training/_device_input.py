"""What `Preprocessing` does to an array, done to a tensor on its device.

Every step along an axis (area average, linear blend, blur) is a sum over few weighted neighbours in
float32: neither TF32 nor autocast, which a run may have switched on for its network, touches it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stallscan.augment.evaluation import COLOURS, IMAGENET_MEAN, IMAGENET_STD, Preprocessing
from stallscan.training._device_copy import tensor_on

Weights = tuple[NDArray[np.int64], NDArray[np.float32]]
"""``(k, n)`` places along the source, and their weights, for each of n places of the result."""
Taps = Callable[[int, int], Weights]
"""Extents of source and result → the neighbours that are added."""


def network_input(image: Tensor, mask: Tensor | None, preprocessing: Preprocessing) -> Tensor:
    """A volume as the network wants it.

    Args:
        image: ``(c, z, y, x)`` float32 of whole numbers, 0 to 255; c is 1 or 3.
        mask: ``(1, z, y, x)`` float32, z that of the image or 1; only the channel mask needs it.
        preprocessing: how.

    Returns:
        ``(channels, z, y, x)`` float32.
    """
    channels, plane = preprocessing.channels, preprocessing.size[1:]
    depth = preprocessing.size[0] or image.shape[1]
    made: dict[str, Tensor] = {}
    if "grey" in channels or "change" in channels:
        flat = _resize_plane(to_grey(image), plane)
        spread, mean = torch.std_mean(flat, correction=0)
        spread = spread.clamp(min=1)
        if "grey" in channels:
            made["grey"] = _resize_depth((flat - mean) / spread, depth)
        if "change" in channels:
            made["change"] = _resize_depth(_change(flat) / spread, depth)
    if "mask" in channels:
        assert mask is not None
        made["mask"] = _resize_depth(_resize_plane(mask, plane), depth)
    for place, colour in enumerate(COLOURS):
        if colour in channels:
            source = image[place : place + 1] if len(image) == 3 else image
            made[colour] = _resize_depth(_as_imagenet(_resize_plane(source, plane), place), depth)
    return torch.cat([made[channel] for channel in channels])


def _as_imagenet(colour: Tensor, place: int) -> Tensor:
    """0–255 → on the scale of ImageNet's colours."""
    std = IMAGENET_STD[place]
    return colour * (1 / (255 * std)) - IMAGENET_MEAN[place] / std


def to_grey(image: Tensor) -> Tensor:
    """``(3, z, y, x)`` → ``(1, z, y, x)`` luma in OpenCV's fixed point, exact in float32."""
    if len(image) == 1:
        return image
    red, green, blue = image[:, None]
    return torch.floor((9798 * red + 19235 * green + 3735 * blue + 16384) / 32768)


def _change(slices: Tensor) -> Tensor:
    """Mean absolute difference to the slice before and after ``(1, z, y, x)``, smoothed."""
    if slices.shape[1] == 1:
        return torch.zeros_like(slices)
    for axis in (2, 3):
        slices = _sum(slices, axis, _blur, slices.shape[axis])
    steps = slices.diff(dim=1).abs()
    before, after = (steps[:, :1], steps), (steps, steps[:, -1:])
    return (torch.cat(before, dim=1) + torch.cat(after, dim=1)) / 2


def _resize_plane(stack: Tensor, size: tuple[int, int]) -> Tensor:
    """``(1, z, y, x)`` → ``(1, z, *size)``: INTER_AREA where the plane shrinks, else linear."""
    height, width = stack.shape[2:]
    method: Taps = _linear
    if height * width > size[0] * size[1]:
        method = _area if height >= size[0] and width >= size[1] else _linear_of_areas
    for axis, extent in zip((3, 2), size[::-1], strict=True):
        if stack.shape[2:] != size:
            stack = _sum(stack, axis, method, extent)
    return stack


def _resize_depth(slices: Tensor, depth: int) -> Tensor:
    """``(1, z, y, x)`` → ``(1, depth, y, x)``, linear with half-pixel centres."""
    if slices.shape[1] == 1:
        return slices.expand(-1, depth, -1, -1)
    if slices.shape[1] == depth:
        return slices
    return _sum(slices, 1, _linear, depth)


def _sum(values: Tensor, axis: int, taps: Taps, extent: int) -> Tensor:
    """Weighted neighbours along an axis, added in their order; the axis gets another extent."""
    along = [-1 if dim == axis else 1 for dim in range(values.ndim)]
    total: Tensor | None = None
    for index, weight in _on_device(taps, values.shape[axis], extent, values.device):
        chosen = values.index_select(axis, index) * weight.reshape(along)
        total = chosen if total is None else total + chosen
    assert total is not None
    return total


@functools.lru_cache(1024)
def _on_device(
    taps: Taps, source: int, target: int, device: torch.device
) -> list[tuple[Tensor, Tensor]]:
    """Neighbour by neighbour, ``(n,)`` places and weights; kept, for sizes come again and again."""
    index, weight = taps(source, target)
    return [
        (tensor_on(device, place), tensor_on(device, share))
        for place, share in zip(index, weight, strict=True)
    ]


def _linear(source: int, target: int) -> Weights:
    """Half-pixel centres, the border's value beyond it."""
    places = np.clip((np.arange(target) + 0.5) * (source / target) - 0.5, 0, source - 1)
    return _between(places, source)


def _linear_of_areas(source: int, target: int) -> Weights:
    """What INTER_AREA means where one axis grows: a blend only where a voxel spans two.

    Rounded as OpenCV rounds it: where a voxel ends with one of the source, the last bit decides
    which one it takes.
    """
    growth = target / source
    before = np.floor(np.arange(target) * (1 / growth))
    share = (np.arange(1, target + 1) - (before + 1) * growth).astype(np.float32)
    share = np.where(share <= 0, 0, share - np.floor(share))
    return _between(np.minimum(before + share, source - 1), source)


def _between(places: NDArray[np.float64], extent: int) -> Weights:
    lower = np.floor(places).astype(np.int64)
    upper = np.minimum(lower + 1, extent - 1)
    share = places - lower
    return np.stack([lower, upper]), np.stack([1 - share, share]).astype(np.float32)


def _area(source: int, target: int) -> Weights:
    """The share that each voxel of the source has of one of the result, which is no smaller."""
    scale = source / target
    starts = np.arange(target) * scale
    index = np.floor(starts).astype(np.int64) + np.arange(math.ceil(scale) + 1)[:, None]
    overlap = np.minimum(index + 1, starts + scale) - np.maximum(index, starts)
    weight = overlap.clip(0) / scale
    return index.clip(max=source - 1), weight.astype(np.float32)


def _blur(source: int, target: int) -> Weights:
    """OpenCV's Gaussian of σ 1 with its border: mirrored at the centre of the border's voxel."""
    extent = source
    kernel = cv2.getGaussianKernel(9, 1.0, cv2.CV_32F)
    places = np.arange(extent) + np.arange(-4, 5)[:, None]
    places = np.abs((places + extent - 1) % max(2 * extent - 2, 1) - (extent - 1))
    weight = np.broadcast_to(kernel, places.shape)
    return places.astype(np.int64), np.asarray(weight, np.float32)
