"""ROIs with labels, to calibrate and compare on: phantoms, or a user's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from stallscan.errors import OptionError
from stallscan.roi.extraction import Extraction
from stallscan.roi.options import RoiOptions
from stallscan.types import Label

PHANTOM_STREAM = 7
"""Second part of a phantom's seed; those of training and validation are 0 and 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledRois:
    """Named ROIs with what they are.

    Attributes:
        items: what ``load`` takes.
        labels: 1 for stalled, by item.
        load: makes the ROI, or says why there is none; can be sent to other processes.
        source: in words, for reports.
    """

    items: Sequence[Path] | Sequence[str]
    labels: Sequence[int]
    load: Callable[[Any], Extraction]
    source: str

    def after(self, n: int) -> LabelledRois:
        """Those behind the first ``n``."""
        return replace(self, items=self.items[n:], labels=self.labels[n:])


def phantoms(n: int, seed: int) -> LabelledRois:
    """Half of them stalled."""
    return LabelledRois(
        items=[str(number) for number in range(n)],
        labels=[number % 2 for number in range(n)],
        load=_PhantomLoader(seed),
        source=f"phantoms (clogloss, seed {seed})",
    )


@dataclass(frozen=True, slots=True)
class _PhantomLoader:
    seed: int

    def __call__(self, name: str) -> Extraction:
        from stallscan.simulate.phantom import phantom_roi

        label = Label(int(name) % 2)
        volume, _ = phantom_roi((self.seed, PHANTOM_STREAM, int(name)), label)
        return Extraction(filename=name, outline="ok", n_frames=volume.n_frames, volume=volume)


def labelled(data: Path, labels: Path, n: int, seed: int) -> LabelledRois:
    """A user's own, in random order.

    Raises:
        OptionError: fewer than ``n``, or of one class.
        TableError: the labels are not those of the data.
    """
    from stallscan.data.matching import match_videos
    from stallscan.data.source import open_source
    from stallscan.data.tables import read_labels

    source = open_source([data], RoiOptions())
    stalled = match_videos(source.names, read_labels(labels))["stalled"].to_numpy(int)
    if len(stalled) < n or len(set(stalled)) < 2:
        raise OptionError(
            f"{data}: has {len(stalled):,} labelled ROIs, {stalled.sum():,} stalled; needed "
            f"are {n:,} (--calibration and --parity together) of both classes; give more data, or "
            "leave --data out for phantoms"
        )
    order = np.random.default_rng(seed).permutation(len(stalled))
    items: list[Any] = [source.items[place] for place in order]
    return LabelledRois(
        items=items,
        labels=[int(stalled[place]) for place in order],
        load=source.load,
        source=f"{data.name}, seed {seed}",
    )
