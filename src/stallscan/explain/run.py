"""Many videos → a folder of explanations; what is wrong with one stays with that one."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stallscan.errors import OptionError, StallscanError
from stallscan.explain.explainer import Explainer, Explanation
from stallscan.explain.film import film, gif, reel
from stallscan.explain.summary import summary
from stallscan.roi.extraction import Extraction

log = logging.getLogger(__name__)

TABLE = "explained.csv"
COLUMNS = (
    "filename",
    "status",
    "message",
    "probability",
    "stalled",
    "truth",
    "persistence",
    "physics",
    "peak_z",
    "peak_y",
    "peak_x",
)
"""Columns of the table; a video's JSON has more."""

_BOX = "the region is a box without an outline: the vessel’s course was sought in all of it"


def explain_all(
    out: Path,
    names: Iterable[str],
    extract: Callable[[str], Extraction],
    explainer: Explainer,
    *,
    truths: Mapping[str, int] | None = None,
    bar: Callable[[], object] = lambda: None,
) -> pd.DataFrame:
    """Explain each video that has no record yet, and write the table of all.

    Args:
        out: the folder: NAME.png, NAME.mp4, NAME.gif and, last of each, NAME.json; explained.csv.
        names: base names of the videos, whose stems must differ.
        extract: name → Extraction, failed ones too.
        explainer: of a model.
        truths: labels by name, where they are known.
        bar: called after each video.

    Returns:
        The table, in the order of the names, with `COLUMNS`.

    Raises:
        OptionError: two names with one stem, whose files would be the same.
    """
    rows = []
    for name, stem in _stems(names).items():
        record_path = out / f"{stem}.json"
        if not record_path.exists():
            truth = None if truths is None else truths.get(name)
            record = _explain(out / stem, extract(name), explainer, truth)
            partial = record_path.with_name(f".{record_path.name}")
            partial.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
            partial.replace(record_path)
        rows.append(json.loads(record_path.read_text()))
        bar()
    table = pd.DataFrame(rows).reindex(columns=list(COLUMNS))
    table = table.astype(dict.fromkeys(("stalled", "truth", *COLUMNS[-3:]), "Int64"))
    table.to_csv(out / TABLE, index=False, lineterminator="\n")
    return table


def write_reel(out: Path, names: Iterable[str]) -> Path | None:
    """One video of all that have one; None where none has."""
    films = [path for stem in _stems(names).values() if (path := out / f"{stem}.mp4").exists()]
    if not films:
        return None
    reel(out / "reel.mp4", films)
    return out / "reel.mp4"


def _stems(names: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    taken: dict[str, str] = {"reel": "the reel", "run": "the run’s record"}
    for name in names:
        stem = Path(name).stem
        if stem in taken:
            raise OptionError(
                f"{name} and {taken[stem]} would be written under one name, {stem!r}; explain them "
                "into folders of their own"
            )
        found[name], taken[stem] = stem, name
    return found


def _explain(
    place: Path, extraction: Extraction, explainer: Explainer, truth: int | None
) -> dict[str, Any]:
    """The record of one video, whose pictures lie beside it."""
    name = extraction.filename
    failed = {"filename": name, "status": "failed", "truth": truth}
    if extraction.volume is None:
        return failed | {"message": extraction.message}
    try:
        found = explainer(extraction.volume)
        summary(place.with_name(f"{place.name}.png"), found, name=name, truth=truth)
        if not explainer.options.picture_alone:
            film(place.with_name(f"{place.name}.mp4"), found, name=name, truth=truth)
            gif(place.with_name(f"{place.name}.gif"), found)
    except (StallscanError, MemoryError) as error:
        return failed | {"message": f"{name}: {str(error) or 'no memory left'}"}
    boxed = _BOX if extraction.volume.mask.all() else ""
    doubts = [word for word in (extraction.message, boxed, found.doubt) if word]
    status = "flagged" if boxed or found.doubt else extraction.status
    return {
        "filename": name,
        "status": str(status),
        "message": "; ".join(doubts),
        **numbers(found, explainer),
        "truth": truth,
    }


def numbers(found: Explanation, explainer: Explainer) -> dict[str, Any]:
    """What is drawn, as JSON."""
    course, volume = found.kymograph, found.volume
    corner = np.array([volume.box.y0, volume.box.x0])
    z, y, x = found.peak
    inside = found.heat[:, volume.mask].sum(dtype=np.float64)
    whole = max(float(found.heat.sum(dtype=np.float64)), 1e-12)
    return {
        "model": explainer.predictor.card.name,
        "probability": found.prediction.probability,
        "threshold": found.threshold,
        "stalled": found.prediction.stalled,
        "map": explainer.options.map,
        "speaks_for": None if found.colours is not None else found.speaks_for,
        "peak_z": z,
        "peak_y": y,
        "peak_x": x,
        "heat_inside_outline": round(float(inside / whole), 4),
        "physics": str(found.physics),
        "persistence": round(course.persistence, 4),
        "focus": np.flatnonzero(course.focus).tolist(),
        "box": list(volume.box),
        "course_px": np.round(course.line_px + corner, 2).tolist(),
        "kymograph": np.round(course.intensity.astype(float), 1).tolist(),
    }
