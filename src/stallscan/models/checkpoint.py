"""The checkpoint folder: model.json and weights.safetensors, and nothing that can execute."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from stallscan.errors import CheckpointError, OptionError
from stallscan.models._network import Network
from stallscan.models.card import ModelCard, read_card, write_card
from stallscan.models.options import without_first_weights
from stallscan.models.registry import check_options, create_model


def save_checkpoint(model: Network, card: ModelCard, model_dir: Path) -> None:
    """Write a checkpoint folder; floating weights are stored as float16.

    The card is written with where the network's first weights came from, in place of the options
    that asked for them.

    Raises:
        CheckpointError: a weight is not finite as float16, or the card is another network's.
    """
    options = without_first_weights(card.options)
    if card.architecture != model.architecture or check_options(
        card.architecture, options
    ).differences(model.options):
        raise CheckpointError(
            f"{model_dir}: the card says {card.architecture} with {options}, the network is "
            f"{model.architecture} with {model.options}; give the card of this network"
        )
    model_dir.mkdir(parents=True, exist_ok=True)
    weights = {}
    for key, tensor in model.state_dict().items():
        stored = tensor.half() if tensor.is_floating_point() else tensor
        if stored.is_floating_point() and not torch.isfinite(stored).all():
            raise CheckpointError(
                f"{model_dir}: weight {key!r} is not finite as float16 (largest "
                f"{tensor.abs().max().item():g}, allowed 65504); training has diverged"
            )
        weights[key] = stored.contiguous().cpu()
    # Not save_file, which would let the owner alone read the file.
    (model_dir / "weights.safetensors").write_bytes(save(weights))
    card = dataclasses.replace(card, options=options, pretrained=model.pretrained)
    write_card(card, model_dir / "model.json")


def load_checkpoint(model_dir: Path) -> tuple[Network, ModelCard]:
    """Read a checkpoint folder; the model comes in float32 and in evaluation mode.

    Raises:
        CheckpointError: missing or damaged files, or weights that do not fit the architecture.
    """
    card = read_card(model_dir)
    path = model_dir / "weights.safetensors"
    if card.export:
        raise CheckpointError(
            f"{model_dir}: is an export for inference ({card.export.get('format')}), which has no "
            "weights to train or export anew; give the checkpoint folder that it was made from"
        )
    if not path.is_file():
        raise CheckpointError(
            f"{path}: missing; a checkpoint folder needs model.json and weights.safetensors"
        )
    try:
        weights = load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path}: is not a safetensors file ({error}); copy it anew, or export the model anew"
        ) from error
    model = skeleton(model_dir, card)
    expected = model.state_dict()
    wrong = [
        f"{key} is missing" if key not in weights else f"{key} is unexpected"
        for key in sorted(expected.keys() ^ weights.keys())
    ] + [
        f"{key} has shape {tuple(weights[key].shape)}, needs {tuple(expected[key].shape)}"
        for key in sorted(expected.keys() & weights.keys())
        if weights[key].shape != expected[key].shape
    ]
    if wrong:
        raise CheckpointError(
            f"{path}: {len(wrong)} weights do not fit {card.architecture} "
            f"({'; '.join(wrong[:3])}); use the weights that belong to this model.json"
        )
    broken = [key for key, tensor in weights.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise CheckpointError(
            f"{path}: {len(broken)} weights hold NaN or infinity (first {broken[0]}), allowed are "
            "finite numbers; copy the file anew, or export the model anew"
        )
    model.pretrained = card.pretrained
    weights = {key: weight.to(expected[key].dtype) for key, weight in weights.items()}
    model.load_state_dict(weights, assign=True)
    return model.eval(), card


def skeleton(model_dir: Path, card: ModelCard) -> Network:
    """The network of a card without its weights, on the meta device.

    Raises:
        CheckpointError: there is no such network.
    """
    try:
        with torch.device("meta"):  # nothing is drawn or allocated that the file holds
            return create_model(card.architecture, **without_first_weights(card.options))
    except OptionError as error:
        raise CheckpointError(
            f"{model_dir / 'model.json'}: {error}; upgrade stallscan, or correct model.json"
        ) from error
