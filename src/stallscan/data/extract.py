"""Many files → their ROIs → the ROI store."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import logging
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stallscan import __version__
from stallscan.data.map_files import map_files
from stallscan.data.rois import read_rois
from stallscan.data.tables import BOX_COLUMNS, STATUSES
from stallscan.data.videos import find_videos, fingerprint
from stallscan.errors import OptionError
from stallscan.manifest import Manifest, State, open_output
from stallscan.roi.options import RoiOptions
from stallscan.types import IntArray, Location, Size
from stallscan.video.remote import base_name

if TYPE_CHECKING:
    from stallscan.roi.extraction import Extraction

log = logging.getLogger(__name__)

INDEX_COLUMNS = (
    "filename",
    "status",
    "message",
    "n_frames",
    "height",
    "width",
    *BOX_COLUMNS,
    "outline",
    "flags",
)
"""Columns of the table beside a store."""

MAX_VOXELS = 2**27
"""Of a resized volume: 512×512×512."""

Progress = Callable[[int, int], None]
"""Called with (videos done, videos in all)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractOptions:
    """Options of `stallscan extract`."""

    size: Size | None = None
    """Resize every volume to this; as it is by default."""
    shard: int | None = None
    """Videos of each of a cluster's stores; up to 512."""

    def __post_init__(self) -> None:
        if self.shard is not None and self.shard < 1:
            raise OptionError(f"--shard is {self.shard}, allowed are 1 and above")
        if self.size is None:
            return
        if min(self.size) < 1 or math.prod(self.size) > MAX_VOXELS:
            raise OptionError(
                f"--size is {','.join(map(str, self.size))}, allowed are extents from 1 up and "
                f"{MAX_VOXELS:,} voxels in all; the winner's network took 96,128,128"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Extractor:
    """What `extract_roi` needs beside the path; can be sent to other processes.

    Attributes:
        options: where regions come from.
        size: resize volumes to ``(z, y, x)``.
        polygons: regions by base name when ``options.rois`` names a table.
    """

    options: RoiOptions
    size: Size | None = None
    polygons: dict[str, IntArray] | None = None

    @classmethod
    def from_options(cls, options: RoiOptions, size: Size | None = None) -> Extractor:
        """Reads the table of regions, if there is one.

        Raises:
            TableError: it cannot be read, or a row is wrong.
        """
        polygons = None if options.rois is None else read_rois(options.rois)
        return cls(options=options, size=size, polygons=polygons)

    def __call__(self, video: Location) -> Extraction:
        """The ROI of one video, or why there is none."""
        # Late, so that `--help` loads no decoder.
        from stallscan.roi.extract import extract_roi
        from stallscan.roi.extraction import Extraction

        polygon = None
        if self.polygons is not None:
            name = base_name(video)
            polygon = self.polygons.get(name)
            if polygon is None:
                message = (
                    f"{video}: {self.options.rois} has no region for {name!r}; add a row, or "
                    "leave --rois out to use the drawn outline"
                )
                return Extraction(filename=name, message=message)
        return extract_roi(video, self.options, polygon=polygon, size=self.size)

    def warn_unused(self, names: Iterable[str]) -> None:
        """Log how many rows of the table of regions name no video: often a matter of spelling."""
        unused = sorted(set(self.polygons or ()).difference(names))
        if unused:
            log.warning(
                "%s: %d of %d regions name no video of this run (%s, …)",
                self.options.rois,
                len(unused),
                len(self.polygons or ()),
                unused[0],
            )

    def identity(self) -> dict[str, object]:
        """What decides the content of volumes, for the records of runs."""
        identity: dict[str, object] = dataclasses.asdict(self.options)
        if self.options.rois is not None:
            content = self.options.rois.read_bytes()
            identity["rois"] = f"sha256 {hashlib.sha256(content).hexdigest()[:16]}"
        return identity | {"size": self.size}


def extract_to_store(
    inputs: Sequence[Location],
    out: Path,
    options: ExtractOptions,
    regions: RoiOptions,
    *,
    workers: int,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Manifest:
    """Write the ROIs of videos into a store, and a table of what became of them beside it.

    A killed run goes on where it stopped and ends with the same store.

    Args:
        inputs: as for `find_videos`.
        out: the store; the table is ``<out>.csv``.
        options: what to store.
        regions: where regions come from.
        workers: processes.
        overwrite: start anew over an existing store.
        progress: called after each video.

    Returns:
        The run's record; its exit code is 3 when a video failed.

    Raises:
        OptionError: no videos, two of one name, or ``workers`` below 1.
        OutputConflictError: the store belongs to another run.
        StoreError: it cannot be written.
    """
    from stallscan.data.store import RoiStore, StoreWriter

    if workers < 1:
        raise OptionError(f"--workers is {workers}, allowed are 1 and above; leave it out for all")
    videos = find_videos(inputs)
    extractor, identity = extractor_of(videos, options, regions)
    table = out.with_name(out.name + ".csv")
    parts = tuple(out.with_name(out.name + suffix) for suffix in (".csv", "-lock", ".writer"))
    with open_output(
        out, command="extract", options=identity, folder=False, overwrite=overwrite, parts=parts
    ) as run:
        if run.state is not State.COMPLETE:
            with StoreWriter(out, identity=identity, n_expected=len(videos)) as store:
                done = set(store.names)
                todo = [video for video in videos if base_name(video) not in done]
                if progress:
                    progress(len(done), len(videos))
                for name, value in map_files(
                    todo,
                    partial(encode_item, extractor),
                    failed=encode_failure,
                    workers=min(workers, max(len(todo), 1)),
                ):
                    store.append_encoded(name, value)
                    done.add(name)
                    if progress:
                        progress(len(done), len(videos))
                store.complete()
            counts = write_index(out, table)
            run.complete(
                exit_code=3 if counts["failed"] else 0,
                counts=counts,
                n_bytes=out.stat().st_size,
                version=__version__,
            )
        elif not table.exists():
            write_index(out, table)
        else:
            RoiStore(out)  # is whole, or says what is wrong with it
    return run


def extractor_of(
    videos: Sequence[Location], options: ExtractOptions, regions: RoiOptions
) -> tuple[Extractor, dict[str, object]]:
    """What cuts out, and what decides its results."""
    extractor = Extractor.from_options(regions, options.size)
    extractor.warn_unused(map(base_name, videos))
    identity = {
        "videos": f"{len(videos)} videos, sha256 {fingerprint(videos)}",
        **extractor.identity(),
    }
    return extractor, identity


def encode_item(load: Callable[[Any], Extraction], item: Location) -> tuple[str, bytes]:
    """Name and entry of a store; in a worker, where the compression costs the writer nothing."""
    from stallscan.data.store import encode

    return base_name(item), encode(load(item))


def encode_failure(item: Location, message: str) -> tuple[str, bytes]:
    """Of one at which its process died."""
    from stallscan.data.store import encode
    from stallscan.roi.extraction import Extraction

    name = base_name(item)
    return name, encode(Extraction(filename=name, message=message))


def write_index(store_path: Path, table: Path) -> dict[str, int]:
    """A row for each entry, in the order of the names; counts by status."""
    from stallscan.data.shards import open_store

    counts = dict.fromkeys(STATUSES, 0)
    partial_table = table.with_name(table.name + ".tmp")
    with partial_table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(INDEX_COLUMNS)
        for entry in open_store(store_path).summaries():
            counts[entry.status] += 1
            size = entry.frame_size or ("", "")
            box = entry.box or ("",) * len(BOX_COLUMNS)
            n_frames = "" if entry.n_frames is None else entry.n_frames
            message = " ".join(entry.message.split())
            writer.writerow(
                (
                    *(entry.filename, entry.status, message, n_frames, *size, *box),
                    *(entry.outline, " ".join(entry.flags)),
                )
            )
    partial_table.replace(table)
    return counts
