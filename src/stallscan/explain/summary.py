"""One picture a vessel: where, what, why, and the verdict in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec

from stallscan.explain.explainer import Explanation
from stallscan.explain.film import caption
from stallscan.explain.pictures import input_frames, overlay_frames
from stallscan.types import Label

N_SLICES = 8
_WIDE = 2.0


def summary(path: Path, explanation: Explanation, *, name: str, truth: int | None = None) -> None:
    """Write a PNG: maximum projection with course, eight slices, heatmap, kymograph, verdict.

    Args:
        path: the PNG.
        explanation: of one ROI.
        name: of the video.
        truth: its label, where it is known.
    """
    figure = Figure(figsize=(15, 7), dpi=100)
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(
        3, N_SLICES + 3, height_ratios=(1, 1, 1.5), left=0.045, right=0.985, bottom=0.07, top=0.9,
        wspace=0.08, hspace=0.12,
    )  # fmt: skip
    figure.suptitle(
        caption(explanation, name, truth), x=0.045, ha="left", size=15, weight="bold",
        parse_math=False,
    )  # fmt: skip
    course = explanation.kymograph.line_px
    whole = figure.add_subplot(grid[:2, :3])
    whole.imshow(input_frames(explanation).max(axis=0))
    whole.plot(course[:, 1], course[:, 0], color="cyan", linewidth=1)
    whole.set_title("all slices; the vessel’s course", size=10)
    whole.axis("off")
    _draw_slices(figure, grid[:2, 3:], explanation)
    _draw_kymograph(figure, grid[2, :7], explanation)
    words = figure.add_subplot(grid[2, 7:])
    words.axis("off")
    words.text(
        0.02, 0.98, "\n".join(verdict(explanation, truth)), va="top", size=11, linespacing=1.5,
        wrap=True, parse_math=False,
    )  # fmt: skip
    partial = path.with_name(f".{path.name}")
    figure.savefig(partial, format="png", metadata={"Software": None})
    partial.replace(path)


def slices_in_focus(explanation: Explanation) -> list[int]:
    """Eight consecutive slices, or all, in which the vessel is seen best."""
    seen = explanation.kymograph.contrast.mean(axis=1)
    n = min(N_SLICES, len(seen))
    first = int(np.argmax(np.convolve(seen, np.ones(n), mode="valid")))
    return list(range(first, first + n))


def _draw_slices(figure: Figure, place: SubplotSpec, explanation: Explanation) -> None:
    """Each slice, and the map over it below; wide ones in two rows."""
    height, width = explanation.volume.array.shape[1:3]
    columns = N_SLICES if width < _WIDE * height else N_SLICES // 2
    rows = 2 * N_SLICES // columns
    grid = place.subgridspec(rows, columns, wspace=0.08, hspace=0.12 * rows / 2)
    plain, mapped = input_frames(explanation), overlay_frames(explanation)
    for number, z in enumerate(slices_in_focus(explanation)):
        row, column = divmod(number, columns)
        for below, frames in enumerate((plain, mapped)):
            axis = figure.add_subplot(grid[2 * row + below, column])
            axis.imshow(frames[z])
            axis.axis("off")
            axis.set_anchor("N" if below else "S")
            if not below:
                axis.set_title(f"slice {z}", size=9, pad=3)


def _draw_kymograph(figure: Figure, place: SubplotSpec, explanation: Explanation) -> None:
    found = explanation.kymograph
    axis = figure.add_subplot(place)
    axis.imshow(found.intensity, cmap="gray", aspect="auto", interpolation="nearest")
    for z in np.flatnonzero(found.focus):
        axis.plot(
            [-0.008, -0.008], [z - 0.5, z + 0.5], color="C1", linewidth=4, clip_on=False,
            transform=axis.get_yaxis_transform(), solid_capstyle="butt",
        )  # fmt: skip
    axis.set_xlim(-0.5, found.intensity.shape[1] - 0.5)
    axis.set_xlabel("along the vessel, px", size=9)
    axis.set_ylabel("slice", size=9)
    axis.set_title("straightened, slice under slice (orange: in focus)", size=10)
    axis.tick_params(axis="y", labelsize=8, pad=9)
    axis.tick_params(axis="x", labelsize=8)


def verdict(explanation: Explanation, truth: int | None = None) -> list[str]:
    """What is to be said, line by line."""
    prediction = explanation.prediction
    focus = np.flatnonzero(explanation.kymograph.focus)
    z, y, x = explanation.peak
    towards = "a stall" if explanation.speaks_for == "stalled" else "flow"
    what = f"most speaks for {towards}"
    if explanation.colours is not None:
        what = "features are strongest"
    lines = [
        f"Network: {Label(prediction.stalled).word}, probability {prediction.probability:.3f} "
        f"(stalled from {explanation.threshold:g}).",
        f"The pattern along the vessel: {explanation.physics} "
        f"(persistence {explanation.kymograph.persistence:.2f}).",
        f"In focus: {len(focus)} slices, {focus.min()} to {focus.max()}."
        if len(focus)
        else "In focus: no slice.",
        f"In the video, {what} at slice {z}, y {y}, x {x}.",
    ]
    if truth is not None:
        right = "right" if truth == prediction.stalled else "wrong"
        lines.append(f"Truth: {Label(truth).word}; the call is {right}.")
    if explanation.doubt:
        lines.append(f"Look again: {explanation.doubt}.")
    return lines
