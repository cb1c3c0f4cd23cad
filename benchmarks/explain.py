"""What explanations are worth, and what they cost.

Run as `python benchmarks/explain.py COMMAND`; each prints a table and writes it to
results/explain-COMMAND-cpu.csv:

    localise   stalled phantoms: does a map's peak fall into the vessel, how much of the map lies in
               it, does covering what it shows change the answer faster than covering anything?
    physics    the pattern along the vessel without a network: AUC, and with the network
    speed      seconds a video for the summary, for the video, and for the paper's large map
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from explaining.localise import localise
from explaining.physics import physics
from explaining.speed import speed

from stallscan.simulate.settings import PRESETS


def main() -> None:
    """Run what the command names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--model", default="default", help="in the box, or a folder")
    common.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    many = argparse.ArgumentParser(add_help=False)
    many.add_argument("--workers", type=int, default=2)
    many.add_argument("--preset", default="clogloss", choices=PRESETS)

    command = commands.add_parser("localise", parents=[common, many])
    command.add_argument("--n", type=int, default=200, help="stalled ROIs")
    command.set_defaults(run=localise)
    command = commands.add_parser("physics", parents=[common, many])
    command.add_argument("--n", type=int, default=1000, help="ROIs, half of them stalled")
    command.set_defaults(run=physics)
    command = commands.add_parser("speed", parents=[common])
    command.add_argument("--rounds", type=int, default=5)
    command.add_argument("--size", type=int, nargs=3, default=(320, 400, 400), metavar="N")
    command.set_defaults(run=speed)
    options = vars(parser.parse_args())
    del options["command"]
    options.pop("run")(**options)


if __name__ == "__main__":
    sys.exit(main())
