"""``stallscan predict``."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from stallscan import __version__
from stallscan.cli._progress import progress_bar, say
from stallscan.data.submission import check_submission_filenames, write_submission
from stallscan.data.tables import STATUSES, read_predictions
from stallscan.errors import OptionError
from stallscan.inference.options import PredictOptions
from stallscan.inference.table import PredictionsWriter
from stallscan.manifest import Manifest, State, open_output
from stallscan.models.ensemble import sha256_of_model
from stallscan.roi.options import RoiOptions

_DEFAULTS = PredictOptions()
_REGIONS = RoiOptions()


def predict(
    videos: Annotated[
        Positional[tuple[Path, ...]], arg(metavar="VIDEOS…", help_behavior_hint="(required)")
    ],
    out: Path,
    prediction: Annotated[PredictOptions, arg(help="")] = _DEFAULTS,
    regions: Annotated[RoiOptions, arg(help="")] = _REGIONS,
    model: Path | None = None,
    submission: Path | None = None,
    submission_format: Path | None = None,
    failed_as: Annotated[Literal[0, 1] | None, arg(metavar="N")] = None,
    split: Annotated[Literal["train", "test"] | None, arg(metavar="SPLIT")] = None,
    limit: int | None = None,
    workers: int = os.cpu_count() or 1,
    dry_run: bool = False,
    overwrite: bool = False,
) -> int:
    """Say of each video whether the outlined vessel is stalled.

    A row for each: probability, call, status (ok, flagged, failed), why. Exit code 3 if any failed.

    Args:
        videos: Videos, folders of videos, or a ROI store.
        out: The table to write (CSV).
        prediction: How to predict; its fields have texts of their own.
        regions: Where the regions come from; likewise.
        model: Checkpoint or ensemble folder; or of those in the box: default, fast.
        submission: Also write the competition's filename,stalled here.
        submission_format: The format file that the submission must match.
        failed_as: Call for failed ones there, 0 or 1; refused by default.
        split: Of a data set, train or test alone.
        limit: The first so many alone.
        workers: Processes that decode; all cores by default.
        dry_run: Say what would be done, write nothing.
        overwrite: Start anew over an existing table.
    """
    # Late, for torch takes seconds to load and `--help` needs none of it.
    from stallscan.data.source import open_source
    from stallscan.inference.batch import predict_all
    from stallscan.inference.choose import choose
    from stallscan.inference.engine import version_of
    from stallscan.inference.member import load_members
    from stallscan.inference.plan import describe_choice, describe_run
    from stallscan.inference.predictor import Predictor, require_bounds
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
    }
    if dry_run:
        choice = choose(prediction, members, flips=flips, n_vessels=len(names))
        for line in describe_run(
            members, card, flips=flips, threshold=threshold, choice=choice, names=names
        ):
            say(line)
        return 0
    partial = out.with_name(out.name + ".partial")
    with open_output(
        out,
        command="predict",
        options=identity,
        folder=False,
        overwrite=overwrite,
        parts=(partial,),
    ) as run:
        if run.state is State.COMPLETE:
            say(f"{out}: complete since {run.record['finished']}; pass --overwrite to predict anew")
        else:
            began = time.perf_counter()
            with PredictionsWriter(out, names) as writer:
                n_done = len(writer.rows)
                if "engine" not in run.record:  # a resumed run keeps that of its first start
                    choice = choose(prediction, members, flips=flips, n_vessels=len(names))
                    if choice.reason:
                        say(describe_choice(choice))
                    run.update(
                        engine=choice.engine,
                        engine_version=version_of(choice.engine),
                        device=choice.device,
                        batch=choice.batch,
                    )
                predictor = Predictor(
                    members,
                    card,
                    flips=flips,
                    threshold=threshold,
                    stop_early=prediction.stop_early,
                    engine=run.record["engine"],
                    device=run.record["device"],
                    precision=prediction.precision,
                )
                # Those of earlier starts count.
                before = run.record.get("wall_s", 0.0)
                asked = run.record.get("n_networks_asked", 0)
                try:
                    with progress_bar(len(names), initial=n_done) as bar:
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
                    wall_s = round(before + time.perf_counter() - began, 1)
                    run.update(wall_s=wall_s, n_networks_asked=asked)
            _complete(run, writer.rows)
        _report(out, run, threshold)
    if submission is not None and submission_format is not None:
        n_failed = write_submission(
            submission, read_predictions(out), submission_format, failed_as=failed_as
        )
        note = f", {n_failed} failed ones as {failed_as}" if n_failed else ""
        say(f"{submission}: {len(names)} calls{note}")
    return run.exit_code


def _complete(run: Manifest, rows: list[dict[str, str]]) -> None:
    counts = dict.fromkeys(STATUSES, 0)
    for row in rows:
        counts[row["status"]] += 1
    run.complete(
        exit_code=3 if counts["failed"] else 0,
        counts=counts,
        n_stalled=sum(row["stalled"] == "1" for row in rows),
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
