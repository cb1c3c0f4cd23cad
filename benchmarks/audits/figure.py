"""Phantoms, flowing and stalled, eight consecutive slices each; on request beside real clips."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from audits.real_data import GIFS, real_folder, real_stacks
from stallscan.roi.find import find_roi
from stallscan.simulate.blood import Kind
from stallscan.simulate.phantom import phantom_clip, phantom_truth
from stallscan.simulate.settings import load_settings
from stallscan.simulate.state import State
from stallscan.types import UInt8Array

SEED = 4_005
N_SLICES = 8
CROP_PX = 128
_GIF = 0.625
AS_GIF = ("gif_share=1", f"gif_scale={_GIF}")  # 512×384 → 320×240, with a palette
SHOWN = (
    (State.FLOWING, Kind.FLOW),
    (State.STALLED, Kind.LEUKOCYTE),
    (State.FLOWING, Kind.FLOW),
    (State.STALLED, Kind.RBC),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A stack as the figure shows it.

    Attributes:
        title: what it is.
        frame: ``(y, x, 3)`` whole frame.
        crops: ``(8, size, size, 3)`` around the outline.
        first: slice of the first crop.
    """

    title: str
    frame: UInt8Array
    crops: UInt8Array
    first: int


def figure(*, out: Path, data: Path | None, preset: str) -> None:
    """Write the figure; with a folder of real data its clips and phantoms of their size follow."""
    rows = [phantom_row(preset, (), *shown, index) for index, shown in enumerate(SHOWN)]
    if data is not None:
        stacks = real_stacks(real_folder(data))
        for index, (name, (state, kind)) in enumerate(zip(GIFS, reversed(SHOWN[:2]), strict=True)):
            rows.append(row_of(f"REAL, 320×240\n{name}", stacks[name], _GIF))
            rows.append(phantom_row(preset, AS_GIF, state, kind, len(SHOWN) + index))
    draw(rows, out)
    print(f"wrote {out}")


def phantom_row(preset: str, changes: tuple[str, ...], state: State, kind: Kind, index: int) -> Row:
    """The first phantom of a stream of seeds with this kind of blood that is easily seen."""
    settings = load_settings(preset, changes)
    for attempt in itertools.count():
        truth = phantom_truth((SEED, index, attempt), state, settings)
        clear = truth.visible_share > 0.6 and truth.n_focus >= N_SLICES and truth.n_frames < 90
        if truth.kind == kind and clear and truth.still_share in (0.0, 1.0):
            break
    clip, _ = phantom_clip((SEED, index, attempt), state, settings)
    middle = int(np.median(np.flatnonzero(truth.focus)))
    speed = f", {abs(truth.speed_um_s) / 1000:.1f} mm/s" if state is State.FLOWING else ""
    size = f"{clip.array.shape[2]}×{clip.array.shape[1]}"
    title = f"phantom, {size}\n{state}: {kind}{speed}"
    return row_of(title, clip.array, _GIF if changes else 1.0, middle)


def row_of(title: str, array: UInt8Array, scale: float, middle: int | None = None) -> Row:
    """Crops around the outline; the middle slice is the one with most structure inside it."""
    roi = find_roi(array)
    if middle is None:
        inside = roi.crop(array)
        middle = int(inside.array[:, inside.mask & ~inside.line].std(axis=(1, 2)).argmax())
    first = int(np.clip(middle - N_SLICES // 2, 0, len(array) - N_SLICES))
    size = round(CROP_PX * scale)
    centre = ((roi.box.y0 + roi.box.y1) // 2, (roi.box.x0 + roi.box.x1) // 2)
    y, x = (
        int(np.clip(place - size // 2, 0, extent - size))
        for place, extent in zip(centre, array.shape[1:3], strict=True)
    )
    crops = array[first : first + N_SLICES, y : y + size, x : x + size]
    return Row(title=title, frame=array[first + N_SLICES // 2], crops=crops, first=first)


def draw(rows: list[Row], out: Path) -> None:
    """One line of pictures for each row: the whole frame, then its crops."""
    ratios = [4 / 3, *(1.0,) * N_SLICES]
    height = 1.65
    figure, axes = plt.subplots(
        len(rows),
        N_SLICES + 1,
        figsize=(height * sum(ratios) * 0.86, height * len(rows)),
        gridspec_kw={"width_ratios": ratios},
        layout="constrained",
        squeeze=False,
    )
    for row, line in zip(rows, axes, strict=True):
        line[0].imshow(row.frame)
        line[0].set_title(row.title, fontsize=7, loc="left")
        for number, (crop, panel) in enumerate(zip(row.crops, line[1:], strict=True)):
            panel.imshow(crop, interpolation="nearest")
            panel.set_title(f"slice {row.first + number}", fontsize=7)
        for panel in line:
            panel.axis("off")
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=110, pil_kwargs={"optimize": True})
    plt.close(figure)
