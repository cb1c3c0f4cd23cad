"""Where a run's first weights come from, and what of its recipe follows from them."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stallscan.augment.evaluation import Preprocessing
from stallscan.errors import OptionError
from stallscan.models.box import IN_THE_BOX, find_model
from stallscan.models.card import ModelCard, read_card
from stallscan.models.options import without_first_weights
from stallscan.models.registry import check_options
from stallscan.training.recipe import Input, Model, Recipe

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A checkpoint folder to start from.

    Attributes:
        path: the folder.
        card: its model.json.
    """

    path: Path
    card: ModelCard

    @property
    def digest(self) -> str:
        """SHA-256 of the weights."""
        return hashlib.sha256((self.path / "weights.safetensors").read_bytes()).hexdigest()


def resolve_start(recipe: Recipe, given: Path | None, fold: int) -> tuple[Recipe, Start | None]:
    """The recipe with its network and input filled in, and the checkpoint that it starts from.

    Args:
        recipe: whose ``start`` says what is wanted.
        given: ``--start``: a checkpoint folder, or a folder of folds, of which the same one is
            taken.
        fold: of this run.

    Raises:
        OptionError: a start is wanted and none is given, or it is another network than the
            recipe's.
        CheckpointError: it is no checkpoint folder.
    """
    if given is None and recipe.start in IN_THE_BOX:
        given = Path(recipe.start)
    if given is None and recipe.start is not None:
        wanted = "any run" if recipe.start == "any" else f"a run of {recipe.start}"
        raise OptionError(
            f"recipe {recipe.name}: starts from the weights of {wanted}; pass --start RUN, or "
            "--set start=null for its own first weights"
        )
    if given is None:
        return recipe, None
    given = find_model(given)
    inner = given / f"fold{fold}"
    path = inner if inner.is_dir() and not (given / "model.json").exists() else given
    card = read_card(path)
    recipe = _filled_in(recipe, card)
    _check_network(recipe, path, card)
    known = recipe.start in (None, "any", *IN_THE_BOX)
    if not known and card.training.get("recipe") != recipe.start:
        log.warning(
            "%s: was trained by recipe %s; %s starts from %s",
            path,
            card.training.get("recipe"),
            recipe.name,
            recipe.start,
        )
    return recipe, Start(path=path, card=card)


def check_fold(start: Start, recipe: Recipe, fold: object) -> None:
    """Refuse an earlier stage that has learnt what this one holds out.

    Raises:
        OptionError: the start is a run of the recipe's earlier stage on another fold.
    """
    before = start.card.training.get("fold")
    of_a_stage = recipe.start not in (None, "any", *IN_THE_BOX) and None not in (before, fold)
    if of_a_stage and before != fold:
        raise OptionError(
            f"--start {start.path}: its fold was {before}, this run's is {fold}, so it has "
            "learnt videos that this run validates on; start from the same fold"
        )


def _filled_in(recipe: Recipe, card: ModelCard) -> Recipe:
    model, given = recipe.model, recipe.input
    if given is None:
        preprocessing = Preprocessing.from_dict(card.preprocessing)
        given = Input(**dataclasses.asdict(preprocessing))
    if model is None:
        options: dict[str, Any] = {
            key: value
            for key, value in without_first_weights(card.options).items()
            if key not in ("in_channels", "num_classes")
        }
        model = Model(architecture=card.architecture, options=options)
    else:
        model = dataclasses.replace(model, pretrained=None)
    return dataclasses.replace(recipe, model=model, input=given)


def _check_network(recipe: Recipe, path: Path, card: ModelCard) -> None:
    arguments = network_options(recipe)
    wanted = check_options(
        recipe.must_model.architecture, arguments, inflate=recipe.must_model.inflate
    )
    found = without_first_weights(card.options)
    if card.architecture != recipe.must_model.architecture or wanted.differences(
        check_options(card.architecture, found)
    ):
        raise OptionError(
            f"--start {path}: is {card.architecture} with {found}, recipe {recipe.name} needs "
            f"{recipe.must_model.architecture} with {arguments}; give weights of the same "
            "network, or set model.architecture and model.options to those of the start"
        )


def network_options(recipe: Recipe) -> dict[str, Any]:
    """What model.json says of the network: arguments of `create_model` but its first weights."""
    options = without_first_weights(recipe.network)
    del options["name"]
    return options
