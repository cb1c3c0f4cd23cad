"""``stallscan predict``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from stallscan.cli._cluster import Cluster, cluster_options
from stallscan.cli._predicting import Job, predict_here, predict_on_cluster
from stallscan.cli._progress import say
from stallscan.data.submission import check_submission_filenames, write_submission
from stallscan.data.tables import read_predictions
from stallscan.errors import OptionError
from stallscan.inference.options import PredictOptions
from stallscan.manifest import Manifest, State, open_output
from stallscan.models.ensemble import sha256_of_model
from stallscan.roi.options import RoiOptions
from stallscan.types import Location
from stallscan.video.remote import be_anonymous, refuse_url

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
        **({} if cluster is None else {"cluster": cluster, "parts": parts}),
    }
    job = Job(
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
            predict_here(job, out, run, workers)
        else:
            place = parts or parts_dir
            predict_on_cluster(job, out, run, on_cluster, place, overwrite=overwrite)
        _report(out, run, threshold)
    if submission is not None and submission_format is not None:
        n_failed = write_submission(
            submission, read_predictions(out), submission_format, failed_as=failed_as
        )
        note = f", {n_failed} failed ones as {failed_as}" if n_failed else ""
        say(f"{submission}: {len(names)} calls{note}")
    return run.exit_code


def _report(out: Path, run: Manifest, threshold: float) -> None:
    counts = run.record["counts"]
    n_predicted = counts["ok"] + counts["flagged"]
    say(
        f"{out}: {run.record['n_stalled']} of {n_predicted} vessels called stalled (probability ≥ "
        f"{threshold:g}); {counts['flagged']} flagged, {counts['failed']} failed"
    )
    if counts["failed"]:
        say("The column message says why a video failed.")
