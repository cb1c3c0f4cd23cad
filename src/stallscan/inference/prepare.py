"""What workers do with a file: read, cut out, resize (no torch, so that they start quickly)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stallscan.augment.evaluation import Preprocessing, preprocess
from stallscan.errors import StallscanError
from stallscan.roi.extraction import Extraction
from stallscan.roi.verdict import Verdict
from stallscan.roi.volume import Volume
from stallscan.types import Box, Location
from stallscan.video.remote import base_name

_WITHIN = "and the model looks along the vessel within an outline"

Inputs = dict[Preprocessing, NDArray[np.float32]]
"""One volume as the networks want it: ``(c, z, y, x)`` for each distinct preprocessing."""


def make_inputs(volume: Volume, preprocessings: tuple[Preprocessing, ...]) -> Inputs:
    """A volume as each of the networks wants it."""
    return {preprocessing: preprocess(volume, preprocessing) for preprocessing in preprocessings}


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A file ready for the networks, or why it is not.

    Attributes:
        filename: base name.
        status: ok, flagged or failed.
        message: why it is not ok.
        outline: the verdict's word.
        n_frames: frames decoded.
        box: around the outline.
        inputs: for the networks; None where it failed.
    """

    filename: str
    status: str
    message: str = ""
    outline: str = ""
    n_frames: int | None = None
    box: Box | None = None
    inputs: Inputs | None = None

    def failed(self, message: str) -> Prepared:
        """The same file, which failed after all."""
        return replace(self, status="failed", message=message, box=None, inputs=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepare:
    """Item → Prepared; can be sent to other processes.

    Attributes:
        load: makes the ROI, or says why there is none.
        preprocessings: of the networks, each once.
    """

    load: Callable[[Any], Extraction]
    preprocessings: tuple[Preprocessing, ...]

    def __call__(self, item: Location) -> Prepared:
        """The volume itself, which may be large, stays behind."""
        extraction = self.load(item)
        volume = extraction.volume
        prepared = Prepared(
            filename=extraction.filename,
            status=extraction.status,
            message=extraction.message,
            outline=extraction.outline,
            n_frames=extraction.n_frames,
            box=None if volume is None else volume.box,
        )
        if volume is None:
            return prepared
        if volume.mask.all() and any(seen.view == "vessel" for seen in self.preprocessings):
            # Nobody drew where the vessel runs.
            if extraction.outline == Verdict.FULL:
                return prepared.failed(f"{prepared.filename}: is a whole frame, {_WITHIN}")
            doubt = f"the region is a box without an outline, {_WITHIN}: its diagonal was taken"
            said = "; ".join(word for word in (prepared.message, doubt) if word)
            prepared = replace(prepared, status="flagged", message=said)
        try:
            return replace(prepared, inputs=make_inputs(volume, self.preprocessings))
        except (StallscanError, MemoryError) as error:
            return prepared.failed(f"{prepared.filename}: {str(error) or 'no memory left'}")


def not_prepared(item: Location, message: str) -> Prepared:
    """For a file at which its process died."""
    return Prepared(filename=base_name(item), status="failed", message=message)
