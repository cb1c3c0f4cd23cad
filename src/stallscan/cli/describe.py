"""``stallscan describe``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from stallscan.cli._progress import progress_callback, say
from stallscan.manifest import State, open_output
from stallscan.report.describe_options import DescribeOptions

if TYPE_CHECKING:
    from stallscan.report.description import Description

_DEFAULTS = DescribeOptions()


def describe(
    data: Annotated[Positional[Path], arg(metavar="DATA")],
    out: Path | None = None,
    description: DescribeOptions = _DEFAULTS,
    workers: int = os.cpu_count() or 1,
    overwrite: bool = False,
) -> int:
    """Count what is in a data set: resolutions, frames, ROI sizes, classes, tiers, projects.

    That is the paper's Table 1 and Figure 2. Tables alone, without videos, will do.

    Args:
        data: Folder with the competition's tables, with videos, or with both; or a ROI store.
        out: Folder for the same as text, CSV and a figure.
        description: What is read.
        workers: Processes that read videos; all cores by default.
        overwrite: Start anew over an existing folder.
    """
    from stallscan.report.description import describe as look_at
    from stallscan.report.description import identity
    from stallscan.report.description_text import text_of

    def run() -> Description:
        with progress_callback() as update:
            return look_at(data, description, workers=workers, progress=update)

    if out is None:
        say(text_of(run()).rstrip())
        return 0
    inputs = identity(data, description)
    with open_output(out, command="describe", options=inputs, overwrite=overwrite) as output:
        if output.state is not State.COMPLETE:
            _write(run(), out)
            output.complete(exit_code=0)
    say((out / "describe.txt").read_text(encoding="utf-8").rstrip())
    say(f"\n{out}: describe.txt, describe.png and a CSV for each table")
    return 0


def _write(found: Description, out: Path) -> None:
    from stallscan.report.description_figure import description_figure
    from stallscan.report.description_text import write_tables

    write_tables(found, out)
    description_figure(found).savefig(out / "describe.png", dpi=120)
