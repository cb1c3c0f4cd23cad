"""One renderer, two ways out: direct ROIs against ROIs cut out of decoded videos."""

from __future__ import annotations

import tempfile
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from audits.auc import auc_table
from audits.parallel import in_order
from audits.table import show_and_write
from audits.texture import autocorrelation, frame_correlation, grey_levels, split
from stallscan.errors import OutlineNotFoundError
from stallscan.roi.color import orange_mask
from stallscan.roi.find import find_roi
from stallscan.roi.persistence import persistence_score
from stallscan.roi.volume import Volume
from stallscan.simulate.phantom import phantom_clip, phantom_roi
from stallscan.simulate.settings import PRESETS
from stallscan.simulate.state import State
from stallscan.video import read_clip, write_clip

SEED = 4_003
STALLED_SHARE = 0.3
AT_MOST = 0.6

Job = tuple[str, bool, int, State]


def two_ways(*, n: int, preset: str, workers: int, results: Path) -> pd.DataFrame:
    """AUC of texture for "came out of a video", n ROIs each way, other seeds, same states."""
    states = [State.STALLED if i < STALLED_SHARE * n else State.FLOWING for i in range(n)]
    jobs = [
        (preset, decoded, 2 * index + decoded, state)
        for decoded in (True, False)  # the slow ones first
        for index, state in enumerate(states)
    ]
    rows = in_order(_measure, jobs, workers=workers, what=f"ROIs both ways, {preset}")
    table = pd.DataFrame([row for row in rows if row is not None])
    labels = table.pop("decoded").to_numpy(np.int64)
    found = auc_table(table, labels)
    title = (
        f"Two ways out of {preset}: {(labels == 0).sum()} direct ROIs (0), {labels.sum()} out of "
        f"videos (1); {rows.count(None)} whose outline is missing or jumps left out of both"
    )
    show_and_write(found, results / f"phantom-two-ways-{preset}-cpu.csv", title)
    auc = found.loc[0, "auc"]
    print(f"The limit of {AT_MOST} {'holds' if auc <= AT_MOST else 'IS EXCEEDED'}.")
    return found


def _measure(job: Job) -> dict[str, float] | None:
    """Texture of one ROI; None where the outline is not the target's in every frame."""
    preset, decoded, index, state = job
    seed = (SEED, index)
    if not decoded:
        volume, truth = phantom_roi(seed, state, PRESETS[preset])
    else:
        clip, truth = phantom_clip(seed, state, PRESETS[preset])
    # A finder takes the box of all frames then, and the direct ROI that of the target.
    if any(word.startswith("outline_") for word in truth.artefacts):
        return None
    if decoded:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "clip.mp4"
            write_clip(path, clip, crf=truth.crf, preset="veryfast")
            stored = read_clip(path)
        try:
            volume = find_roi(stored).crop(stored)
        except OutlineNotFoundError:
            return None
    return {"decoded": int(decoded), **_texture(volume)}


def _texture(volume: Volume) -> dict[str, float]:
    """Noise, smoothness in space and time, energy, grey levels, the line's colour."""
    grey, free = split(volume.array)
    inner = np.stack([cv2.erode(ok.astype(np.uint8), np.ones((3, 3), np.uint8)) for ok in free]) > 0
    laplacian = np.stack([cv2.Laplacian(frame, cv2.CV_32F) for frame in grey])[inner]
    high = np.stack([frame - cv2.GaussianBlur(frame, (0, 0), 1) for frame in grey])
    mean = np.stack([cv2.blur(frame, (5, 5)) for frame in grey])
    square = np.stack([cv2.blur(frame**2, (5, 5)) for frame in grey])
    variance = np.maximum(square - mean**2, 0)[free]
    change = np.diff(grey, axis=0)[free[1:] & free[:-1]]
    # By colour in both, for the finder's line and the truth's are not the same pixels.
    line = np.stack([orange_mask(frame) for frame in volume.array])
    orange = volume.array[line].astype(np.float32)
    quantiles = np.quantile(variance, [0.1, 0.5, 0.9])
    return {
        "noise (median high-pass)": float(np.median(np.abs(high[inner])) / 0.6745),
        "std of high-pass": float(high[inner].std()),
        "laplacian energy": float((laplacian**2).mean()),
        "std of change": float(change.std()),
        **{f"local variance p{p}": float(v) for p, v in zip((10, 50, 90), quantiles, strict=True)},
        **autocorrelation(grey, free, (1, 2, 3)),
        **{
            f"high-pass {name}": value
            for name, value in autocorrelation(high, inner, (1, 2)).items()
        },
        **frame_correlation(grey, free, (1, 2, 3)),
        **grey_levels(grey, free),
        **{
            f"line {channel} p{p}": float(np.percentile(orange[:, index], p))
            for index, channel in enumerate("RGB")
            for p in (10, 50, 90)
        },
        "persistence": persistence_score(volume),
    }
