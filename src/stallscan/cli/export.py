"""``stallscan export``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from stallscan.cli._progress import progress_callback, say
from stallscan.errors import OptionError
from stallscan.inference.export_options import ExportOptions
from stallscan.manifest import State

_DEFAULTS = ExportOptions()


def export(
    out: Path,
    export: Annotated[ExportOptions, arg(help="")] = _DEFAULTS,
    model: Path | None = None,
    workers: int = os.cpu_count() or 1,
    overwrite: bool = False,
) -> int:
    """Write a model as a graph for inference alone, for `stallscan predict --model` and others.

    The folder has model.json and model.xml with model.bin (OpenVINO), or model.onnx. An int8 model
    is smaller and faster; a report of what it changes is printed and stands in its model.json.

    Args:
        out: The folder to write.
        export: What to write; its fields have texts of their own.
        model: Checkpoint or ensemble folder; or of those in the box: default, fast.
        workers: Processes that make ROIs; all cores by default.
        overwrite: Start anew over an existing export.
    """
    # Late, for torch takes seconds to load and `--help` needs none of it.
    from stallscan.inference.export import export_model
    from stallscan.inference.parity import Parity
    from stallscan.models.box import find_model

    if workers < 0:
        raise OptionError(f"--workers is {workers}, allowed are 0 and above")
    with progress_callback(unit="ROI") as progress:
        run = export_model(
            find_model(model),
            out,
            export,
            workers=workers,
            overwrite=overwrite,
            progress=progress,
        )
    for place, report in run.record.get("parity", {}).items():
        if place != ".":
            say(f"{place}:")
        for line in Parity.from_dict(report).lines():
            say(line)
    done = " (was complete already; pass --overwrite to write it anew)"
    say(
        f"{out}: {export.format}, {export.precision}, {run.record['n_bytes'] / 2**20:.1f} MiB"
        f"{done if run.state is State.COMPLETE else ''}"
    )
    return run.exit_code
