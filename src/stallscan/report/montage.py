"""A sheet of vessels: a strip of consecutive slices each, with the call and the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stallscan.errors import OptionError
from stallscan.types import Label, UInt8Array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

N_SLICES = 6
"""Slices in a strip; a capillary stays in focus for 8 to 12."""

_HEIGHT, _WIDTH = 132, 812
"""Largest height and width of a strip, in pixels of the sheet."""

_NARROWEST = 620
"""Room for the longest caption, in pixels."""

_GAP, _MARGIN, _CAPTION, _HEAD, _BAR = 3, 28, 26, 62, 5
"""Pixels between slices, around the sheet, of a caption, of the head, and of the colour bar."""

_RIGHT, _WRONG, _UNKNOWN, _INK, _FAINT = "#2e7d5b", "#c8452d", "#8a96a3", "#1f2933", "#66727f"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tile:
    """One vessel of a montage.

    Attributes:
        images: ``(n, y, x, 3)`` uint8 RGB, consecutive slices with the outline drawn; or one
            slice ``(y, x, 3)``; a failed video may have None.
        filename: the video.
        probability: of being stalled, 0–1; None where the video failed.
        stalled: the call; None where the video failed.
        truth: the label; None where it is not known.
        status: ``"ok"``, ``"flagged"`` or ``"failed"``.

    Raises:
        OptionError: images of another shape or type, or without pixels.
    """

    images: UInt8Array | None
    filename: str
    probability: float | None
    stalled: bool | None
    truth: bool | None = None
    status: str = "ok"

    def __post_init__(self) -> None:
        images = self.images
        if images is None:
            return
        good = images.ndim in (3, 4) and images.shape[-1] == 3 and images.dtype == np.uint8
        if not good or images.size == 0:
            raise OptionError(
                f"{self.filename}: images have shape {images.shape} of {images.dtype}: allowed "
                "are (n, y, x, 3) and (y, x, 3) of uint8; pass RGB slices"
            )

    @property
    def caption(self) -> str:
        """Filename, probability with the call, truth and anything unusual, in one line."""
        name = self.filename
        if len(name) > 48:
            name = f"{name[:20]}…{name[-24:]}"
        if self.probability is None or self.stalled is None:
            parts = [name, "no prediction"]
        else:
            parts = [name, f"{self.probability:.2f} {Label(int(self.stalled)).word}"]
        if self.truth is not None:
            parts.append(f"truth {Label(int(self.truth)).word}")
        if self.status != "ok":
            parts.append(self.status)
        return " · ".join(parts)

    @property
    def right(self) -> bool | None:
        """Whether call and truth agree; None where either is not known."""
        if self.stalled is None or self.truth is None:
            return None
        return bool(self.stalled) == bool(self.truth)


def sharpest_slices(volume: UInt8Array, n: int = N_SLICES) -> slice:
    """The ``n`` consecutive slices in which most is in focus.

    Args:
        volume: ``(z, y, x, 3)`` uint8 RGB.
        n: how many; all slices when the volume has no more.

    Returns:
        A slice of the first axis.

    Raises:
        OptionError: ``n`` is less than 1.
    """
    if n < 1:
        raise OptionError(f"n is {n}: allowed are 1 and more; {N_SLICES} is usual")
    # Green carries the grey; the outline is on every slice and adds the same to each.
    green = volume[..., 1].astype(np.float32)
    detail = np.abs(np.diff(green, axis=1)).mean(axis=(1, 2))  # (z,)
    if len(detail) <= n:
        return slice(0, len(detail))
    start = int(np.argmax(np.convolve(detail, np.ones(n), mode="valid")))
    return slice(start, start + n)


def write_montage(
    path: str | Path,
    tiles: Sequence[Tile],
    *,
    title: str = "Calls",
    n_columns: int = 2,
    n_slices: int = N_SLICES,
) -> Path:
    """Write a PNG sheet of vessels, row by row in the order given.

    Args:
        path: the PNG; replaced if it exists.
        tiles: the vessels; of more than ``n_slices`` slices the sharpest are shown.
        title: head line of the sheet.
        n_columns: vessels side by side.
        n_slices: slices in a strip.

    Returns:
        The path.

    Raises:
        OptionError: no tiles, or a count below 1.
    """
    if not tiles:
        raise OptionError("tiles is empty: a montage needs at least one vessel; pass tiles")
    if n_columns < 1:
        raise OptionError(f"n_columns is {n_columns}: allowed are 1 and more; 2 is usual")
    path = Path(path)
    strips = [_strip(tile, n_slices) for tile in tiles]
    n_columns = min(n_columns, len(tiles))
    strip_width = max(_NARROWEST, *(strip.shape[1] for strip in strips))
    rows = [strips[i : i + n_columns] for i in range(0, len(strips), n_columns)]
    row_heights = [max(strip.shape[0] for strip in row) for row in rows]
    width = 2 * _MARGIN + n_columns * (strip_width + _BAR + 6) + (n_columns - 1) * _MARGIN
    height = _MARGIN + _HEAD + sum(row_heights) + len(rows) * (_CAPTION + 18) + _MARGIN - 18
    sheet = np.full((height, width, 3), 255, np.uint8)
    captions: list[tuple[int, int, Tile]] = []
    y = _MARGIN + _HEAD
    for number, (row, row_height) in enumerate(zip(rows, row_heights, strict=True)):
        for column, strip in enumerate(row):
            tile = tiles[number * n_columns + column]
            x = _MARGIN + column * (strip_width + _BAR + 6 + _MARGIN)
            captions.append((x, y, tile))
            top, left = y + _CAPTION, x + _BAR + 6
            sheet[top : top + strip.shape[0], x : x + _BAR] = _rgb(_color(tile))
            sheet[top : top + strip.shape[0], left : left + strip.shape[1]] = strip
        y += _CAPTION + row_height + 18
    figure = _lettered(sheet, captions, title, tiles)
    figure.savefig(path, format="png", dpi=100, metadata={"Software": None})
    return path


def _strip(tile: Tile, n_slices: int) -> UInt8Array:
    """The slices of a tile side by side, enlarged to fill the height or the width."""
    import cv2

    if tile.images is None:
        return np.full((_HEIGHT // 2, _WIDTH // 2, 3), 238, np.uint8)
    images = tile.images if tile.images.ndim == 4 else tile.images[None]
    images = images[sharpest_slices(images, n_slices)]
    n, y, x, _ = images.shape
    scale = min(_HEIGHT / y, (_WIDTH - (n - 1) * _GAP) / (n * x))
    size = max(1, round(x * scale)), max(1, round(y * scale))
    method = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    strip = np.full((size[1], n * size[0] + (n - 1) * _GAP, 3), 255, np.uint8)
    for index, image in enumerate(images):
        left = index * (size[0] + _GAP)
        strip[:, left : left + size[0]] = cv2.resize(image, size, interpolation=method)
    return strip


def _lettered(
    sheet: UInt8Array, captions: list[tuple[int, int, Tile]], title: str, tiles: Sequence[Tile]
) -> Figure:
    """The sheet pixel by pixel, with its text."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    height, width = sheet.shape[:2]
    figure = Figure(figsize=(width / 100, height / 100), dpi=100)
    FigureCanvasAgg(figure)
    figure.figimage(sheet, origin="upper")

    def write(x: float, y: float, text: str, **style: Any) -> None:
        # Literal text: a dollar sign in a filename is not mathematics.
        figure.text(
            x / width, 1 - y / height, text, va="center", parse_math=False,
            family="DejaVu Sans", **style,
        )  # fmt: skip

    write(_MARGIN, _MARGIN + 8, title, size=14, weight="bold", color=_INK)
    x = float(_MARGIN)
    for color, word, n in _legend(tiles):
        write(x, _MARGIN + 36, "■", size=10, color=color)
        text = f"{word} ({n})"
        write(x + 16, _MARGIN + 36, text, size=9, color=_FAINT)
        x += 16 + 8 * len(text) + 12
    for x_caption, y_caption, tile in captions:
        if tile.images is None:
            y_middle = y_caption + _CAPTION + _HEIGHT // 4
            write(x_caption + 28, y_middle, "no frames to show", size=9, color=_FAINT)
        write(
            x_caption, y_caption + _CAPTION / 2 - 1, tile.caption, size=9.5, weight="bold",
            color=_color(tile),
        )  # fmt: skip
    return figure


def _legend(tiles: Sequence[Tile]) -> list[tuple[str, str, int]]:
    kinds = [tile.right for tile in tiles]
    words = ((_RIGHT, "right", True), (_WRONG, "wrong", False), (_UNKNOWN, "unknown", None))
    return [(color, word, kinds.count(k)) for color, word, k in words if k in kinds]


def _color(tile: Tile) -> str:
    return {True: _RIGHT, False: _WRONG, None: _UNKNOWN}[tile.right]


def _rgb(color: str) -> UInt8Array:
    return np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)], np.uint8)
