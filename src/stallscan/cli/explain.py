"""``stallscan explain``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from stallscan.cli._progress import progress_bar, say
from stallscan.errors import OptionError
from stallscan.explain.options import ExplainOptions
from stallscan.manifest import State, open_output
from stallscan.roi.options import RoiOptions
from stallscan.types import Location

_DEFAULTS = ExplainOptions()
_REGIONS = RoiOptions()


def explain(
    videos: Annotated[
        Positional[tuple[Location, ...]], arg(metavar="VIDEOS…", help_behavior_hint="(required)")
    ],
    out: Path,
    explanation: Annotated[ExplainOptions, arg(help="")] = _DEFAULTS,
    regions: Annotated[RoiOptions, arg(help="")] = _REGIONS,
    model: Path | None = None,
    labels: Path | None = None,
    reel: bool = False,
    limit: int | None = None,
    overwrite: bool = False,
) -> int:
    """Show why: heatmap, slices and kymograph of each vessel, as pictures, videos and numbers.

    A video is flagged where network and physics disagree. Exit code 3 if any failed.

    Args:
        videos: Videos, folders of videos, or a ROI store.
        out: The folder to write.
        explanation: What is drawn; its fields have texts of their own.
        regions: Where the regions come from; likewise.
        model: Checkpoint or ensemble folder; or of those in the box: default, fast.
        labels: Table of truths (filename, stalled), for captions.
        reel: Also write one video of all.
        limit: The first so many alone.
        overwrite: Start anew over an existing folder.
    """
    # Late, for torch takes seconds to load and `--help` needs none of it.
    from stallscan.data.source import open_source
    from stallscan.data.tables import read_labels
    from stallscan.explain.explainer import Explainer
    from stallscan.explain.run import TABLE, explain_all, write_reel
    from stallscan.inference.predictor import load_predictor
    from stallscan.models.box import find_model
    from stallscan.models.ensemble import sha256_of_model

    if regions.roi == "full":
        raise OptionError(
            "--roi is full, and what is explained is the outlined vessel; give outlines, or --rois"
        )
    if reel and explanation.picture_alone:
        raise OptionError("--reel needs the videos that --picture-alone leaves out; drop one")
    source = open_source(videos, regions, limit=limit)
    items = dict(zip(source.names, source.items, strict=True))
    truths = None
    if labels is not None:
        table = read_labels(labels)
        truths = dict(zip(table["filename"], table["stalled"].astype(int), strict=True))
    model_dir = find_model(model)
    predictor = load_predictor(model_dir)
    explainer = Explainer(predictor, explanation)
    identity = {
        **source.identity,
        "model": f"{predictor.card.name}, sha256 {sha256_of_model(model_dir)[:16]}",
        "map": explanation.map,
        "speaks_for": explanation.speaks_for,
        "layer": explanation.layer,
        "size": explanation.size,
        "picture_alone": explanation.picture_alone,
        "labels": labels,
        "reel": reel,
    }
    with open_output(out, command="explain", options=identity, overwrite=overwrite) as run:
        if run.state is State.COMPLETE:
            say(f"{out}: complete since {run.record['finished']}; pass --overwrite to explain anew")
            return run.exit_code
        with progress_bar(len(items)) as bar:
            found = explain_all(
                out,
                items,
                lambda name: source.load(items[name]),
                explainer,
                truths=truths,
                bar=bar.update,
            )
        if reel:
            write_reel(out, items)
        counts = {status: int(n) for status, n in found["status"].value_counts().items()}
        run.complete(exit_code=3 if counts.get("failed") else 0, counts=counts)
    say(
        f"{out}: {len(found)} vessels, {int(found['stalled'].sum())} called stalled; "
        f"{counts.get('flagged', 0)} flagged, {counts.get('failed', 0)} failed"
    )
    if counts.get("flagged") or counts.get("failed"):
        say(f"The column message of {out / TABLE} says why.")
    return run.exit_code
