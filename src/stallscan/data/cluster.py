"""A long list in chunks, by all nodes of a Ray cluster.

Ray Data deals out the chunks, and deals a chunk again that was lost with its node. Whoever calls
takes the results one by one, so that it alone writes, and what it holds does not grow with the
list.
"""

from __future__ import annotations

import logging
import math
import os
import re
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stallscan import errors
from stallscan.errors import ClusterError, OptionError, StallscanError
from stallscan.types import Location

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)

CORE = 0.95
"""Of a core, which a process that works on videos reserves: below 1, so that there is always room
for others on a node of one core, and above 1/2, so that no two of them share one."""
CORE_BESIDE_GPU = 0.05
MAX_CHUNK = 32
"""Videos of a chunk; at a third of a second each, a lost node costs ten seconds of its work."""
CHUNKS_PER_ACTOR = 16

_FORWARDED = ("FSSPEC_S3_ANON", "AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION", "AWS_REGION")
"""Variables that the nodes need as well. Credentials are the nodes' own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterOptions:
    """Which cluster works.

    Attributes:
        address: of a running one; None starts Ray on this machine, or joins that of RAY_ADDRESS.
        actors: processes; None: one for each GPU or core.
    """

    address: str | None = None
    actors: int | None = None

    def __post_init__(self) -> None:
        if self.actors is not None and self.actors < 1:
            raise OptionError(f"--actors is {self.actors}, allowed are 1 and above")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What a cluster has.

    Attributes:
        n_cpus: cores.
        n_gpus: GPUs.
    """

    n_cpus: int
    n_gpus: int


@contextmanager
def connected(options: ClusterOptions) -> Iterator[Resources]:
    """Join a cluster, or start one of this machine for as long as it is needed.

    Raises:
        OptionError: Ray is not installed.
        ClusterError: there is no cluster at the address.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ModuleNotFoundError as error:
        raise OptionError(
            f"--cluster needs {error.name}; install it with `pip install 'stallscan[cluster]'`"
        ) from error
    is_ours = not ray.is_initialized()
    if is_ours:
        variables = {name: os.environ[name] for name in _FORWARDED if name in os.environ}
        try:
            _call(options.address)
            ray.init(
                address=options.address,
                runtime_env={"env_vars": variables} if variables else None,
                log_to_driver=False,
                logging_level=logging.WARNING,
                include_dashboard=None if options.address else False,
            )
        except (OSError, ValueError, RuntimeError) as error:
            raise ClusterError(
                f"--address {options.address}: no Ray cluster can be joined there "
                f"({_gist(error)}); start one with `ray start --head`, or leave it out"
            ) from error
    try:
        found: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        yield Resources(n_cpus=math.ceil(found.get("CPU", 0)), n_gpus=int(found.get("GPU", 0)))
    finally:
        if is_ours:
            ray.shutdown()


def _call(address: str | None) -> None:
    """Find out in seconds that nobody is at HOST:PORT, which takes Ray minutes."""
    host, colon, port = (address or "").removeprefix("ray://").rpartition(":")
    if colon:
        socket.create_connection((host, int(port)), timeout=10).close()


def absolute(item: Location) -> str:
    """Paths as they are found from any folder; names and URLs as they are."""
    return str(item.absolute()) if isinstance(item, Path) else item


def chunks(items: Sequence[Location], rows: Sequence[int], size: int) -> list[dict[str, Any]]:
    """What is dealt out: numbers of rows, and the items there as nodes can find them."""
    return [
        {"rows": part, "items": [absolute(items[row]) for row in part]}
        for part in (list(rows[at : at + size]) for at in range(0, len(rows), size))
    ]


def chunk_size(n: int, n_actors: int) -> int:
    """So many that each actor has several, but never more than a node may lose."""
    return max(1, min(MAX_CHUNK, math.ceil(n / (CHUNKS_PER_ACTOR * n_actors))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One step of the work.

    Attributes:
        work: a function, or a class of which each actor makes one: Arrow table → Arrow table.
        arguments: of the class, or of the function beside the table.
        n_actors: of a class, at most.
        n_tasks: of a function, at most; None: as many as there is room for.
        n_cpus: that each reserves.
        n_gpus: that each has.
        batch_rows: rows that it is given at once.
    """

    work: Callable[..., pa.Table] | type
    arguments: Mapping[str, Any]
    n_actors: int = 1
    n_tasks: int | None = None
    n_cpus: float = CORE
    n_gpus: int = 0
    batch_rows: int = 1


def run_stages(chunks: list[dict[str, Any]], *stages: Stage) -> Iterator[pa.Table]:
    """Results in the order in which they are done, each once.

    Args:
        chunks: of `chunks`.
        stages: one after the other; they work at the same time.

    Raises:
        StallscanError: as the work raised it.
        ClusterError: Ray gave up.
    """
    import ray
    from ray.data import ActorPoolStrategy, DataContext, Dataset, TaskPoolStrategy, from_items

    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    data: Dataset = from_items(chunks, override_num_blocks=len(chunks))
    for stage in stages:
        common: dict[str, Any] = {
            "batch_size": stage.batch_rows,
            "batch_format": "pyarrow",
            "num_cpus": stage.n_cpus,
            "num_gpus": stage.n_gpus or None,
        }
        if isinstance(stage.work, type):
            data = data.map_batches(
                stage.work,
                fn_constructor_kwargs=dict(stage.arguments),
                # All are asked for at once, and the first begins without waiting for the last.
                compute=ActorPoolStrategy(
                    min_size=1, max_size=stage.n_actors, initial_size=stage.n_actors
                ),
                **common,
            )
        else:
            data = data.map_batches(
                stage.work,
                fn_kwargs=dict(stage.arguments),
                compute=TaskPoolStrategy(stage.n_tasks),
                **common,
            )
    try:
        yield from data.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
    except ray.exceptions.RayError as error:
        if (ours := _ours(error)) is not None:
            raise ours from error
        raise ClusterError(
            f"Ray gave up ({_gist(error)}); what is done is kept, and the same command goes "
            "on; the logs of the nodes lie in /tmp/ray"
        ) from error


def _ours(error: BaseException) -> StallscanError | None:
    """What the work itself raised: of that Ray brings nothing home but the words."""
    found = re.findall(r"^stallscan\.errors\.(\w+): (.+)$", str(error), re.MULTILINE)
    if not found:
        return None
    name, message = found[-1]
    kind: type[StallscanError] = getattr(errors, name, StallscanError)
    return kind(message)


def _gist(error: BaseException) -> str:
    """Of Ray's long messages the beginning, and the end, where the first cause is."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    return lines[0] if len(lines) == 1 else f"{lines[0]} … {lines[-1]}"
