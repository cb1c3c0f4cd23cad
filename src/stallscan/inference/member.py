"""The networks of a model, with what each sees and how much it counts."""

from __future__ import annotations

from pathlib import Path

from stallscan.augment.evaluation import Preprocessing
from stallscan.errors import CheckpointError
from stallscan.models._network import Network
from stallscan.models.card import ModelCard, read_card
from stallscan.models.checkpoint import load_checkpoint, skeleton
from stallscan.models.ensemble import (
    ENSEMBLE_FILE,
    EnsembleCard,
    flat_members,
    is_ensemble,
    read_ensemble,
)
from stallscan.models.exported import check_files, read_export


class LoadedMember:
    """A network that answers, alone or among others.

    Args:
        model: the network; put into evaluation mode.
        card: its model.json.
        weight: how much it counts, above 0.
        graph: what computes instead, where the network was exported and has no weights here.

    Raises:
        CheckpointError: the card's preprocessing does not make sense.
    """

    def __init__(
        self,
        model: Network,
        card: ModelCard,
        weight: float = 1.0,
        graph: Path | None = None,
    ) -> None:
        self.model = model.eval()
        self.weight = weight
        self.graph = graph
        self.source: Network | Path = self.model if graph is None else graph
        try:
            self.preprocessing = Preprocessing.from_dict(card.preprocessing)
        except (TypeError, ValueError) as error:
            raise CheckpointError(
                f"model.json of {card.name}: preprocessing is {card.preprocessing} ({error}); "
                "export the model anew"
            ) from error


def load_members(folder: Path) -> tuple[tuple[LoadedMember, ...], ModelCard | EnsembleCard]:
    """Read a checkpoint folder, an export of one, or an ensemble folder with all its members.

    Raises:
        CheckpointError: the folder is missing, damaged or inconsistent, or a member of it is.
    """
    if not is_ensemble(folder):
        member, card = _load(folder, 1.0)
        return (member,), card
    ensemble = read_ensemble(folder)
    return tuple(_load_member(folder, *member) for member in flat_members(folder)), ensemble


def _load(folder: Path, weight: float) -> tuple[LoadedMember, ModelCard]:
    card = read_card(folder)
    exported = read_export(folder, card)
    if exported is None:
        network, card = load_checkpoint(folder)
        return LoadedMember(network, card, weight), card
    check_files(exported)
    return LoadedMember(skeleton(folder, card), card, weight, exported.graph), card


def _load_member(folder: Path, place: Path, weight: float) -> LoadedMember:
    try:
        return _load(place, weight)[0]
    except CheckpointError as error:
        member = place.relative_to(folder).as_posix()
        raise CheckpointError(
            f"{folder / ENSEMBLE_FILE}: its member {member!r} cannot be used: {error}"
        ) from error
