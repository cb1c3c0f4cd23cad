"""The paper's video: input, heatmap and overlay side by side, slice after slice."""

from __future__ import annotations

import functools
import io
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from stallscan.explain.explainer import Explanation
from stallscan.explain.localise import peak
from stallscan.explain.pictures import fitted, heat_frames, input_frames, overlay_frames
from stallscan.types import Label, UInt8Array
from stallscan.video.read import iter_frames
from stallscan.video.write import write_frames

SIZE = 1080, 1920
FPS = 5.0
_PRESET = "veryfast"
_GIF_WIDTH, _GIF_FRAMES, _GIF_COLOURS = 540, 40, 128
_HEAD, _GAP = 120, 20


def film(path: Path, explanation: Explanation, *, name: str, truth: int | None = None) -> None:
    """Write an mp4 of 1920×1080: three panels, with name, probability, call and truth above.

    Args:
        path: the mp4.
        explanation: of one ROI.
        name: of the video.
        truth: its label, where it is known.
    """
    write_frames(path, _frames(explanation, name, truth), SIZE, fps=FPS, preset=_PRESET)


def gif(path: Path, explanation: Explanation) -> None:
    """Write the three panels as a small animation, of the slices around the map's peak."""
    width = (_GIF_WIDTH - 2 * 4) // 3
    _, height, across = explanation.volume.array.shape[:3]
    size = max(1, round(height * width / across)), width
    gap = np.full((size[0], 4, 3), 255, np.uint8)
    first = max(0, peak(explanation.heat)[0] - _GIF_FRAMES // 2)
    pictures = []
    for panels in itertools.islice(_panels(explanation), first, first + _GIF_FRAMES):
        small = [fitted(panel, size, largest=np.inf) for panel in panels]
        frame = np.hstack([small[0], gap, small[1], gap, small[2]])
        pictures.append(Image.fromarray(frame).quantize(_GIF_COLOURS))
    partial = path.with_name(f".{path.name}")
    pictures[0].save(
        partial,
        format="GIF",
        save_all=True,
        append_images=pictures[1:],
        duration=round(1000 / FPS),
        loop=0,
    )
    partial.replace(path)


def reel(path: Path, films: Iterable[Path]) -> None:
    """One mp4 of many."""

    def frames() -> Iterator[UInt8Array]:
        for each in films:
            yield from iter_frames(each)

    write_frames(path, frames(), SIZE, fps=FPS, preset=_PRESET)


def _panels(explanation: Explanation) -> Iterator[tuple[UInt8Array, UInt8Array, UInt8Array]]:
    yield from zip(
        input_frames(explanation),
        heat_frames(explanation),
        overlay_frames(explanation),
        strict=True,
    )


def _frames(explanation: Explanation, name: str, truth: int | None) -> Iterator[UInt8Array]:
    height, width = SIZE[0] - _HEAD - 2 * _GAP, (SIZE[1] - 4 * _GAP) // 3
    head = _head(caption(explanation, name, truth))
    depth = explanation.volume.n_frames
    for z, panels in enumerate(_panels(explanation)):
        frame = np.zeros((*SIZE, 3), np.uint8)
        frame[:_HEAD] = head
        for place, panel in enumerate(panels):
            left = _GAP + place * (width + _GAP)
            frame[_HEAD + _GAP : -_GAP, left : left + width] = fitted(panel, (height, width))
        # How far the stack has been seen.
        frame[_HEAD : _HEAD + 4, : round(SIZE[1] * (z + 1) / depth)] = 200
        yield frame


def caption(explanation: Explanation, name: str, truth: int | None) -> str:
    """Name, probability, call and truth in a line."""
    prediction = explanation.prediction
    parts = [name, f"{prediction.probability:.2f} {Label(prediction.stalled).word}"]
    if truth is not None:
        parts.append(f"truth {Label(truth).word}")
    return " · ".join(parts)


@functools.lru_cache(maxsize=4)
def _head(text: str) -> UInt8Array:
    """White on black, over the panels and what they are."""
    figure = Figure(figsize=(SIZE[1] / 100, _HEAD / 100), dpi=100, facecolor="black")
    FigureCanvasAgg(figure)
    figure.text(0.5, 0.68, text, color="white", size=22, ha="center", va="center", parse_math=False)
    for place, word in enumerate(("input", "heatmap", "overlay")):
        figure.text((place + 0.5) / 3, 0.2, word, color="0.75", size=15, ha="center", va="center")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="rgba", facecolor="black")
    rgba = np.frombuffer(buffer.getvalue(), np.uint8).reshape(_HEAD, SIZE[1], 4)
    return rgba[..., :3].copy()
