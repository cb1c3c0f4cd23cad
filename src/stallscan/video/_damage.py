"""How a stack that breaks off is reported: the same words for every format."""

from __future__ import annotations

from pathlib import Path

from stallscan.errors import DamagedVideoError, VideoError

REMEDY = "copy or export it again from its source"


def damage_after(n_whole: int, n_announced: int, reason: str) -> str:
    """``"45 of 97 frames decoded, then: …"``; ``n_announced`` 0 when nobody knows."""
    of_announced = f" of {n_announced}" if n_announced else ""
    return f"{n_whole}{of_announced} frames decoded, then: {reason}"


def broken_off(path: Path, n_whole: int, damage: str) -> VideoError:
    """The error for ``damage``: without a frame there is nothing that could be used."""
    if n_whole == 0:
        return VideoError(f"{path}: {damage}; {REMEDY}")
    return DamagedVideoError(
        f"{path}: {damage}; {REMEDY}, or pass --partial to use these frames", damage=damage
    )
