"""The command line: one file per verb. Only this room prints."""

from __future__ import annotations

import difflib
import importlib
import logging
import os
import sys
from collections.abc import Sequence

from stallscan import __version__
from stallscan.errors import StallscanError

VERBS = {
    "simulate": "make a data set of phantom videos with known truth",
    "describe": "count what is in a data set: sizes, frames, classes, projects",
    "extract": "cut the outlined regions out of videos into a store",
    "train": "train a recipe on the phantom or on labelled videos",
    "ablate": "re-run a table of the paper, beside the paper's figures",
    "predict": "say of each video whether the outlined vessel is stalled",
    "explain": "show why: heatmap, slices and kymograph of each vessel",
    "export": "write a model as OpenVINO or ONNX, in float32 or int8",
    "evaluate": "score predictions against labels, with intervals and figures",
    "recipes": "list the ways to train, or show one as a file",
    "transforms": "list the augmentation: transforms, their options, presets",
    "models": "list the networks: parameters, cost, first weights, options",
}

HELP = f"""stallscan {__version__}: finds stalled capillaries in two-photon stacks.

usage: stallscan VERB [OPTIONS]

{chr(10).join(f"  {verb:<11} {summary}" for verb, summary in VERBS.items())}

`stallscan VERB --help` lists a verb's options. With every verb:
  -v, --verbose   say more; -q, --quiet: errors only, no progress bar
  --version       print the version

The same command again resumes an unfinished output, and leaves a finished one
alone.
Exit codes: 0 all good, 1 crash, 2 wrong usage, 3 some or all inputs failed.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    verbose = _take(arguments, "-v", "--verbose")
    quiet = _take(arguments, "-q", "--quiet")
    verb, *rest = arguments or ["--help"]
    if verb in ("-h", "--help", "help"):
        print(HELP, end="")
        return 0
    if verb == "--version":
        print(f"stallscan {__version__}")
        return 0
    if verb not in VERBS:
        close = difflib.get_close_matches(verb, VERBS, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        _complain(f"unknown verb {verb!r}; {hint}choose from {', '.join(VERBS)}")
        return 2
    level = logging.ERROR if quiet else logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s")
    try:
        return _run(verb, rest, quiet=quiet)
    except StallscanError as error:
        _complain(str(error))
        return error.exit_code
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        _complain("interrupted; the same command goes on where this one stopped")
        return 130


def _run(verb: str, arguments: list[str], *, quiet: bool) -> int:
    import tyro

    from stallscan.cli import _progress
    from stallscan.cli._values import REGISTRY

    _progress.QUIET = quiet
    module = importlib.import_module(f"stallscan.cli.{verb}")
    with REGISTRY:
        code: int = tyro.cli(
            getattr(module, verb),
            prog=f"stallscan {verb}",
            args=arguments,
            config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
        )
    return code


def _take(arguments: list[str], *flags: str) -> bool:
    """Remove flags that every verb has; say whether one was there."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    found = [index for index in range(end) if arguments[index] in flags]
    for index in reversed(found):
        del arguments[index]
    return bool(found)


def _complain(message: str) -> None:
    print(f"stallscan: error: {message}", file=sys.stderr)
