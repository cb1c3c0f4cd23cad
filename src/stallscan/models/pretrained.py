"""First weights of a network, and where they came from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from stallscan.errors import CheckpointError
from stallscan.models.card import read_card
from stallscan.models.published import DATA_SETS, PUBLISHED, Weights, weights_of

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["PUBLISHED", "Weights", "initial_weights", "weights_of"]


def initial_weights(name: str, pretrained: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights with which training begins.

    Args:
        name: registry name.
        pretrained: "imagenet" or "kinetics" for the published weights of `weights_of`; otherwise
            the path of a ``.safetensors`` file, of a PyTorch file, from which only tensors are
            taken and nothing is run, or of a checkpoint folder.

    Returns:
        Weights by name, and their provenance for model.json: ``source``, ``file``, ``sha256``, and,
        where they are known, ``publisher``, ``tag``, ``revision``, ``licence``, ``trained_on`` and
        ``preprocessing``. A file with the checksum of the published one counts as that.

    Raises:
        CheckpointError: they cannot be fetched or read.
        OptionError: no published weights for this name.
    """
    # Late, so that the table can be listed without torch.
    from stallscan.models._fetch import fetch, sha256_of
    from stallscan.models._weights_file import read_weights

    if pretrained in DATA_SETS:
        weights = weights_of(name)
        path, revision = fetch(weights)
        origin = _published(weights) | ({"revision": revision} if revision else {})
    else:
        path, origin = _local(Path(pretrained))
    tensors = read_weights(path)
    checksum = sha256_of(path)
    known = PUBLISHED.get(name)
    if known is not None and _is_the_file(checksum, known):
        origin = _published(known)
    return tensors, {**origin, "file": path.name, "sha256": checksum}


def _is_the_file(checksum: str, known: Weights) -> bool:
    return bool(known.sha256_prefix) and checksum.startswith(known.sha256_prefix)


def _published(weights: Weights) -> dict[str, Any]:
    return {
        "source": weights.url_or_id,
        "publisher": weights.source,
        "tag": weights.tag,
        "licence": weights.licence,
        "trained_on": weights.trained_on,
        "preprocessing": weights.preprocessing,
    }


def _local(path: Path) -> tuple[Path, dict[str, Any]]:
    """The file of weights behind a path, and what is known of it."""
    if path.is_dir():
        file = path / "weights.safetensors"
        for needed in (path / "model.json", file):
            if not needed.is_file():
                held = ", ".join(sorted(item.name for item in path.iterdir())[:5]) or "nothing"
                raise CheckpointError(
                    f"{needed}: missing (the folder holds {held}); pretrained takes a checkpoint "
                    "folder with model.json and weights.safetensors, or the path of a file"
                )
        card = read_card(path)
        return file, {
            "source": path.resolve().name,
            "model": card.name,
            "architecture": card.architecture,
            "licence": card.licence,
            "trained_on": str(card.training.get("data", "unknown")),
            "preprocessing": card.preprocessing,
        }
    if not path.is_file():
        raise CheckpointError(
            f'{path}: no such file; pretrained is "imagenet", or the path of a .safetensors file, '
            "of a PyTorch file or of a checkpoint folder"
        )
    return path, {"source": path.name}
