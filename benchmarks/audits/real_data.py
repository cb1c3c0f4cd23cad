"""The real data at hand: two small clips, one frame, the table of frame counts. Never copied."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image

from stallscan.data.metadata import read_metadata
from stallscan.types import UInt8Array
from stallscan.video import read_clip

FRAME = "frame 512×384"
GIFS = {"105668 (stalled)": "105668.gif", "200149 (flowing)": "200149.gif"}


def real_folder(given: Path | None) -> Path:
    """The folder of the option, or of STALLSCAN_REAL_DATA.

    Raises:
        SystemExit: neither is there.
    """
    folder = given or Path(os.environ.get("STALLSCAN_REAL_DATA", ""))
    if not (folder / "clips").is_dir():
        raise SystemExit(
            f"{folder}: holds no folder clips/; name the real data by --data DIR or by the "
            "variable STALLSCAN_REAL_DATA"
        )
    return folder


def real_stacks(folder: Path) -> dict[str, UInt8Array]:
    """By name, ``(z, y, x, 3)``: the frame, then the clips without their repeated last frames."""
    frame = np.asarray(Image.open(folder / "clips/stalled_frame_512x384.jpg").convert("RGB"))
    stacks = {FRAME: frame[None]}
    for name, file in GIFS.items():
        array = read_clip(folder / "clips" / file).array
        fresh = np.ones(len(array), bool)
        fresh[1:] = (array[1:] != array[:-1]).any(axis=(1, 2, 3))
        stacks[name] = array[fresh]
    return stacks


def real_n_frames(folder: Path) -> np.ndarray:
    """Frame counts of the competition's training videos."""
    table = read_metadata(folder / "clogloss/train_metadata.csv.xz")
    return table["num_frames"].to_numpy()
