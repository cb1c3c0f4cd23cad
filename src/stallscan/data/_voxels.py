"""Voxels ↔ bytes, without loss: colour differences, change from slice to slice, Zstandard.

The frames are grey but for the outline, so that R−G and B−G are nearly constant, and what the video
coder left alone is equal in the next slice. `benchmarks/store.py` compares this with others.
"""

from __future__ import annotations

import imagecodecs
import numpy as np

from stallscan.types import BoolArray, UInt8Array

CODEC = "change-zstd"
"""Name of this way to write voxels, which stands beside them."""

LEVEL = 1
"""The cheapest to write within 10 % of the smallest (`benchmarks/store.py`)."""

MAX_RATIO = 2**15
"""Bytes that one byte of Zstandard can stand for: a block of 4 bytes holds 128 KiB at most."""


def compress(array: UInt8Array, mask: BoolArray, line: BoolArray) -> bytes:
    """One Zstandard frame of everything.

    Args:
        array: ``(z, y, x, c)`` uint8, c = 1 or 3.
        mask: ``(y, x)`` bool.
        line: ``(y, x)`` bool.
    """
    buffer, planes, bits = _layout(array.shape)
    if array.shape[3] == 1:
        planes[0] = array[..., 0]
    else:
        red, green, blue = np.moveaxis(array, 3, 0)  # (z, y, x) each
        planes[0] = green
        np.subtract(red, green, out=planes[1])  # modulo 256, as everything here
        np.subtract(blue, green, out=planes[2])
    planes[:, 1:] -= planes[:, :-1]
    bits[0], bits[1] = np.packbits(mask), np.packbits(line)
    return bytes(imagecodecs.zstd_encode(buffer.tobytes(), LEVEL))


def decompress(
    packed: bytes, shape: tuple[int, int, int, int]
) -> tuple[UInt8Array, BoolArray, BoolArray]:
    """Array, mask and line, as they were given to `compress`.

    Args:
        packed: what `compress` made.
        shape: ``(z, y, x, c)`` of the array, c = 1 or 3.

    Raises:
        ValueError: the bytes are damaged, or do not fit the shape.
    """
    buffer, planes, bits = _layout(shape, max_bytes=len(packed) * MAX_RATIO)
    try:
        n_bytes = len(imagecodecs.zstd_decode(packed, out=buffer.data))
    except RuntimeError as error:
        raise ValueError(f"its voxels cannot be decompressed ({error})") from error
    if n_bytes != buffer.size:
        raise ValueError(f"its voxels are {n_bytes:,} bytes, expected {buffer.size:,}")
    for z in range(1, shape[0]):  # five times as fast as np.cumsum
        np.add(planes[:, z], planes[:, z - 1], out=planes[:, z])
    n_pixels = shape[1] * shape[2]
    mask, line = np.unpackbits(bits, axis=1, count=n_pixels).view(np.bool_).reshape(2, *shape[1:3])
    if shape[3] == 1:
        return planes[0, ..., None], mask, line
    planes[1:] += planes[0]
    green, red, blue = planes
    return np.stack([red, green, blue], axis=3), mask, line


def _layout(
    shape: tuple[int, ...], max_bytes: float = np.inf
) -> tuple[UInt8Array, UInt8Array, UInt8Array]:
    """A buffer and its parts: ``(c, z, y, x)`` planes, and ``(2, n)`` bytes of mask and line."""
    depth, height, width, channels = shape
    n_voxels = depth * height * width * channels
    n_bits = -(-height * width // 8)  # bytes
    n_bytes = n_voxels + 2 * n_bits
    if n_bytes > max_bytes:
        raise ValueError(f"it claims {n_bytes:,} bytes of voxels, more than it can hold")
    buffer = np.empty(n_bytes, np.uint8)
    planes = buffer[:n_voxels].reshape(channels, depth, height, width)
    return buffer, planes, buffer[n_voxels:].reshape(2, n_bits)
