"""The networks of a model, with what each sees and how much it counts."""

from __future__ import annotations

from pathlib import Path

from stallscan.augment.evaluation import Preprocessing
from stallscan.errors import CheckpointError
from stallscan.models._network import Network
from stallscan.models.card import ModelCard
from stallscan.models.checkpoint import load_checkpoint
from stallscan.models.ensemble import (
    ENSEMBLE_FILE,
    EnsembleCard,
    flat_members,
    is_ensemble,
    read_ensemble,
)


class LoadedMember:
    """A network that answers, alone or among others.

    Args:
        model: the network; put into evaluation mode.
        card: its model.json.
        weight: how much it counts, above 0.

    Raises:
        CheckpointError: the card's preprocessing does not make sense.
    """

    def __init__(self, model: Network, card: ModelCard, weight: float = 1.0) -> None:
        self.model = model.eval()
        self.weight = weight
        try:
            self.preprocessing = Preprocessing.from_dict(card.preprocessing)
        except (TypeError, ValueError) as error:
            raise CheckpointError(
                f"model.json of {card.name}: preprocessing is {card.preprocessing} ({error}); "
                "export the model anew"
            ) from error


def load_members(folder: Path) -> tuple[tuple[LoadedMember, ...], ModelCard | EnsembleCard]:
    """Read a checkpoint folder, or an ensemble folder with all its members.

    Raises:
        CheckpointError: the folder is missing, damaged or inconsistent, or a member of it is.
    """
    if not is_ensemble(folder):
        network, card = load_checkpoint(folder)
        return (LoadedMember(network, card),), card
    ensemble = read_ensemble(folder)
    return tuple(_load_member(folder, *member) for member in flat_members(folder)), ensemble


def _load_member(folder: Path, place: Path, weight: float) -> LoadedMember:
    try:
        return LoadedMember(*load_checkpoint(place), weight)
    except CheckpointError as error:
        member = place.relative_to(folder).as_posix()
        raise CheckpointError(
            f"{folder / ENSEMBLE_FILE}: its member {member!r} cannot be used: {error}"
        ) from error
