"""ensemble.json: which checkpoints answer together, and with which weights (read without torch)."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import math
import sys
from dataclasses import MISSING, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeVar, get_args

from stallscan.errors import CheckpointError
from stallscan.models.calibration import Calibration
from stallscan.models.card import read_card
from stallscan.models.exported import read_export

ENSEMBLE_FILE = "ensemble.json"
"""What makes a folder an ensemble."""

FORMAT = 1
"""Version of the file format; a reader refuses another one."""

MAX_DEPTH = 4
"""Levels of ensembles within ensembles: backbones, their folds, their snapshots, and one more."""

Combine = Literal["probability", "logit"]

Card = TypeVar("Card", bound="Member | EnsembleCard")


@dataclass(frozen=True, slots=True)
class Member:
    """A checkpoint folder, or a further ensemble folder, and how much it counts.

    Attributes:
        path: inside the folder of the ensemble and relative to it, with ``/``.
        weight: above 0; only the ratio to the other members' weights matters.
    """

    path: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EnsembleCard:
    """What ensemble.json holds.

    Attributes:
        name: what predictions call the ensemble.
        members: at least one. What a member says of threshold, calibration and flips does not
            count.
        combine: what is averaged over members and flips: probabilities, or the logits, of whose
            mean the sigmoid is taken.
        threshold: probability from which a vessel is called stalled.
        calibration: makes the mean of the members that probability; None: it is one already.
        flips: how many mirrored copies every member sees by default: 1, 2, 4 or 8.
        metrics: how the ensemble did, by name.
        training: data, recipe, folds, seeds.
        notes: what a user must know.
        licence: of the weights.
    """

    name: str
    members: tuple[Member, ...]
    combine: Combine = "probability"
    threshold: float = 0.5
    calibration: Calibration | None = None
    flips: int = 8
    metrics: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    notes: str = ""
    licence: str = "MIT"


def is_ensemble(folder: Path) -> bool:
    """Whether a folder is an ensemble rather than a checkpoint."""
    return (folder / ENSEMBLE_FILE).is_file()


def write_ensemble(card: EnsembleCard, folder: Path) -> None:
    """Write ensemble.json; a kill leaves the old file or the new one.

    Whether the members are there is seen when they are loaded.

    Raises:
        CheckpointError: a value outside what is allowed, or the folder is a checkpoint.
    """
    path = folder / ENSEMBLE_FILE
    _check(card, path)
    folder.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".tmp")
    fields = {"format": FORMAT, **dataclasses.asdict(card)}
    partial.write_text(json.dumps(fields, indent=2) + "\n", encoding="utf-8")
    partial.replace(path)


def read_ensemble(folder: Path) -> EnsembleCard:
    """Read and check the ensemble.json of a folder; the members are not opened.

    Raises:
        CheckpointError: the file is missing, or its content does not make sense.
    """
    path = folder / ENSEMBLE_FILE
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{path}: cannot be read as JSON ({error}); needed is the file of an ensemble; write "
            "it anew"
        ) from error
    if isinstance(fields, dict) and fields.pop("format", None) != FORMAT:
        raise CheckpointError(
            f"{path}: its format is not {FORMAT}, the one that this stallscan reads; put "
            f'"format": {FORMAT} into it, or upgrade stallscan if a newer one wrote it'
        )
    if isinstance(fields, dict) and isinstance(fields.get("members"), list):
        fields["members"] = tuple(
            _from_json(Member, member, f"{path}: member {index + 1}")
            for index, member in enumerate(fields["members"])
        )
    if isinstance(fields, dict):
        try:
            fields["calibration"] = Calibration.from_json(fields.get("calibration"))
        except ValueError as error:
            raise CheckpointError(
                f"{path}: calibration is {fields['calibration']!r} ({error}); correct "
                f"{ENSEMBLE_FILE}"
            ) from error
    card = _from_json(EnsembleCard, fields, f"{path}: the content")
    _check(card, path)
    return card


def flat_members(folder: Path) -> list[tuple[Path, float]]:
    """The checkpoint folders of a model, with weights that sum to 1.

    A checkpoint folder is its own only member. A member that is an ensemble shares its weight out
    among its members: theirs are normalised, then multiplied with its own.

    Raises:
        CheckpointError: an ensemble.json that is missing or does not make sense, or a member that
            is missing, leads outside or comes twice, or that averages something else.
    """
    if not is_ensemble(folder):
        return [(folder, 1.0)]
    flat = _flatten(folder, 1)
    first: dict[Path, Path] = {}
    for place, _ in flat:
        if (same := first.setdefault(place.resolve(), place)) is not place:
            raise CheckpointError(
                f"{folder / ENSEMBLE_FILE}: the members {_name(same, folder)!r} and "
                f"{_name(place, folder)!r} are the same checkpoint, allowed is each once; raise "
                "its weight instead"
            )
    return flat


def model_files(folder: Path) -> list[Path]:
    """All files that decide the answers of a checkpoint folder or ensemble folder, in order."""
    if not is_ensemble(folder):
        names: tuple[str, ...] = ("weights.safetensors",)
        # A folder that is no model is found out by whoever reads its files.
        if (folder / "model.json").exists() and (
            exported := read_export(folder, read_card(folder))
        ):
            names = exported.files
        return [folder / name for name in ("model.json", *names)]
    members = read_ensemble(folder).members
    inner = [file for member in members for file in model_files(folder / member.path)]
    return [folder / ENSEMBLE_FILE, *inner]


def sha256_of_model(folder: Path) -> str:
    """Over `model_files`, in hexadecimal."""
    digest = hashlib.sha256()
    for path in model_files(folder):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _flatten(folder: Path, depth: int) -> list[tuple[Path, float]]:
    path = folder / ENSEMBLE_FILE
    if depth > MAX_DEPTH:
        raise CheckpointError(
            f"{path}: is an ensemble at level {depth}, allowed are {MAX_DEPTH} levels; list its "
            "members in the ensemble above it"
        )
    card = read_ensemble(folder)
    # Divided by the largest, the sum of huge weights cannot overflow. fsum rounds once, whatever
    # the order.
    largest = max(member.weight for member in card.members)
    total = math.fsum(member.weight / largest for member in card.members)
    flat = []
    for member in card.members:
        place = _place(folder, member)
        share = member.weight / largest / total
        if not is_ensemble(place):
            flat.append((place, share))
            continue
        inner = _flatten(place, depth + 1)
        if (combine := read_ensemble(place).combine) != card.combine:
            raise CheckpointError(
                f"{path}: combine is {card.combine!r}, its member {member.path!r} has {combine!r}, "
                "allowed is the same in both; correct one of them"
            )
        flat += [(leaf, share * weight) for leaf, weight in inner]
    return flat


def _place(folder: Path, member: Member) -> Path:
    """Where a member lies: really inside the folder, so that no chain of members has a loop."""
    path, place = folder / ENSEMBLE_FILE, folder / member.path
    if not place.is_dir():
        raise CheckpointError(
            f"{path}: the member {member.path!r} is missing (no folder {place}), needed is a "
            "checkpoint folder or an ensemble folder; copy it there, or take it off the list"
        )
    inside, real = folder.resolve(), place.resolve()
    if inside not in real.parents:
        raise CheckpointError(
            f"{path}: the member {member.path!r} is a link that leads to {real}, allowed are "
            f"folders inside {inside}; copy the checkpoint there"
        )
    return place


def _name(place: Path, folder: Path) -> str:
    return place.relative_to(folder).as_posix()


def _from_json(kind: type[Card], value: object, what: str) -> Card:
    """A dataclass from a JSON object whose keys are its attributes."""
    attributes = dataclasses.fields(kind)
    known = [attribute.name for attribute in attributes]
    if not isinstance(value, dict):
        raise CheckpointError(
            f"{what} is {value!r}, needed is a JSON object with {', '.join(known)}; correct "
            f"{ENSEMBLE_FILE}"
        )
    for key in value:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise CheckpointError(
                f"{what} has the unknown key {key!r}; {hint}allowed are {', '.join(known)}; "
                f"correct {ENSEMBLE_FILE}"
            )
    for attribute in attributes:
        needed = attribute.default is MISSING and attribute.default_factory is MISSING
        if needed and attribute.name not in value:
            raise CheckpointError(
                f"{what} has the keys {', '.join(value) or 'none'}, needed is also "
                f"{attribute.name}; add it to {ENSEMBLE_FILE}"
            )
    return kind(**value)


def _check(card: EnsembleCard, path: Path) -> None:
    """Refuse values that mean nothing, and a folder that would be two things.

    Raises:
        CheckpointError: names file, value, what is allowed and what to do.
    """
    if (model := path.with_name("model.json")).exists():
        raise CheckpointError(
            f"{path}: {model.name} lies beside it, allowed is one of the two, for a folder is an "
            "ensemble or a checkpoint; move the checkpoint into a folder of its own"
        )
    combines = get_args(Combine)
    rules = {
        "name": (_is_line(card.name), "one line of text"),
        "members": (
            isinstance(card.members, list | tuple) and len(card.members) > 0,
            "one or more, each with path and weight",
        ),
        "combine": (card.combine in combines, " and ".join(combines)),
        "threshold": (_is_number(card.threshold) and 0 <= card.threshold <= 1, "0 to 1"),
        "flips": (type(card.flips) is int and card.flips in (1, 2, 4, 8), "1, 2, 4 and 8"),
        "metrics": (isinstance(card.metrics, dict), "JSON objects"),
        "training": (isinstance(card.training, dict), "JSON objects"),
        "notes": (isinstance(card.notes, str), "texts"),
        "licence": (isinstance(card.licence, str), "texts"),
    }
    for key, (is_good, allowed) in rules.items():
        if not is_good:
            raise CheckpointError(
                f"{path}: {key} is {getattr(card, key)!r}, allowed are {allowed}; correct "
                f"{ENSEMBLE_FILE}"
            )
    seen = set()
    for member in card.members:
        if not _is_inside(member.path):
            raise CheckpointError(
                f"{path}: the path of a member is {member.path!r}, allowed are paths of folders "
                "inside this one, relative to it, with / and without ..; copy the checkpoint there"
            )
        if not (_is_number(member.weight) and 0 < member.weight <= sys.float_info.max):
            raise CheckpointError(
                f"{path}: the weight of {member.path!r} is {member.weight!r}, allowed are finite "
                "numbers above 0; correct it, or take the member off the list"
            )
        if PurePosixPath(member.path) in seen:
            raise CheckpointError(
                f"{path}: the member {member.path!r} is listed twice, allowed is once; raise its "
                "weight instead"
            )
        seen.add(PurePosixPath(member.path))


def _is_inside(path: object) -> bool:
    """Whether a path means a folder below the one that it is relative to."""
    if not _is_line(path) or "\\" in str(path):
        return False
    parts = PurePosixPath(str(path))
    return bool(parts.parts) and not parts.is_absolute() and ".." not in parts.parts


def _is_line(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and value.isprintable()


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
