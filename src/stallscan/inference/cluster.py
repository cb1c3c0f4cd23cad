"""Many vessels on the nodes of a cluster, one model in each process that asks.

Without GPUs a process reads and asks in turn, so that no core waits for another. With GPUs the
cores read, and processes with a GPU each ask; between them goes the cut-out region, compressed as
in a ROI store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa

from stallscan.data.cluster import (
    CORE_BESIDE_GPU,
    ClusterOptions,
    Resources,
    Stage,
    chunk_size,
    chunks,
    run_stages,
)
from stallscan.data.map_files import FileWorkers
from stallscan.data.source import RoiSource
from stallscan.errors import OptionError
from stallscan.inference.batch import predict_all, predict_prepared
from stallscan.inference.choose import Choice
from stallscan.inference.device import BATCH
from stallscan.inference.member import load_members
from stallscan.inference.options import PredictOptions
from stallscan.inference.parts import Parts, to_table
from stallscan.inference.predictor import Predictor
from stallscan.inference.prepare import Prepare, not_prepared
from stallscan.models.ensemble import model_files
from stallscan.roi.extraction import Extraction
from stallscan.types import BoolArray, Location


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model as it is sent to nodes that do not have its folder.

    Attributes:
        files: content by path in the folder.
        options: of a Predictor.
        batch: vessels that are asked about at once.
    """

    files: Mapping[str, bytes]
    options: Mapping[str, Any]
    batch: int

    @classmethod
    def of(cls, folder: Path, *, batch: int, **options: Any) -> Model:
        """Reads what decides the answers of a checkpoint or ensemble folder."""
        found = model_files(folder)
        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}
        return cls(files=files, options=options, batch=batch)

    def load(self) -> Predictor:
        """The predictor, on a node."""
        with TemporaryDirectory(prefix="stallscan-") as name:
            for path, content in self.files.items():
                place = Path(name) / path
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content)
            members, card = load_members(Path(name))
            return Predictor(members, card, **self.options)


class ReadAndAsk:
    """An actor: one core reads videos and asks about them."""

    def __init__(self, model: Model, load: Callable[[Any], Extraction]) -> None:
        self._predictor, self._batch = model.load(), model.batch
        # Read in a process of its own: one that a file ends costs a row, and not the actor.
        work = Prepare(load=load, preprocessings=self._predictor.preprocessings)
        self._reader = FileWorkers(work, failed=not_prepared, workers=1)

    def __call__(self, chunk: pa.Table) -> pa.Table:
        """Chunks → rows of `SCHEMA`."""
        numbers, items = _unpack(chunk)
        prepared = self._reader.map(items)
        return to_table(numbers, predict_prepared(prepared, self._predictor, batch=self._batch))


class Read:
    """An actor: one core cuts out regions for others to ask about."""

    def __init__(self, load: Callable[[Any], Extraction]) -> None:
        from stallscan.data.extract import encode_failure, encode_item

        work = partial(encode_item, load)
        self._reader = FileWorkers(work, failed=encode_failure, workers=1)

    def __call__(self, chunk: pa.Table) -> pa.Table:
        """Chunks → for each video its number, filename, and entry as in a ROI store."""
        numbers, items = _unpack(chunk)
        names, entries = zip(*self._reader.map(items), strict=True)
        return pa.table(
            {"row": numbers, "filename": names, "entry": pa.array(entries, pa.large_binary())}
        )


class Ask:
    """An actor: one GPU answers about regions that others have cut out."""

    def __init__(self, model: Model) -> None:
        self._predictor, self._batch = model.load(), model.batch

    def __call__(self, regions: pa.Table) -> pa.Table:
        """Rows of `Read` → rows of `SCHEMA`."""
        from stallscan.data.store import decode_entry

        entries = dict(
            zip(regions["filename"].to_pylist(), regions["entry"].to_pylist(), strict=True)
        )
        rows = predict_all(
            list(entries),
            lambda name: decode_entry(name, entries[name]),
            self._predictor,
            batch=self._batch,
        )
        return to_table(regions["row"].to_pylist(), rows)


def _unpack(chunk: pa.Table) -> tuple[list[int], list[Location]]:
    numbers = [number for part in chunk["rows"].to_pylist() for number in part]
    return numbers, [item for part in chunk["items"].to_pylist() for item in part]


def choose_on_cluster(
    options: PredictOptions, resources: Resources, choose_here: Callable[[], Choice]
) -> Choice:
    """GPUs where the nodes have any and nothing else was asked for; else as on this machine."""
    wanted = options.device == "auto" and options.engine in ("auto", "torch")
    if resources.n_gpus and (wanted or options.device.startswith("cuda")):
        return Choice(
            engine="torch",
            device="cuda",
            precision=options.precision,
            batch=options.batch or BATCH["cuda"],
            reason=f"the cluster has {resources.n_gpus} GPUs",
        )
    return choose_here()


def n_actors(options: ClusterOptions, resources: Resources, *, with_gpus: bool) -> int:
    """Processes that ask.

    Raises:
        OptionError: more than there are GPUs.
    """
    if not with_gpus:
        return options.actors or max(resources.n_cpus, 1)
    if options.actors is not None and options.actors > resources.n_gpus:
        raise OptionError(
            f"--actors is {options.actors}, and the cluster has {resources.n_gpus} GPUs, of which "
            "each has one; leave it out, or pass --device cpu"
        )
    return options.actors or resources.n_gpus


def predict_on_cluster(
    source: RoiSource,
    model: Model,
    parts: Parts,
    *,
    is_done: BoolArray,
    n_actors: int,
    n_readers: int = 0,
    progress: Callable[[int], object] = lambda n: None,
) -> None:
    """Predict what is not in the parts yet.

    Args:
        source: what is asked about, at places that all nodes can reach.
        model: that is asked.
        parts: where the rows go.
        is_done: whose rows are there.
        n_actors: processes that ask.
        n_readers: processes that read for them, which then have a GPU each; 0: they read as well.
        progress: called with the number of further rows.
    """
    todo = [int(row) for row in (~is_done).nonzero()[0]]
    if not todo:
        return
    dealt = chunks(source.items, todo, chunk_size(len(todo), n_actors))
    try:
        for table in run_stages(dealt, *_stages(source, model, n_actors, n_readers)):
            parts.append(table)
            progress(table.num_rows)
    finally:  # Ctrl-C loses nothing that came
        parts.flush()


def _stages(source: RoiSource, model: Model, n_actors: int, n_readers: int) -> Iterable[Stage]:
    if not n_readers:
        arguments = {"model": model, "load": source.load}
        return [Stage(work=ReadAndAsk, arguments=arguments, n_actors=n_actors)]
    return [
        Stage(work=Read, arguments={"load": source.load}, n_actors=n_readers),
        Stage(
            work=Ask,
            arguments={"model": model},
            n_actors=n_actors,
            n_cpus=CORE_BESIDE_GPU,
            n_gpus=1,
            batch_rows=model.batch,
        ),
    ]
