"""A second phantom, plain and fast, that shares nothing with the first but the physics it is after.

Ours (`stallscan.simulate`) trains the networks; whoever fits its rendering, not the blood, fails
here. Tubes are Gaussian, cells are dips of a one-dimensional pattern that is drawn anew or carried
on from slice to slice, noise is Gaussian or Poisson, and each slice is stored as JPEG.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from stallscan.roi.volume import Volume
from stallscan.types import Box, Label

Float32 = NDArray[np.float32]

_ORANGE = (255, 102, 0)
_MARGIN = 14


def plain_roi(seed: tuple[int, ...], label: Label) -> Volume:
    """An outlined ROI, ``(z, y, x, 3)`` uint8, whose vessel flows or is stalled throughout."""
    rng = np.random.default_rng(seed)
    depth = int(rng.integers(30, 100))
    line = _curve(rng, length=rng.uniform(40, 110))
    low = line.min(axis=0)
    line += _MARGIN - low
    height, width = (int(np.ceil(side)) + _MARGIN for side in line.max(axis=0))
    stack = _tissue(rng, (depth, height, width))
    stack = np.maximum(stack, _tube(rng, line, stack.shape, label, rng.uniform(0.6, 1.0)))
    for _ in range(int(rng.integers(0, 4))):
        other = _curve(rng, length=rng.uniform(60, 160))
        other += rng.uniform(0, (height, width)) - other[len(other) // 2]
        bright = _tube(rng, other, stack.shape, Label.FLOWING, rng.uniform(0.4, 1.0))
        stack = np.maximum(stack, bright)
    grey = _camera(rng, _shaken(rng, stack))
    mask, border = _outline(rng, line + rng.uniform(-3, 3, 2).astype(np.float32), (height, width))
    array = np.stack([_stored(rng, plane, border) for plane in grey])
    return Volume(
        array=array,
        mask=mask,
        line=border,
        box=Box(0, 0, 0, depth, height, width),
        source="plain phantom",
        voxel_size_um=None,
    )


def _curve(rng: np.random.Generator, length: float) -> Float32:
    """``(n, 2)`` y and x, a px apart: a walk whose direction turns slowly."""
    turns = gaussian_filter1d(rng.normal(0, 1, int(length)), rng.uniform(6, 15))
    turns *= rng.uniform(0, 0.06) / max(float(turns.std()), 1e-6)
    angle = rng.uniform(0, 2 * np.pi) + np.cumsum(turns)
    return np.cumsum(np.stack([np.sin(angle), np.cos(angle)], 1), axis=0).astype(np.float32)


def _tissue(rng: np.random.Generator, shape: tuple[int, int, int]) -> Float32:
    """Dim clouds."""
    clouds = gaussian_filter(rng.standard_normal(shape).astype(np.float32), (2, 6, 6))
    found: Float32 = 0.06 + 0.03 * clouds / clouds.std()
    return found.clip(0).astype(np.float32)


def _tube(
    rng: np.random.Generator,
    line: Float32,
    shape: tuple[int, int, int],
    label: Label,
    brightness: float,
) -> Float32:
    """A vessel with its cells."""
    depth, height, width = shape
    ys, xs = np.mgrid[:height, :width].astype(np.float32)
    far = (ys[..., None] - line[:, 0]) ** 2 + (xs[..., None] - line[:, 1]) ** 2
    nearest = far.argmin(axis=2)
    across = np.sqrt(far.min(axis=2))
    ends = (nearest == 0) | (nearest == len(line) - 1)
    radius = rng.uniform(1.8, 3.5)
    profile = np.exp(-((across / radius) ** 4)) * ~(ends & (across > 1))
    # Its depth wanders along its course, and a slice sees what is near.
    middle = rng.uniform(0.25, 0.75) * depth
    slope = rng.uniform(-0.08, 0.08)
    level = middle + slope * (nearest - len(line) / 2)
    thickness = rng.uniform(2.0, 6.0)
    z = np.arange(depth, dtype=np.float32)[:, None, None]
    focus = np.exp(-(((z - level) / thickness) ** 2))
    cells = _cells(rng, len(line), depth, height, label)
    rows = ys.astype(int)
    dark = cells[:, rows, nearest]
    return (brightness * focus * profile * (1 - dark)).astype(np.float32)


def _cells(rng: np.random.Generator, length: int, depth: int, height: int, label: Label) -> Float32:
    """``(z, y, arc)`` share of the light that cells take, by slice and raster line."""
    spacing = rng.uniform(8, 22)
    total = 40 * length
    places = np.cumsum(rng.gamma(3.0, spacing / 3.0, int(total / spacing)))
    pattern = np.zeros(total, np.float32)
    inside = places[places < total].astype(int)
    pattern[inside] = 1
    size = rng.uniform(1.5, 3.0)
    pattern = gaussian_filter1d(pattern, size, mode="wrap") * size * 2.5
    pattern = pattern.clip(0, 1) * rng.uniform(0.6, 0.95)
    if label == Label.STALLED:
        creep = rng.normal(0, 0.1, depth)[:, None]  # it trembles
        moved = np.broadcast_to(creep, (depth, height))
    else:
        speed = rng.lognormal(np.log(400), 0.6) * rng.choice((-1, 1))  # px a slice
        line_s = rng.choice((0.0, rng.uniform(0.001, 0.004)))  # share of a slice's time a line
        moved = speed * (np.arange(depth)[:, None] + line_s * np.arange(height))
        moved = moved + np.cumsum(rng.normal(0, 0.1 * abs(speed), depth))[:, None]
        if line_s:
            pattern = gaussian_filter1d(pattern, abs(speed) * line_s / 3, mode="wrap")
    arc = (np.arange(length) + moved[..., None]) % (total - 1)
    return np.interp(arc.ravel(), np.arange(total), pattern).reshape(arc.shape).astype(np.float32)


def _shaken(rng: np.random.Generator, stack: Float32) -> Float32:
    """Slices that do not lie quite above each other."""
    height, width = stack.shape[1:]
    moves = rng.normal(0, rng.uniform(0, 0.7), (len(stack), 2))
    shifted = [
        cv2.warpAffine(
            plane,
            np.array([[1, 0, x], [0, 1, y]], np.float32),
            (width, height),
            borderMode=cv2.BORDER_REPLICATE,
        )
        for plane, (x, y) in zip(stack, moves, strict=True)
    ]
    return np.stack(shifted)


def _camera(rng: np.random.Generator, stack: Float32) -> NDArray[np.uint8]:
    """Blur, noise, gain."""
    stack = gaussian_filter(stack, (0, *[rng.uniform(0.3, 0.9)] * 2))
    photons = np.exp(rng.uniform(np.log(5), np.log(60)))
    noisy = rng.poisson(stack * photons) / photons + rng.normal(
        0, rng.uniform(0, 0.05), stack.shape
    )
    scaled = noisy * rng.uniform(130, 240) + rng.uniform(0, 15)
    return scaled.clip(0, 255).astype(np.uint8)


def _outline(
    rng: np.random.Generator, line: Float32, shape: tuple[int, int]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The filled outline and its line."""
    canvas = np.zeros(shape, np.uint8)
    corners = np.round(line[:, ::-1]).astype(np.int32)[:, None]
    cv2.polylines(canvas, [corners], False, 255, 2 * int(rng.integers(8, 12)))
    contours, _ = cv2.findContours(canvas, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled, border = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    cv2.drawContours(filled, contours, -1, 1, cv2.FILLED)
    cv2.drawContours(border, contours, -1, 1, int(rng.integers(2, 4)))
    return filled.astype(bool), border.astype(bool)


def _stored(
    rng: np.random.Generator, plane: NDArray[np.uint8], border: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """The outline on it, through a JPEG."""
    rgb = np.repeat(plane[..., None], 3, axis=2)
    rgb[border] = _ORANGE
    _, encoded = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    return np.ascontiguousarray(decoded[..., ::-1])
