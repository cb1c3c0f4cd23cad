"""model.json: everything about a network but its weights (read without torch)."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stallscan.errors import CheckpointError
from stallscan.models.calibration import Calibration

FORMAT = 1
"""Version of the file format; a reader refuses a newer one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """What model.json holds.

    Attributes:
        name: what predictions call the model.
        architecture: registry name.
        options: arguments of `create_model`.
        preprocessing: Volume → network input: fields of `stallscan.augment.Preprocessing`.
        threshold: probability from which a vessel is called stalled.
        calibration: makes the mean of the flips that probability; None: it is one already.
        flips: how many mirrored copies are averaged by default: 1, 2, 4 or 8.
        metrics: how the model did, by name.
        training: data, recipe, seeds, hours.
        pretrained: where the weights came from with which training began: source, checksum,
            licence, how they were inflated; empty if they were random.
        versions: of what trained it.
        licence: of the weights.
        notes: what a user must know.
        export: of a folder that `stallscan export` wrote, what stands beside it in place of the
            weights: format, precision, files, source, parity; else empty.
    """

    name: str
    architecture: str
    options: dict[str, Any]
    preprocessing: dict[str, Any]
    threshold: float = 0.5
    calibration: Calibration | None = None
    flips: int = 8
    metrics: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    pretrained: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    licence: str = "MIT"
    notes: str = ""
    export: dict[str, Any] = field(default_factory=dict)


def write_card(card: ModelCard, path: Path) -> None:
    """Write model.json."""
    fields = dataclasses.asdict(card)
    if not card.export:
        del fields["export"]
    path.write_text(json.dumps({"format": FORMAT, **fields}, indent=2) + "\n")


def read_card(model_dir: Path) -> ModelCard:
    """Read and check the model.json of a checkpoint folder.

    Raises:
        CheckpointError: the folder or the file is missing, or its content does not make sense.
    """
    path = model_dir / "model.json"
    if not model_dir.is_dir():
        raise CheckpointError(
            f"{model_dir}: no such checkpoint folder; a checkpoint is a folder with model.json and "
            "weights.safetensors, as `stallscan train` writes it"
        )
    if not path.is_file():
        found = ", ".join(sorted(p.name for p in model_dir.iterdir())[:5]) or "nothing"
        raise CheckpointError(
            f"{path}: missing (the folder holds {found}); point --model at a checkpoint folder "
            "with model.json and weights.safetensors, or at an ensemble's with ensemble.json"
        )
    try:
        fields: dict[str, Any] = dict(json.loads(path.read_text()))
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path}: is not a JSON object ({error}); export the model anew"
        ) from error
    found_format = fields.pop("format", None)
    if found_format != FORMAT:
        raise CheckpointError(
            f"{path}: has format {found_format!r}, this stallscan reads {FORMAT}; upgrade "
            "stallscan or export the model anew"
        )
    for key, kind in (
        ("options", dict),
        ("preprocessing", dict),
        ("export", dict),
        ("threshold", (int, float)),
    ):
        if key in fields and not isinstance(fields[key], kind):
            allowed = "a number" if key == "threshold" else "a JSON object"
            raise CheckpointError(
                f"{path}: {key} is {fields[key]!r}, needed is {allowed}; correct model.json"
            )
    try:
        fields["calibration"] = Calibration.from_json(fields.get("calibration"))
    except ValueError as error:
        raise CheckpointError(
            f"{path}: calibration is {fields['calibration']!r} ({error}); correct model.json"
        ) from error
    try:
        card = ModelCard(**fields)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path}: is not a model card ({error}); export the model anew"
        ) from error
    if not 0.0 <= card.threshold <= 1.0:
        raise CheckpointError(
            f"{path}: threshold is {card.threshold}, allowed are 0 to 1; correct model.json"
        )
    if card.flips not in (1, 2, 4, 8):
        raise CheckpointError(
            f"{path}: flips is {card.flips}, allowed are 1, 2, 4 and 8; correct model.json"
        )
    return card
