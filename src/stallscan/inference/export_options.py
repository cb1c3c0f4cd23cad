"""What a user may choose of `stallscan export` (no torch, so that `--help` is quick)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stallscan.errors import OptionError
from stallscan.models.exported import MIN_PARITY, GraphFormat, Precision


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """Options of `stallscan export`."""

    format: GraphFormat = "openvino"
    """openvino or onnx."""
    precision: Precision = "float32"
    """float32, or int8 (openvino alone)."""
    data: Path | None = None
    """For int8: videos or a store with --labels; else phantoms."""
    labels: Path | None = None
    """Table (filename, stalled) of --data."""
    calibration: int = 300
    """For int8: ROIs that set the ranges of its numbers."""
    parity: int = MIN_PARITY
    """For int8: further ROIs, on which it is compared."""
    flips: int | None = None
    """Mirrored copies in the comparison; the model's by default."""
    seed: int = 0
    """Of the ROIs."""

    def __post_init__(self) -> None:
        if self.precision == "int8" and self.format != "openvino":
            raise OptionError(
                f"--precision is int8 and --format is {self.format}, for int8 allowed is openvino"
            )
        if (self.data is None) != (self.labels is None):
            raise OptionError(
                f"--data is {self.data} and --labels is {self.labels}; give both or neither"
            )
        if self.data is not None and self.precision != "int8":
            raise OptionError(
                f"--data is {self.data} and --precision is {self.precision}, ROIs are for int8 "
                "alone; leave them out, or pass --precision int8"
            )
        if self.calibration < 1:
            raise OptionError(f"--calibration is {self.calibration}, allowed are 1 and above")
        if self.parity < MIN_PARITY:
            raise OptionError(
                f"--parity is {self.parity:,}, allowed are {MIN_PARITY:,} and above: int8 is used "
                "with a report on as many ROIs alone"
            )
        if self.flips not in (None, 1, 2, 4, 8):
            raise OptionError(f"--flips is {self.flips}, allowed are 1, 2, 4 and 8")
        if self.seed < 0:
            raise OptionError(f"--seed is {self.seed}, allowed are 0 and above")
