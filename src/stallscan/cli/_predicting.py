"""The work of `stallscan predict`, on this machine or on a cluster, with progress and record."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stallscan import __version__
from stallscan.cli._progress import progress_bar, say
from stallscan.data.tables import STATUSES
from stallscan.inference.table import PredictionsWriter
from stallscan.manifest import Manifest, State
from stallscan.types import Location

if TYPE_CHECKING:
    from stallscan.data.cluster import ClusterOptions
    from stallscan.data.source import RoiSource
    from stallscan.inference.choose import Choice
    from stallscan.inference.member import LoadedMember
    from stallscan.inference.options import PredictOptions
    from stallscan.models.card import ModelCard
    from stallscan.models.ensemble import EnsembleCard


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is asked, and of whom."""

    source: RoiSource
    members: tuple[LoadedMember, ...]
    card: ModelCard | EnsembleCard
    model_dir: Path
    prediction: PredictOptions
    flips: int
    threshold: float

    def settle(self, run: Manifest, choose: Callable[[], Choice]) -> dict[str, Any]:
        """Options of the predictor; a resumed run keeps the engine of its first start."""
        from stallscan.inference.engine import version_of
        from stallscan.inference.plan import describe_choice

        if "engine" not in run.record:
            choice = choose()
            if choice.reason:
                say(describe_choice(choice))
            run.update(
                engine=choice.engine,
                engine_version=version_of(choice.engine),
                device=choice.device,
                batch=choice.batch,
            )
        return {
            "flips": self.flips,
            "threshold": self.threshold,
            "stop_early": self.prediction.stop_early,
            "engine": run.record["engine"],
            "device": run.record["device"],
            "precision": self.prediction.precision,
        }

    def choose(self) -> Choice:
        """What is best on this machine."""
        from stallscan.inference.choose import choose

        return choose(
            self.prediction, self.members, flips=self.flips, n_vessels=len(self.source.items)
        )


def predict_here(job: Job, out: Path, run: Manifest, workers: int) -> None:
    """Row by row, in order, into a partial table."""
    from stallscan.inference.batch import predict_all
    from stallscan.inference.predictor import Predictor

    source = job.source
    with PredictionsWriter(out, source.names) as writer:
        n_done = writer.n_rows
        predictor = Predictor(job.members, job.card, **job.settle(run, job.choose))
        asked = run.record.get("n_networks_asked", 0)  # those of earlier starts count
        with _timed(run), progress_bar(len(source.items), initial=n_done) as bar:
            try:
                for row, n_asked in predict_all(
                    source.items,
                    source.load,
                    predictor,
                    workers=workers,
                    batch=run.record["batch"],
                    n_done=n_done,
                ):
                    writer.append(row)
                    asked += n_asked
                    bar.update()
            finally:
                run.update(n_networks_asked=asked)
    _complete(run, writer.counts)


def predict_on_cluster(
    job: Job,
    out: Path,
    run: Manifest,
    cluster: ClusterOptions,
    place: Location,
    *,
    overwrite: bool,
) -> None:
    """Rows in any order, into parts; from them the table."""
    from stallscan.data.cluster import connected
    from stallscan.inference import cluster as many
    from stallscan.inference.parts import Parts

    source = job.source
    identity = json.dumps(run.record["options"], sort_keys=True)
    parts = Parts(place, identity, overwrite=overwrite and run.state is State.NEW)
    is_done = parts.done(len(source.items))
    with connected(cluster) as resources, _timed(run):
        options = job.settle(
            run, lambda: many.choose_on_cluster(job.prediction, resources, job.choose)
        )
        with_gpus = run.record["device"] != "cpu"
        n = many.n_actors(cluster, resources, with_gpus=with_gpus)
        say(f"cluster: {resources.n_cpus} cores, {resources.n_gpus} GPUs; actors: {n}")
        with progress_bar(len(is_done), initial=int(is_done.sum())) as bar:
            many.predict_on_cluster(
                source,
                many.Model.of(job.model_dir, batch=run.record["batch"], **options),
                parts,
                is_done=is_done,
                n_actors=n,
                n_readers=max(resources.n_cpus, 1) if with_gpus else 0,
                progress=bar.update,
            )
    counts = parts.write_csv(out, source.names)
    run.update(n_networks_asked=parts.n_networks(), parts=place)
    _complete(run, counts)


@contextmanager
def _timed(run: Manifest) -> Iterator[None]:
    """Record the seconds that it took, those of earlier starts included."""
    began = time.perf_counter() - run.record.get("wall_s", 0.0)
    try:
        yield
    finally:
        run.update(wall_s=round(time.perf_counter() - began, 1))


def _complete(run: Manifest, counts: Counter[str]) -> None:
    run.complete(
        exit_code=3 if counts["failed"] else 0,
        counts={status: counts[status] for status in STATUSES},
        n_stalled=counts["stalled"],
        version=__version__,
    )
