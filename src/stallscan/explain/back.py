"""From what the network saw back to the ROI."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch.nn import functional

from stallscan.augment.evaluation import Preprocessing
from stallscan.augment.straighten import straightening
from stallscan.explain._network import Float32
from stallscan.roi.volume import Volume

_NEIGHBOURS = 4


def to_roi(heat: Float32, volume: Volume, preprocessing: Preprocessing) -> Float32:
    """A map of the network's input, as one of the ROI.

    Args:
        heat: ``(z, y, x)`` or ``(z, y, x, c)`` at the input's resolution.
        volume: the ROI.
        preprocessing: made the input of it.

    Returns:
        The same at the ROI's voxels; 0 where the network did not look, which is away from the
        vessel in a vessel's view.
    """
    channels = heat if heat.ndim == 4 else heat[..., None]
    depth, *plane = volume.array.shape[:3]
    if preprocessing.view == "vessel":
        channels = _bent(channels, volume, preprocessing)
    stack = torch.from_numpy(np.ascontiguousarray(np.moveaxis(channels, -1, 0)))[None]
    large = functional.interpolate(stack, (depth, *plane), mode="trilinear")[0]
    found: Float32 = np.moveaxis(large.numpy(), 0, -1)
    return found if heat.ndim == 4 else found[..., 0]


def _bent(heat: Float32, volume: Volume, preprocessing: Preprocessing) -> Float32:
    """``(z, along, across, c)`` → ``(z, y, x, c)``: back onto the vessel's course."""
    view = straightening(volume.mask, preprocessing.size[1:], preprocessing.spacing_px)
    middle = slice(view.fine // 2, None, view.fine)
    places = np.stack([view.y[middle, middle], view.x[middle, middle]], axis=-1).reshape(-1, 2)
    height, width = volume.mask.shape
    pixels = np.indices((height, width)).reshape(2, -1).T
    far, nearest = cKDTree(places).query(pixels, _NEIGHBOURS)
    weight = 1 / (far + 1e-3)
    weight /= weight.sum(axis=1, keepdims=True)
    weight[far[:, 0] > view.spacing_px] = 0
    flat = heat.reshape(len(heat), -1, heat.shape[-1])
    bent = np.einsum("pk,zpkc->zpc", weight, flat[:, nearest])
    found: Float32 = bent.reshape(len(heat), height, width, -1).astype(np.float32)
    return found
