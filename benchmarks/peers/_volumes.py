"""The volumes that every contender gets: the same bytes from the same seed, with NumPy alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

N_VOLUMES = 4
ORANGE = (240, 104, 17)
MARGIN = 6


def half(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """``(z, y, x)`` of crops."""
    depth, height, width = (extent // 2 for extent in shape[:3])
    return depth, height, width


def grown(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """``(z, y, x)`` of padded volumes: `MARGIN` on every side."""
    depth, height, width = (extent + 2 * MARGIN for extent in shape[:3])
    return depth, height, width


def mask(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """``(z, y, x)``: an oblique tube, about a fiftieth of the voxels."""
    z, y, x = (axis / n - 0.5 for axis, n in zip(np.indices(shape[:3]), shape, strict=False))
    return np.hypot(y - z / 2, x + z / 3) < 0.08


def volumes(
    shape: tuple[int, ...], *, as_float: bool = False, framed: bool = False
) -> list[NDArray]:
    """``(z, y, x, c)`` uint8, or float32 in [0, 1]; black at the sides where it is framed."""
    made = [volume(shape, seed) for seed in range(N_VOLUMES)]
    for each in made if framed else ():
        for axis, extent in enumerate(shape[:3]):
            planes = np.moveaxis(each, axis, 0)
            planes[: extent // 8] = planes[-(extent // 8) :] = 0
    return [each.astype(np.float32) / 255 for each in made] if as_float else made


def batch(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """`N_VOLUMES` as a network gets them: ``(n, c, z, y, x)`` float32."""
    return np.ascontiguousarray(np.stack(volumes(shape, as_float=True)).transpose(0, 4, 1, 2, 3))


def volume(shape: tuple[int, ...], seed: int) -> NDArray[np.uint8]:
    """Bright vessels on an uneven background with noise; an orange ring where there is colour."""
    rng = np.random.default_rng((seed, *shape))
    extent = np.array(shape[:3])
    axes = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in extent), indexing="ij")
    grid = np.stack(axes, axis=-1)  # (z, y, x, 3)
    grey = 25 + 12 * np.sin(grid / extent * rng.uniform(2, 5, 3) + rng.uniform(0, 6, 3)).sum(-1)
    for _ in range(6):
        offset = grid - rng.uniform(0.2, 0.8, 3) * extent
        along = rng.normal(size=3)
        along /= np.linalg.norm(along)
        distance_2 = (offset**2).sum(-1) - (offset @ along) ** 2
        grey += rng.uniform(60, 150) * np.exp(-distance_2 / (2 * 2.5**2))
    grey += rng.normal(0, 8, grey.shape)
    colour = np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], shape[3], axis=3)
    if shape[3] == 3:
        _, y, x = (axis / n - 0.5 for axis, n in zip(axes, extent, strict=True))
        colour[np.abs(np.hypot(y, x) - 0.42) < 0.02] = ORANGE
    return np.ascontiguousarray(colour)
