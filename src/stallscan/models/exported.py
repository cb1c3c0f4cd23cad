"""What model.json says of a network that was exported as a graph (read without torch)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from stallscan.errors import CheckpointError
from stallscan.models.card import ModelCard

GraphFormat = Literal["onnx", "openvino"]
Precision = Literal["float32", "int8"]

GRAPH_FILES: dict[GraphFormat, tuple[str, ...]] = {
    "onnx": ("model.onnx",),
    "openvino": ("model.xml", "model.bin"),
}
"""Names in the folder, which are fixed, so that model.json cannot lead elsewhere."""

MIN_PARITY = 1000
"""ROIs on which an int8 network must have been compared with its float32 one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A graph beside a model.json.

    Attributes:
        format: of the files.
        precision: of the computation.
        graph: the file that engines read.
        sha256: of each file, as far as model.json says it.
    """

    format: GraphFormat
    precision: Precision
    graph: Path
    sha256: dict[str, Any]

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the graph's files."""
        return GRAPH_FILES[self.format]


def read_export(model_dir: Path, card: ModelCard) -> Exported | None:
    """What a card says of its graph; None for a checkpoint. The files are not opened.

    Raises:
        CheckpointError: unknown format or precision, another file, or int8 without a report of its
            parity on enough ROIs.
    """
    if not (found := card.export):
        return None
    path = model_dir / "model.json"
    for key, allowed in (("format", get_args(GraphFormat)), ("precision", get_args(Precision))):
        if found.get(key) not in allowed:
            raise CheckpointError(
                f"{path}: export.{key} is {found.get(key)!r}, allowed are {', '.join(allowed)}; "
                "export the model anew, or upgrade stallscan"
            )
    kind: GraphFormat = found["format"]
    name = GRAPH_FILES[kind][0]
    if found.get("file") != name:
        raise CheckpointError(
            f"{path}: export.file is {found.get('file')!r}, allowed for {kind} is {name!r} in the "
            "same folder; export the model anew"
        )
    if found["precision"] == "int8":
        _require_parity(path, found.get("parity"))
    sha256 = found.get("sha256", {})
    if not isinstance(sha256, dict):
        raise CheckpointError(
            f"{path}: export.sha256 is {sha256!r}, needed is a JSON object of file names; export "
            "the model anew"
        )
    return Exported(
        format=kind, precision=found["precision"], graph=model_dir / name, sha256=sha256
    )


def check_files(exported: Exported) -> None:
    """See that the files are there, and are those that were written.

    Raises:
        CheckpointError: one is missing, or torn or changed since.
    """
    for name in exported.files:
        path = exported.graph.with_name(name)
        if not path.is_file():
            raise CheckpointError(
                f"{path}: missing; an export as {exported.format} needs model.json and "
                f"{' and '.join(exported.files)}; copy the whole folder"
            )
        found, expected = sha256_of_file(path), exported.sha256.get(name)
        if found != expected:
            raise CheckpointError(
                f"{path}: is damaged or another model's (SHA-256 {found[:16]}…, model.json says "
                f"{str(expected)[:16]}…); copy the folder anew, or export the model anew"
            )


def sha256_of_file(path: Path) -> str:
    """In hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _require_parity(path: Path, parity: object) -> None:
    n = parity.get("n") if isinstance(parity, dict) else None
    if type(n) is not int or n < MIN_PARITY:
        have = "no parity report" if n is None else f"a parity report on {n!r} ROIs"
        raise CheckpointError(
            f"{path}: is an int8 model with {have}, needed is one on {MIN_PARITY:,} or more; "
            "export it anew with `stallscan export --precision int8`"
        )
