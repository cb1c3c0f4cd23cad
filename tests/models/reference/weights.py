"""Weights and images that any library can repeat: NumPy alone, no generator of a framework.

Every tensor comes from the raw bits of PCG64, seeded by the CRC-32 of its key; NumPy promises to
keep both that stream and the way it is seeded, unlike its normal distribution's. The numbers are
single precision, as in published files.

The values are far from those of a new network, so that nothing can hide: a batch normalisation has
all four of its tensors different from the identity and from each other, and its variances are small
enough that an epsilon of 1e-3 instead of 1e-5 moves the logits by far more than 1e-5 of their size.
Kernels are scaled by their inputs, and more in residual stages, so that activations stay of order 1
through 200 layers.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

IMAGES_SHAPE = (2, 3, 75, 64)
"""Odd in y: it tells apart how poolings and strided convolutions treat the last row."""

LARGE_SHAPE = (2, 3, 91, 80)
"""For the networks that need 75."""
VIDEOS_SHAPE = (2, 3, 9, 37, 32)

RESIDUAL = re.compile(r"layer[1-4]\.|features\.\d\.[1-9]\d*\.block\.|repeat|block8")
"""Stages that add to their input again and again."""


def uniform(key: str, shape: Sequence[int]) -> NDArray[np.float32]:
    """Numbers in [-0.5, 0.5) that belong to a key."""
    n_values = math.prod(shape)
    raw = np.random.PCG64(zlib.crc32(key.encode())).random_raw(-(-n_values // 2))
    halves = raw.astype("<u8", copy=False).view("<u4")[:n_values]
    values = halves.astype(np.float32)
    values *= np.float32(2.0**-32)
    values -= np.float32(0.5)
    return values.reshape(shape)


def shape_of(name: str) -> tuple[int, ...]:
    """Shape of a network's input."""
    if name in ("r3d_18", "mc3_18", "r2plus1d_18"):
        return VIDEOS_SHAPE
    return LARGE_SHAPE if name.startswith("inception") else IMAGES_SHAPE


def images(shape: Sequence[int] = IMAGES_SHAPE) -> NDArray[np.float32]:
    """Noise of mean 0 and variance 1."""
    return uniform("images", shape) * np.float32(math.sqrt(12))


def tensor(key: str, shape: Sequence[int]) -> NDArray[np.float32] | NDArray[np.int64]:
    """The value of a network's parameter or buffer.

    Args:
        key: its name in torchvision's (timm's) state dict.
        shape: of a kernel ``(out, in, [z,] y, x)``, a matrix ``(out, in)`` or a vector.
    """
    if key.endswith("num_batches_tracked"):
        return np.array(zlib.crc32(key.encode()) % 1000, np.int64)
    values = uniform(key, shape)
    if len(shape) > 1:
        gain = 0.6 if RESIDUAL.match(key) else 1.0
        values *= np.float32(gain * math.sqrt(12 * 2 / math.prod(shape[1:])))
    elif key.endswith("running_var"):
        values = values * np.float32(0.3) + np.float32(0.25)  # 0.1 to 0.4
    elif key.endswith("weight"):
        values = values * np.float32(0.5) + np.float32(0.5)  # 0.25 to 0.75
    return values
