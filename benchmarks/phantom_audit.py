"""Audits of the phantom: is it too easy, has it shortcuts, does it look like the real thing?

Run as `python benchmarks/phantom_audit.py COMMAND`; each prints a table with intervals and writes
it to results/phantom-COMMAND….csv:

    shortcuts     size, frame count, outline and mean grey must not tell the classes apart
    persistence   the one-line score must not be enough
    two-ways      direct ROIs and ROIs out of decoded videos must look alike
    real          phantom beside real, in numbers (needs the real data)
    figure        phantom beside real, as a picture
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from audits.figure import figure
from audits.persistence import persistence
from audits.real import real
from audits.shortcuts import shortcuts
from audits.two_ways import two_ways

from stallscan.simulate.settings import PRESETS


def main() -> None:
    """Run the audit that the command names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--workers", type=int, default=2)
    common.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    one = argparse.ArgumentParser(add_help=False)
    one.add_argument("--preset", default="clogloss", choices=PRESETS)
    folder = "folder of the real data; else STALLSCAN_REAL_DATA"

    command = commands.add_parser("shortcuts", parents=[common, one])
    command.add_argument("--n", type=int, default=2000, help="ROIs, every other one stalled")
    command.set_defaults(run=shortcuts)

    command = commands.add_parser("persistence", parents=[common])
    command.add_argument("--n", type=int, default=1000, help="ROIs for each preset")
    presets = {"action": "append", "dest": "presets", "choices": PRESETS}
    command.add_argument("--preset", **presets, help="may be repeated; clogloss and hard")
    command.set_defaults(run=persistence)

    command = commands.add_parser("two-ways", parents=[common, one])
    command.add_argument("--n", type=int, default=200, help="ROIs each way")
    command.set_defaults(run=two_ways)

    command = commands.add_parser("real", parents=[common, one])
    command.add_argument("--data", type=Path, help=folder)
    command.add_argument("--n", type=int, default=20, help="clips for each column")
    command.add_argument("--n-truths", type=int, default=2000, help="phantoms for the sizes")
    command.set_defaults(run=real)

    command = commands.add_parser("figure", parents=[one])
    command.add_argument("--out", type=Path, required=True)
    command.add_argument("--real", type=Path, dest="data", help="shown beside; never commit that")
    command.set_defaults(run=figure)

    options = vars(parser.parse_args())
    run = options.pop("run")
    if options.pop("command") == "persistence":
        options["presets"] = options["presets"] or ["clogloss", "hard"]
    run(**options)


if __name__ == "__main__":
    sys.exit(main())
