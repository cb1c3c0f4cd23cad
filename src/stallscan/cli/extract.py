"""``stallscan extract``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from stallscan.cli._progress import progress_callback, say
from stallscan.data.extract import ExtractOptions
from stallscan.roi.options import RoiOptions
from stallscan.types import Location

_DEFAULTS = ExtractOptions()
_REGIONS = RoiOptions()


def extract(
    data: Annotated[
        Positional[tuple[Location, ...]], arg(metavar="DATA…", help_behavior_hint="(required)")
    ],
    out: Path,
    extraction: ExtractOptions = _DEFAULTS,
    regions: RoiOptions = _REGIONS,
    workers: int = os.cpu_count() or 1,
    overwrite: bool = False,
) -> int:
    """Cut the outlined regions out of videos, once, into a store that predict and train read.

    Beside the store lies a table, OUT.csv: a row for each video with box, verdict and message. Exit
    code 3 when a video failed. The same command again resumes an unfinished run.

    Args:
        data: Videos, folders of videos, or a data set with train/ and test/.
        out: The store to write, such as rois.lmdb.
        extraction: What to store.
        regions: Where the regions come from.
        workers: Processes; all cores by default.
        overwrite: Start anew over an existing store.
    """
    from stallscan.data.extract import extract_to_store

    with progress_callback() as update:
        result = extract_to_store(
            data,
            out,
            extraction,
            regions,
            workers=workers,
            overwrite=overwrite,
            progress=update,
        )
    counts = result.record["counts"]
    say(
        f"{out}: {sum(counts.values())} videos, {counts['ok']} ok, {counts['flagged']} flagged, "
        f"{counts['failed']} failed; {result.record['n_bytes'] / 2**20:.1f} MiB"
    )
    if counts["flagged"] or counts["failed"]:
        say(f"The column message of {out}.csv says why.")
    return result.exit_code
