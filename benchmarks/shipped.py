"""The models in the box: their thresholds, and what they are worth.

Run as `python benchmarks/shipped.py COMMAND`; each prints a table and writes it to
results/shipped-COMMAND….csv:

    calibrate     calibration and thresholds, from validation phantoms, into a model's model.json
    evaluate      beside the persistence score, on unseen phantoms: AUC, MCC, sensitivity, by kind
    robustness    each artefact of real videos alone, at three strengths
    plain         a second, plain phantom, which shares nothing with ours
    two-ways      rendered ROIs against those cut out of decoded videos
    real          the two real clips (needs the real data): last, when all else is fixed
    figure        what the network sees, as a picture

`--model` names a model in the box or a folder, and may be repeated.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from shipping.calibrate import calibrate
from shipping.evaluate import evaluate
from shipping.figure import figure
from shipping.plain import plain
from shipping.real import real
from shipping.robustness import robustness
from shipping.two_ways import two_ways

from stallscan.models.box import IN_THE_BOX, find_model
from stallscan.simulate.settings import PRESETS


def main() -> None:
    """Run what the command names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    work = argparse.ArgumentParser(add_help=False)
    work.add_argument("--workers", type=int, default=2)
    asked = argparse.ArgumentParser(add_help=False)
    asked.add_argument("--model", action="append", dest="models", help="both in the box")
    asked.add_argument("--results", type=Path, default=Path(__file__).parent / "results")

    command = commands.add_parser("calibrate", parents=[work])
    command.add_argument("--model", type=find_model, required=True)
    command.add_argument("--n", type=int, default=1000)
    command.add_argument("--preset", default="clogloss", choices=PRESETS)
    command.set_defaults(run=calibrate)

    command = commands.add_parser("evaluate", parents=[work, asked])
    command.add_argument("--n", type=int, default=1000, help="ROIs of each preset")
    command.add_argument("--preset", action="append", dest="presets", choices=PRESETS)
    command.set_defaults(run=evaluate)

    command = commands.add_parser("robustness", parents=[work, asked])
    command.add_argument("--n", type=int, default=200, help="ROIs of each row")
    command.add_argument("--flips", type=int, default=1, help="mirrored copies averaged")
    command.set_defaults(run=robustness)

    command = commands.add_parser("two-ways", parents=[work, asked])
    command.add_argument("--n", type=int, default=300, help="scenes")
    command.add_argument("--preset", default="clogloss", choices=PRESETS)
    command.set_defaults(run=two_ways)

    command = commands.add_parser("plain", parents=[work, asked])
    command.add_argument("--n", type=int, default=1000, help="ROIs")
    command.set_defaults(run=plain)

    command = commands.add_parser("real", parents=[asked])
    command.add_argument("--data", type=Path, help="folder; else STALLSCAN_REAL_DATA")
    command.set_defaults(run=real)

    command = commands.add_parser("figure")
    command.add_argument("--out", type=Path, required=True)
    command.set_defaults(run=figure)

    options = vars(parser.parse_args())
    run = options.pop("run")
    if options.pop("command") not in ("calibrate", "figure"):
        options["models"] = options["models"] or list(IN_THE_BOX)
    if "presets" in options:
        options["presets"] = options["presets"] or ["clogloss", "hard"]
    run(**options)


if __name__ == "__main__":
    sys.exit(main())
