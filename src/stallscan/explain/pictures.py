"""Slices and maps as pictures: colours, overlays, sizes."""

from __future__ import annotations

import cv2
import numpy as np
from matplotlib import colormaps

from stallscan.explain.attention import to_rgb
from stallscan.explain.explainer import Explanation, Float32
from stallscan.types import UInt8Array

_TABLE = np.round(colormaps["inferno"](np.arange(256))[:, :3] * 255).astype(np.uint8)


def input_frames(explanation: Explanation) -> UInt8Array:
    """``(z, y, x, 3)`` uint8: the ROI as it is."""
    array = explanation.volume.array
    return array if array.shape[3] == 3 else np.repeat(array, 3, axis=3)


def heat_frames(explanation: Explanation) -> UInt8Array:
    """``(z, y, x, 3)`` uint8: the paper's three colours, or a class's map from black to yellow."""
    if explanation.colours is not None:
        return to_rgb(explanation.colours)
    found: UInt8Array = _TABLE[to_rgb(explanation.heat)]
    return found


def overlay_frames(explanation: Explanation) -> UInt8Array:
    """``(z, y, x, 3)`` uint8: half of each for the paper's map; else as much heat as there is."""
    image = input_frames(explanation).astype(np.float32)
    heat = heat_frames(explanation).astype(np.float32)
    share: float | Float32 = 0.5
    if explanation.colours is None:
        share = 0.7 * explanation.heat[..., None]
    mixed: UInt8Array = np.round((1 - share) * image + share * heat).astype(np.uint8)
    return mixed


def fitted(frame: UInt8Array, size: tuple[int, int], *, largest: float = 12.0) -> UInt8Array:
    """A frame as large as it can be in ``(y, x)``, centred on black.

    Args:
        frame: ``(y, x, 3)`` uint8.
        size: of the result.
        largest: enlargement beyond which a small one does not grow.
    """
    height, width = frame.shape[:2]
    scale = min(size[0] / height, size[1] / width, largest)
    inner = max(1, round(height * scale)), max(1, round(width * scale))
    method = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    canvas = np.zeros((*size, 3), np.uint8)
    top, left = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    resized = cv2.resize(frame, inner[::-1], interpolation=method)
    canvas[top : top + inner[0], left : left + inner[1]] = resized
    return canvas
