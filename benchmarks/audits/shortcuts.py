"""Can the classes be told apart by what has nothing to do with the blood? They must not."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from audits.auc import auc_table
from audits.parallel import in_order
from audits.table import show_and_write
from stallscan.roi.color import orange_mask
from stallscan.simulate.phantom import phantom_roi
from stallscan.simulate.settings import PRESETS
from stallscan.simulate.state import State

SEED = 4_001

Job = tuple[str, int]


def shortcuts(*, n: int, preset: str, workers: int, results: Path) -> pd.DataFrame:
    """AUC of ROI size, frame count, outline pixels and mean grey, together and each alone."""
    jobs = [(preset, index) for index in range(n)]
    table = pd.DataFrame(in_order(_measure, jobs, workers=workers, what=f"ROIs, {preset}"))
    labels = table.pop("stalled").to_numpy(np.int64)
    found = auc_table(table, labels)
    title = f"Shortcuts on {preset}: {n} ROIs, {labels.sum()} stalled; 0 flowing, 1 stalled"
    show_and_write(found, results / f"phantom-shortcuts-{preset}-cpu.csv", title)
    low, high = found.loc[0, "low"], found.loc[0, "high"]
    print(f"The tree's interval {'contains' if low <= 0.5 <= high else 'DOES NOT CONTAIN'} 0.5.")
    return found


def _measure(job: Job) -> dict[str, float]:
    """What a careless network could hold on to. Every other ROI is stalled."""
    preset, index = job
    state = (State.FLOWING, State.STALLED)[index % 2]
    volume, _ = phantom_roi((SEED, index), state, PRESETS[preset])
    orange = np.stack([orange_mask(frame) for frame in volume.array])  # (z, y, x)
    smear = np.stack([cv2.dilate(mask.astype(np.uint8), np.ones((5, 5))) for mask in orange])
    return {
        "stalled": int(state is State.STALLED),
        "height_px": volume.array.shape[1],
        "width_px": volume.array.shape[2],
        "n_frames": volume.n_frames,
        "outline_px": orange.sum() / volume.n_frames,
        "mean_grey": float(volume.array[smear == 0].mean()),
    }
