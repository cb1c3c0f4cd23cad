"""What the kymograph says of the blood, and whether the network agrees."""

from __future__ import annotations

from enum import StrEnum

MOVES_BELOW, STANDS_FROM = 0.45, 0.7
"""Persistence of the pattern along the vessel; see benchmarks/explain.py physics."""


class Physics(StrEnum):
    """What the pattern of cells along the vessel does from slice to slice."""

    MOVES = "moves"
    UNSURE = "cannot tell"
    STANDS = "stands"


def physics_of(persistence: float) -> Physics:
    """The pattern's persistence in words."""
    if persistence >= STANDS_FROM:
        return Physics.STANDS
    return Physics.MOVES if persistence < MOVES_BELOW else Physics.UNSURE


def disagreement(stalled: int, physics: Physics) -> str:
    """Why a call needs a second look; empty where it does not."""
    if stalled and physics is Physics.MOVES:
        return "the network says stalled, but the pattern along the vessel moves"
    if not stalled and physics is Physics.STANDS:
        return "the network says flowing, but the pattern along the vessel stands"
    return ""
