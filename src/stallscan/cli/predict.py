"""``stallscan predict``."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

from stallscan import __version__
from stallscan.cli._progress import progress_bar, say
from stallscan.cli._values import Cluster, cluster_options
from stallscan.data.submission import check_submission_filenames, write_submission
from stallscan.data.tables import STATUSES, read_predictions
from stallscan.errors import OptionError
from stallscan.inference.options import PredictOptions
from stallscan.inference.table import PredictionsWriter
from stallscan.manifest import Manifest, State, open_output
from stallscan.models.ensemble import sha256_of_model
from stallscan.roi.options import RoiOptions
from stallscan.types import Location
from stallscan.video.remote import be_anonymous, refuse_url

if TYPE_CHECKING:
    from stallscan.data.cluster import ClusterOptions
    from stallscan.data.source import RoiSource
    from stallscan.inference.choose import Choice
    from stallscan.inference.member import LoadedMember
    from stallscan.models.card import ModelCard
    from stallscan.models.ensemble import EnsembleCard

_DEFAULTS = PredictOptions()
_REGIONS = RoiOptions()


def predict(
    videos: Annotated[
        Positional[tuple[Location, ...]], arg(metavar="VIDEOS…", help_behavior_hint="(required)")
    ],
    out: Path,
    prediction: Annotated[PredictOptions, arg(help="")] = _DEFAULTS,
    regions: Annotated[RoiOptions, arg(help="")] = _REGIONS,
    model: Path | None = None,
    anonymous: bool = False,
    cluster: Cluster | None = None,
    address: str | None = None,
    actors: int | None = None,
    parts: Location | None = None,
    submission: Path | None = None,
    submission_format: Path | None = None,
    failed_as: Annotated[Literal[0, 1] | None, arg(metavar="N")] = None,
    split: Annotated[Literal["train", "test"] | None, arg(metavar="SPLIT")] = None,
    limit: int | None = None,
    workers: int = os.cpu_count() or 1,
    dry_run: bool = False,
    overwrite: bool = False,
) -> int:
    """Say of each video whether the vessel is stalled: a row with probability, call, status, why.

    Args:
        videos: Videos, folders, s3:// prefixes, tables of URLs; a store.
        out: The table to write (CSV).
        prediction: How to predict; its fields have texts of their own.
        regions: Where the regions come from; likewise.
        model: Checkpoint or ensemble folder; or default, or fast.
        anonymous: Sign no request to S3, as without credentials.
        cluster: ray: by all nodes of a Ray cluster.
        address: Of a running one; by default Ray starts here.
        actors: Processes; one for each GPU or core by default.
        parts: Of a cluster: folder or s3:// of Parquet; OUT.parts.
        submission: Also write the competition's filename,stalled here.
        submission_format: The format file that the submission must match.
        failed_as: Call for failed ones there, 0 or 1; else refused.
        split: Of a data set, train or test alone.
        limit: The first so many alone.
        workers: Processes that decode; all cores by default.
        dry_run: Say what would be done, write nothing.
        overwrite: Start anew over an existing table.
    """
    # Late, for torch takes seconds to load and `--help` needs none of it.
    from stallscan.data.source import open_source
    from stallscan.inference.member import load_members
    from stallscan.inference.plan import describe_run
    from stallscan.inference.predictor import require_bounds
    from stallscan.models.box import find_model

    if workers < 0:
        raise OptionError(
            f"--workers is {workers}, allowed are 1 and above, and 0 to decode between the networks"
        )
    if not out.suffix:
        raise OptionError(f"--out is {out}, a table needs a file name such as {out}.csv")
    if (submission is None) != (submission_format is None):
        raise OptionError(
            f"--submission is {submission} and --submission-format is {submission_format}; a "
            "submission is checked against its format file, so give both or neither"
        )
    refuse_url("--out", out)
    on_cluster = cluster_options(cluster, address=address, actors=actors, parts=parts)
    if anonymous:
        be_anonymous()
    source = open_source(videos, regions, split=split, limit=limit)
    names = source.names
    if submission_format is not None:
        check_submission_filenames(names, submission_format)
    model_dir = find_model(model)
    members, card = load_members(model_dir)
    if prediction.stop_early:
        require_bounds(card)
    if regions.roi == "full" and any(each.preprocessing.view == "vessel" for each in members):
        raise OptionError(
            f"--roi is full, and {card.name} looks along the vessel within an outline, which a "
            "whole frame has not; give outlines, or a --model that sees the box (a recipe with "
            "input.view box)"
        )
    flips = card.flips if prediction.flips is None else prediction.flips
    threshold = card.threshold if prediction.threshold is None else prediction.threshold
    identity = {
        **source.identity,
        "model": f"{card.name}, sha256 {sha256_of_model(model_dir)[:16]}",
        "engine": prediction.engine,
        "device": prediction.device,
        "precision": prediction.precision,
        "batch": prediction.batch,
        "flips": flips,
        "threshold": threshold,
        "stop_early": prediction.stop_early,
        **({} if cluster is None else {"cluster": cluster}),
    }
    job = _Job(
        source=source,
        members=members,
        card=card,
        model_dir=model_dir,
        prediction=prediction,
        flips=flips,
        threshold=threshold,
    )
    if dry_run:
        for line in describe_run(
            members, card, flips=flips, threshold=threshold, choice=job.choose(), names=names
        ):
            say(line)
        return 0
    partial, parts_dir = (out.with_name(out.name + suffix) for suffix in (".partial", ".parts"))
    with open_output(
        out,
        command="predict",
        options=identity,
        folder=False,
        overwrite=overwrite,
        parts=(partial, parts_dir),
    ) as run:
        if run.state is State.COMPLETE:
            say(f"{out}: complete since {run.record['finished']}; pass --overwrite to predict anew")
        elif on_cluster is None:
            _predict_here(job, out, run, workers)
        else:
            place = parts or parts_dir
            _predict_on_cluster(job, out, run, on_cluster, place, overwrite=overwrite)
        _report(out, run, threshold)
    if submission is not None and submission_format is not None:
        n_failed = write_submission(
            submission, read_predictions(out), submission_format, failed_as=failed_as
        )
        note = f", {n_failed} failed ones as {failed_as}" if n_failed else ""
        say(f"{submission}: {len(names)} calls{note}")
    return run.exit_code


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
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


def _predict_here(job: _Job, out: Path, run: Manifest, workers: int) -> None:
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


def _predict_on_cluster(
    job: _Job,
    out: Path,
    run: Manifest,
    cluster: ClusterOptions,
    place: Location,
    *,
    overwrite: bool,
) -> None:
    from stallscan.data.cluster import connected
    from stallscan.inference.cluster import Model, choose_on_cluster, n_actors, predict_on_cluster
    from stallscan.inference.parts import Parts

    source = job.source
    identity = json.dumps(run.record["options"], sort_keys=True)
    parts = Parts(place, identity, overwrite=overwrite and run.state is State.NEW)
    is_done = parts.done(len(source.items))
    with connected(cluster) as resources, _timed(run):
        options = job.settle(run, lambda: choose_on_cluster(job.prediction, resources, job.choose))
        with_gpus = run.record["device"] != "cpu"
        n = n_actors(cluster, resources, with_gpus=with_gpus)
        say(f"cluster: {resources.n_cpus} cores, {resources.n_gpus} GPUs; actors: {n}")
        with progress_bar(len(is_done), initial=int(is_done.sum())) as bar:
            predict_on_cluster(
                source,
                Model.of(job.model_dir, batch=run.record["batch"], **options),
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


def _report(out: Path, run: Manifest, threshold: float) -> None:
    counts = run.record["counts"]
    n_predicted = counts["ok"] + counts["flagged"]
    say(
        f"{out}: {run.record['n_stalled']} of {n_predicted} vessels called stalled (probability ≥ "
        f"{threshold:g}); {counts['flagged']} flagged, {counts['failed']} failed"
    )
    if counts["failed"]:
        say("The column message says why a video failed.")
