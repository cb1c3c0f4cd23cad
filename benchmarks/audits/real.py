"""Phantom beside real, in numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import ks_2samp

from audits.line import line_statistics
from audits.parallel import in_order
from audits.real_data import FRAME, GIFS, real_folder, real_n_frames, real_stacks
from audits.table import show_and_write
from audits.texture import (
    LAGS_PX,
    autocorrelation,
    background,
    frame_correlation,
    grey_levels,
    split,
)
from audits.vessel_width import widths_px
from stallscan.simulate.phantom import phantom_clip, phantom_truth
from stallscan.simulate.settings import load_settings
from stallscan.simulate.state import State
from stallscan.types import UInt8Array

SEED = 4_004
STALLED_SHARE = 0.3
AS_GIF = ("gif_share=1", "gif_scale=0.625")  # 512×384 → 320×240, with a palette
LAGS_FRAMES = (1, 3, 5, 10)
_WIDTH_FRAMES = 12  # in which widths are measured

# Of 20,000 real training ROIs: means, extremes, and the bins in which the histograms peak.
REAL_SIZES = {
    "height_px": {"mean": "66", "min": "22", "max": "335", "mode": "43–64"},
    "width_px": {"mean": "67", "min": "23", "max": "448", "mode": "37–66"},
}

Job = tuple[tuple[str, ...], str, int]


def real(
    *, data: Path | None, n: int, n_truths: int, preset: str, workers: int, results: Path
) -> None:
    """Two tables: statistics of the pictures, and of the sizes."""
    folder = real_folder(data)
    pictures = picture_table(real_stacks(folder), n=n, preset=preset, workers=workers)
    title = f"Phantom ({n} {preset} clips: median and p10–p90) and real pictures"
    show_and_write(pictures, results / "phantom-real-pictures-cpu.csv", title)
    sizes = size_table(real_n_frames(folder), n=n_truths, preset=preset, workers=workers)
    title = f"Sizes: {n_truths} {preset} phantoms and the real data"
    show_and_write(sizes, results / "phantom-real-sizes-cpu.csv", title)


def picture_table(
    stacks: dict[str, UInt8Array], *, n: int, preset: str, workers: int
) -> pd.DataFrame:
    """A row for each statistic; a column for each real picture and two pairs for the phantoms."""
    columns: dict[str, pd.Series] = {}
    for what, changes, beside in (("", (), (FRAME,)), (" 320×240", AS_GIF, tuple(GIFS))):
        jobs = [(changes, preset, index) for index in range(n)]
        found = pd.DataFrame(in_order(_measure, jobs, workers=workers, what=f"clips{what}"))
        low, middle, high = (found.quantile(q) for q in (0.1, 0.5, 0.9))
        columns[f"phantom{what}"] = middle
        columns[f"p10–p90{what}"] = pd.Series(
            {name: f"{low[name]:.3g}–{high[name]:.3g}" for name in found}
        )
        columns |= {name: pd.Series(statistics(stacks[name])) for name in beside}
    table = pd.DataFrame(columns)
    table = table.reindex(list(statistics(stacks[FRAME])))
    return table.rename_axis("statistic").reset_index()


def statistics(rgb: UInt8Array) -> dict[str, float]:
    """Everything that is compared, of one stack ``(z, y, x, 3)``."""
    grey, free = split(rgb)
    dark = background(grey, free)
    frames = np.unique(np.linspace(0, len(grey) - 1, _WIDTH_FRAMES).astype(int))
    widths = np.concatenate([widths_px(grey[z], free[z]) for z in frames])
    quartiles = np.percentile(widths, (25, 50, 75)) if len(widths) else (np.nan,) * 3
    noise = autocorrelation(grey, dark, LAGS_PX)
    return {
        **grey_levels(grey, free),
        **autocorrelation(grey, free, LAGS_PX),
        **{f"background {name}": value for name, value in noise.items()},
        **frame_correlation(grey, free, LAGS_FRAMES),
        **{
            f"vessel width p{p}, px": float(v) for p, v in zip((25, 50, 75), quartiles, strict=True)
        },
        **line_statistics(rgb),
    }


def _measure(job: Job) -> dict[str, float]:
    changes, preset, index = job
    state = State.STALLED if index % 10 < 10 * STALLED_SHARE else State.FLOWING
    clip, _ = phantom_clip((SEED, index), state, load_settings(preset, changes))
    return statistics(clip.array)


def size_table(real_counts: np.ndarray, *, n: int, preset: str, workers: int) -> pd.DataFrame:
    """Frames and ROI sizes; for frames also the Kolmogorov–Smirnov distance."""
    jobs = [((), preset, index) for index in range(n)]
    table = pd.DataFrame(in_order(_sizes, jobs, workers=workers, what="truths"))
    real_sizes = {**REAL_SIZES, "n_frames": _summary(real_counts)}
    rows = [
        {"size": name, "statistic": word, "phantom": value, "real": real_sizes[name].get(word)}
        for name, column in table.items()
        for word, value in _summary(column.to_numpy()).items()
    ]
    distance = ks_2samp(table["n_frames"], real_counts)
    rows += [
        {"size": "n_frames", "statistic": f"Kolmogorov–Smirnov {word}", "phantom": f"{value:.3g}"}
        for word, value in (("distance", distance.statistic), ("p", distance.pvalue))
    ]
    return pd.DataFrame(rows)


def _sizes(job: Job) -> dict[str, int]:
    changes, preset, index = job
    state = State.STALLED if index % 10 < 10 * STALLED_SHARE else State.FLOWING
    truth = phantom_truth((SEED, index), state, load_settings(preset, changes))
    return {
        "n_frames": truth.n_frames,
        "height_px": truth.roi_y1 - truth.roi_y0,
        "width_px": truth.roi_x1 - truth.roi_x0,
    }


def _summary(values: np.ndarray) -> dict[str, str]:
    """Mean, quantiles, extremes and the densest stretch of 21 px or frames."""
    ordered = np.sort(values)
    inside = np.searchsorted(ordered, ordered + 21, side="right") - np.arange(len(ordered))
    densest = int(ordered[int(inside.argmax())])
    quantiles = {"p5": 0.05, "median": 0.5, "p95": 0.95, "p99": 0.99}
    return {
        "mean": f"{values.mean():.1f}",
        **{word: f"{np.quantile(values, q):g}" for word, q in quantiles.items()},
        "min": f"{values.min()}",
        "max": f"{values.max()}",
        "mode": f"{densest}–{densest + 21}",
    }
