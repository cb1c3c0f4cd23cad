"""What a run would do, without doing it."""

from __future__ import annotations

from collections.abc import Sequence

from stallscan.inference.choose import Choice
from stallscan.inference.engine import version_of
from stallscan.inference.member import LoadedMember
from stallscan.models.card import ModelCard
from stallscan.models.ensemble import EnsembleCard


def describe_run(
    members: tuple[LoadedMember, ...],
    card: ModelCard | EnsembleCard,
    *,
    flips: int,
    threshold: float,
    choice: Choice,
    names: Sequence[str],
) -> list[str]:
    """Lines for the user: inputs, model, what each network sees, engine, time.

    Args:
        members: the networks.
        card: of the model.
        flips: mirrored copies.
        threshold: of the call.
        choice: what computes.
        names: of the inputs.
    """
    lines = [
        f"inputs: {len(names)} ({names[0]} to {names[-1]})",
        f"model: {card.name}, networks {len(members)} × flips {flips}, threshold {threshold:g}",
    ]
    for preprocessing, count in _counted(members).items():
        lines.append(f"  {preprocessing}: {count}")
    lines.append(describe_choice(choice))
    if choice.engine in choice.seconds:
        seconds = len(names) * choice.seconds[choice.engine]
        lines.append(
            f"networks: about {_duration(seconds)} for all inputs; reading them comes on top where "
            "it is slower"
        )
    return lines


def describe_choice(choice: Choice) -> str:
    """One line: engine, version, where and why."""
    where = "" if choice.device == "cpu" else f" on {choice.device} in {choice.precision}"
    why = f" ({choice.reason})" if choice.reason else ""
    return f"engine: {choice.engine} {version_of(choice.engine)}{where}{why}"


def _counted(members: Sequence[LoadedMember]) -> dict[str, int]:
    """What is shown to how many networks."""
    counts: dict[str, int] = {}
    for member in members:
        z, y, x = member.preprocessing.size
        size = f"{z if z is not None else 'own depth'}×{y}×{x}"
        shown = f"{', '.join(member.preprocessing.channels)} at {size}"
        counts[shown] = counts.get(shown, 0) + 1
    return counts


def _duration(seconds: float) -> str:
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"
