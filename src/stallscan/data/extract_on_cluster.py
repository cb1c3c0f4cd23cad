"""Many files → their ROIs → shards of a ROI store, each written by one node."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from stallscan import __version__
from stallscan.data.cluster import ClusterOptions, Stage, absolute, connected, run_stages
from stallscan.data.extract import (
    ExtractOptions,
    Extractor,
    Progress,
    encode_failure,
    encode_item,
    extractor_of,
    write_index,
)
from stallscan.data.map_files import map_files
from stallscan.data.shards import open_store, shard_path
from stallscan.data.store import StoreWriter
from stallscan.data.videos import find_videos
from stallscan.errors import OptionError, StoreError
from stallscan.manifest import Manifest, State, open_output
from stallscan.roi.options import RoiOptions
from stallscan.types import Location

if TYPE_CHECKING:
    import pyarrow as pa


def extract_to_shards(
    inputs: Sequence[Location],
    out: Path,
    options: ExtractOptions,
    regions: RoiOptions,
    cluster: ClusterOptions,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Manifest:
    """As `extract_to_store`, by a cluster: a folder of stores, which read as one.

    A shard is there as a whole or not at all; a run that was killed goes on with those that are
    missing.

    Args:
        inputs: as for `find_videos`, at places that all nodes can reach.
        out: the folder, which all nodes share; the table is ``<out>.csv``.
        options: what to store, and how many videos a shard has.
        regions: where regions come from.
        cluster: which, and how many processes.
        overwrite: start anew over an existing folder.
        progress: called after each shard.

    Raises:
        OptionError: no videos, two of one name, or ``out`` is not there on a node.
        OutputConflictError: the folder belongs to another run.
        StoreError: a shard cannot be written.
        ClusterError: there is no cluster, or it gave up.
    """
    videos = find_videos(inputs)
    extractor, identity = extractor_of(videos, options, regions)
    size = options.shard
    n_shards = -(-len(videos) // size)
    table = out.with_name(out.name + ".csv")
    with open_output(
        out,
        command="extract",
        options={**identity, "shard": size},
        overwrite=overwrite,
        parts=(table,),
    ) as run:
        run.update(n_shards=n_shards)
        if run.state is not State.COMPLETE:
            missing = [n for n in range(n_shards) if not shard_path(out, n).exists()]
            parts = {n: videos[n * size : (n + 1) * size] for n in missing}
            todo = [{"shard": n, "items": list(map(absolute, part))} for n, part in parts.items()]
            n_done = len(videos) - sum(map(len, parts.values()))
            if progress:
                progress(n_done, len(videos))
            if todo:
                for found in _write_shards(todo, out, extractor, identity, cluster):
                    n_done += found
                    if progress:
                        progress(n_done, len(videos))
            # Complete before its index is, for only complete ones are read.
            run.complete(
                exit_code=3,
                n_bytes=sum(shard_path(out, n).stat().st_size for n in range(n_shards)),
                version=__version__,
            )
        if not table.exists() or "counts" not in run.record:
            counts = write_index(out, table)
            run.update(exit_code=3 if counts["failed"] else 0, counts=counts)
        open_store(out)  # is whole, or says what is wrong with it
    return run


def _write_shards(
    todo: list[dict[str, Any]],
    out: Path,
    extractor: Extractor,
    identity: Mapping[str, Any],
    cluster: ClusterOptions,
) -> Iterator[int]:
    """Videos of each further shard."""
    arguments = {"load": extractor, "identity": dict(identity), "out": str(out.absolute())}
    with connected(cluster):
        stage = Stage(work=write_shard, arguments=arguments, n_tasks=cluster.actors)
        for result in run_stages(todo, stage):
            for number, n_videos in zip(*map(result.__getitem__, ("shard", "n")), strict=True):
                path = shard_path(out, number.as_py())
                if not path.exists():
                    raise StoreError(
                        f"{path}: a node has written it, and it is not here; --out must be a "
                        "folder that all nodes share"
                    )
                yield n_videos.as_py()


def write_shard(
    chunk: pa.Table, load: Callable[[Any], Any], identity: Mapping[str, Any], out: str
) -> pa.Table:
    """On a node: ``shard, items`` → the stores, and ``shard, n``."""
    import pyarrow as pa

    numbers, lists = chunk["shard"].to_pylist(), chunk["items"].to_pylist()
    for number, items in zip(numbers, lists, strict=True):
        if not Path(out).is_dir():
            raise OptionError(
                f"--out is {out}, which is not there on the node {socket.gethostname()}; allowed "
                "is a folder that all nodes share"
            )
        with TemporaryDirectory(prefix="stallscan-") as name:
            path = Path(name) / "shard.lmdb"
            with StoreWriter(path, identity=identity, n_expected=len(items)) as store:
                for entry in map_files(
                    items, partial(encode_item, load), failed=encode_failure, workers=1
                ):
                    store.append_encoded(*entry)
                store.complete()
            target = shard_path(Path(out), number)
            # A shard may be written twice at a time, where a node was only thought dead.
            unfinished = target.with_name(f".{target.name}.{socket.gethostname()}.{os.getpid()}")
            shutil.copyfile(path, unfinished)
            unfinished.replace(target)
    return pa.table({"shard": numbers, "n": [len(items) for items in lists]})
