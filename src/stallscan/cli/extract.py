"""``stallscan extract``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from stallscan.cli._cluster import Cluster, cluster_options
from stallscan.cli._progress import progress_callback, say
from stallscan.data.extract import ExtractOptions
from stallscan.roi.options import RoiOptions
from stallscan.types import Location
from stallscan.video.remote import be_anonymous, refuse_url

_DEFAULTS = ExtractOptions()
_REGIONS = RoiOptions()


def extract(
    data: Annotated[
        Positional[tuple[Location, ...]], arg(metavar="DATA…", help_behavior_hint="(required)")
    ],
    out: Path,
    extraction: Annotated[ExtractOptions, arg(help="")] = _DEFAULTS,
    regions: Annotated[RoiOptions, arg(help="")] = _REGIONS,
    anonymous: bool = False,
    cluster: Cluster | None = None,
    address: str | None = None,
    actors: int | None = None,
    workers: int = os.cpu_count() or 1,
    overwrite: bool = False,
) -> int:
    """Cut the outlined regions out of videos, once, into a store that predict and train read.

    Beside the store lies a table, OUT.csv: a row for each video with box, verdict and message. Exit
    code 3 when a video failed. The same command again resumes an unfinished run.

    Args:
        data: Videos, folders, data sets, s3:// prefixes, or tables of URLs.
        out: The store to write, such as rois.lmdb; with --cluster, a folder of stores.
        extraction: What to store.
        regions: Where the regions come from.
        anonymous: Sign no request to S3, as without credentials.
        cluster: ray: by all nodes of a Ray cluster, into a folder of stores.
        address: Of a running one; by default Ray starts here.
        actors: Processes; one for each core by default.
        workers: Processes; all cores by default.
        overwrite: Start anew over an existing store.
    """
    refuse_url("--out", out)
    on_cluster = cluster_options(cluster, address=address, actors=actors)
    if anonymous:
        be_anonymous()
    with progress_callback() as update:
        if on_cluster is None:
            from stallscan.data.extract import extract_to_store

            result = extract_to_store(
                data,
                out,
                extraction,
                regions,
                workers=workers,
                overwrite=overwrite,
                progress=update,
            )
        else:
            from stallscan.data.extract_on_cluster import extract_to_shards

            result = extract_to_shards(
                data, out, extraction, regions, on_cluster, overwrite=overwrite, progress=update
            )
    counts = result.record["counts"]
    say(
        f"{out}: {sum(counts.values())} videos, {counts['ok']} ok, {counts['flagged']} flagged, "
        f"{counts['failed']} failed; {result.record['n_bytes'] / 2**20:.1f} MiB"
    )
    if counts["flagged"] or counts["failed"]:
        say(f"The column message of {out}.csv says why.")
    return result.exit_code
