"""What the network sees: twins along their vessel, slice after slice."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from stallscan.augment.evaluation import to_grey
from stallscan.augment.straighten import straightening
from stallscan.roi.centreline import centreline
from stallscan.simulate.phantom import phantom_roi
from stallscan.simulate.settings import PRESETS
from stallscan.types import Label

SEEDS = (6_005, 2), (6_005, 3), (6_005, 9)
N_SLICES = 10
SIZE, SPACING_PX = (80, 16), 1.25


def figure(*, out: Path) -> None:
    """A row of pictures for each scene: the ROI, then the same slices flowing and stalled."""
    widths = [4, *[1] * N_SLICES, 0.3, *[1] * N_SLICES]
    drawn, axes = plt.subplots(
        len(SEEDS),
        len(widths),
        figsize=(11, 2.1 * len(SEEDS)),
        gridspec_kw={"width_ratios": widths, "wspace": 0.06, "hspace": 0.12},
    )
    for axis in axes.ravel():
        axis.axis("off")
    for row, seed in zip(axes, SEEDS, strict=True):
        twins = {label: phantom_roi(seed, label, PRESETS["clogloss"]) for label in Label}
        volume, truth = twins[Label.FLOWING]
        line = centreline(volume.mask)
        row[0].imshow(volume.array.max(axis=0))
        row[0].plot(line[:, 1], line[:, 0], color="cyan", linewidth=1)
        middle = int(np.median(np.flatnonzero(truth.focus)))
        first = int(np.clip(middle - N_SLICES // 2, 0, volume.n_frames - N_SLICES))
        view = straightening(volume.mask, SIZE, SPACING_PX)
        for place, label in ((1, Label.FLOWING), (N_SLICES + 2, Label.STALLED)):
            straight = view(to_grey(twins[label][0].array))[first : first + N_SLICES]
            for axis, plane in zip(row[place : place + N_SLICES], straight, strict=True):
                axis.imshow(plane, cmap="gray", vmin=0, vmax=255)
    axes[0, 0].set_title("the outline’s middle", fontsize=9)
    axes[0, 1 + N_SLICES // 2].set_title("flowing: consecutive slices along it", fontsize=9)
    axes[0, N_SLICES + 2 + N_SLICES // 2].set_title("its twin, stalled", fontsize=9)
    drawn.savefig(out, dpi=100, bbox_inches="tight")
    plt.close(drawn)
