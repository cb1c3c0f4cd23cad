"""Many files → their ROIs → shards of a ROI store, each written by one node."""

from __future__ import annotations

import math
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

MAX_SHARD = 512
"""Videos; at a third of a second each, a lost node costs three minutes of each of its cores."""
SHARDS_PER_CORE = 4


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
    table = out.with_name(out.name + ".csv")
    with open_output(
        out,
        command="extract",
        options={**identity, "shard": options.shard},
        overwrite=overwrite,
        parts=(table,),
    ) as run:
        if run.state is not State.COMPLETE:
            with connected(cluster) as resources:
                if "shard_size" not in run.record:  # a resumed run keeps that of its first start
                    size = options.shard or shard_size(len(videos), resources.n_cpus)
                    run.update(shard_size=size, n_shards=-(-len(videos) // size))
                size = run.record["shard_size"]
                shards = [videos[at : at + size] for at in range(0, len(videos), size)]
                todo = {n: part for n, part in enumerate(shards) if not shard_path(out, n).exists()}
                n_done = len(videos) - sum(map(len, todo.values()))
                if progress:
                    progress(n_done, len(videos))
                for n in _write_shards(todo, out, extractor, identity, cluster.actors):
                    n_done += n
                    if progress:
                        progress(n_done, len(videos))
            for unfinished in out.glob(".shard-*"):  # of nodes that were lost
                unfinished.unlink(missing_ok=True)
            # Complete before its index is, for only complete ones are read.
            n_bytes = sum(shard_path(out, n).stat().st_size for n in range(len(shards)))
            run.complete(exit_code=3, n_bytes=n_bytes, version=__version__)
        if not table.exists() or "counts" not in run.record:
            counts = write_index(out, table)
            run.update(exit_code=3 if counts["failed"] else 0, counts=counts)
        open_store(out)  # is whole, or says what is wrong with it
    return run


def shard_size(n: int, n_cpus: int) -> int:
    """So few that each core has several, and no more than a lost node may cost."""
    return max(1, min(MAX_SHARD, math.ceil(n / (SHARDS_PER_CORE * max(n_cpus, 1)))))


def _write_shards(
    todo: Mapping[int, Sequence[Location]],
    out: Path,
    extractor: Extractor,
    identity: Mapping[str, Any],
    actors: int | None,
) -> Iterator[int]:
    """Videos of each further shard."""
    if not todo:
        return
    chunks = [{"shard": n, "items": list(map(absolute, part))} for n, part in todo.items()]
    arguments = {"load": extractor, "identity": dict(identity), "out": str(out.absolute())}
    stage = Stage(work=write_shard, arguments=arguments, n_tasks=actors)
    for result in run_stages(chunks, stage):
        for number, n_videos in zip(*map(result.__getitem__, ("shard", "n")), strict=True):
            path = shard_path(out, number.as_py())
            if not path.exists():
                raise StoreError(
                    f"{path}: a node has written it, and it is not here; --out must be a folder "
                    "that all nodes share"
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
