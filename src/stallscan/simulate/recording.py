"""How a finished video is stored: its codec's quality, or made smaller with a palette (GIF)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from stallscan.simulate.outline import Outline
from stallscan.simulate.settings import Settings
from stallscan.types import Box, UInt8Array

Grey = TypeVar("Grey", np.uint8, np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """How a video is stored.

    Attributes:
        crf: quality of x264.
        scale: size of the stored frame, relative to the one on which the outline was drawn.
        levels: grey levels of the palette; 256 for none.
    """

    crf: int
    scale: float = 1.0
    levels: int = 256

    @property
    def words(self) -> tuple[str, ...]:
        """For the truth table."""
        return () if self.scale == 1 and self.levels == 256 else ("gif",)

    def out_size(self, shape: tuple[int, int, int]) -> tuple[int, int]:
        """Height and width of the stored frame; even, for the codec."""
        height, width = (2 * round(side * self.scale / 2) for side in shape[1:])
        return height, width

    def box_of(self, outline: Outline, shape: tuple[int, int, int]) -> Box:
        """Box around the drawn line in the stored video."""
        line = outline.coverage(shape[1:])
        if self.scale != 1:
            out = Box(0, 0, 0, 1, *self.out_size(shape))
            line = resample(line[None], self.scale, (0, 0), out)[0]
        ys, xs = np.nonzero(line >= 0.5)
        return Box(0, int(ys.min()), int(xs.min()), shape[0], int(ys.max()) + 1, int(xs.max()) + 1)


def sample_recording(rng: np.random.Generator, settings: Settings) -> Recording:
    """Draw how a video is stored."""
    crf = round(settings.crf.sample(rng))
    scale, levels = settings.gif_scale.sample(rng), int(rng.integers(24, 65))
    if rng.random() < settings.gif_share.sample(rng):
        return Recording(crf=crf, scale=scale, levels=levels)
    return Recording(crf=crf)


def resample(
    frames: NDArray[Grey], scale: float, origin_yx: tuple[int, int], box: Box
) -> NDArray[Grey]:
    """Frames of another pixel size, on the pixels of a box.

    Args:
        frames: ``(z, y, x[, c])`` uint8 or float32; pixel (0, 0) is at ``origin_yx``.
        scale: pixels out for a pixel in.
        origin_yx: place of the frames in the whole picture.
        box: which output pixels, in the whole output picture.

    Returns:
        ``(z, box height, box width[, c])`` of the same dtype.
    """
    step = 1 / scale
    first_x = (box.x0 + 0.5) * step - 0.5 - origin_yx[1]
    first_y = (box.y0 + 0.5) * step - 0.5 - origin_yx[0]
    move = np.array([[step, 0, first_x], [0, step, first_y]])
    size = (box.x1 - box.x0, box.y1 - box.y0)
    out = np.empty((len(frames), size[1], size[0], *frames.shape[3:]), frames.dtype)
    for source, target in zip(frames, out, strict=True):
        if scale < 1:  # against aliasing
            source = cv2.GaussianBlur(source, (0, 0), 0.45 * np.sqrt(step**2 - 1) + 0.05)
        cv2.warpAffine(
            source,
            move,
            size,
            dst=target,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT_101,
        )
    return out


def palette(rgb: UInt8Array, levels: int) -> UInt8Array:
    """Grey levels of a palette; the outline's colour is one of its own. In place."""
    if levels < 256:
        step = 256 / levels
        table = np.clip(np.floor(np.arange(256) / step) * step, 0, 255).astype(np.uint8)
        np.take(table, rgb, out=rgb)
    return rgb
