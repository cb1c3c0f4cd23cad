"""The two real clips: to be opened once, when everything else is fixed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from audits.real_data import GIFS, real_folder
from audits.table import show_and_write

from shipping.ask import SCORE, answers, predictor_of
from stallscan.roi.find import find_roi
from stallscan.video import read_clip


def real(*, models: Sequence[str], data: Path | None, results: Path) -> pd.DataFrame:
    """Probability, threshold and margin of each model, and what the outline's verdict is."""
    rows = []
    for name, file in GIFS.items():
        clip = read_clip(real_folder(data) / "clips" / file)
        roi = find_roi(clip)
        found = answers(roi.crop(clip), models)
        for model in models:
            threshold = predictor_of(model).threshold
            rows.append(
                {
                    "clip": name,
                    "model": model,
                    "probability": found[model],
                    "threshold": threshold,
                    "margin": found[model] - threshold,
                    "called": "stalled" if found[model] >= threshold else "flowing",
                    "outline": str(roi.verdict),
                    SCORE: found[SCORE],
                }
            )
    table = pd.DataFrame(rows)
    show_and_write(table, results / "shipped-real-cpu.csv", "The two real clips")
    return table
