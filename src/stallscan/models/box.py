"""The models in the box (found without torch)."""

from __future__ import annotations

from pathlib import Path

WEIGHTS_DIR = Path(__file__).parent / "weights"

IN_THE_BOX = ("default", "fast")
"""Their names: the most accurate one, and one that keeps up with decoding on a laptop."""


def find_model(model: str | Path | None = None) -> Path:
    """The folder of a model: one in the box by its bare name, any other by its path.

    Args:
        model: ``default``, ``fast`` or a folder (one of such a name: ``./fast``); None: default.
    """
    name = "default" if model is None else str(model)
    return WEIGHTS_DIR / name if name in IN_THE_BOX else Path(name)
