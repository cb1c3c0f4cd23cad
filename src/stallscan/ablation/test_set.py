"""Vessels that no row is trained or chosen on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, Protocol

import pandas as pd

from stallscan.data.extract import ExtractOptions, extract_to_store
from stallscan.data.source import open_source
from stallscan.data.tables import read_labels
from stallscan.errors import OptionError
from stallscan.inference.predictor import Predictor
from stallscan.roi.options import RoiOptions
from stallscan.roi.region import whole_frame
from stallscan.roi.volume import Volume
from stallscan.simulate.phantom import phantom_clip, phantom_roi
from stallscan.simulate.settings import PRESETS
from stallscan.training.phantom_shelf import Shelf
from stallscan.types import Label

Region = Literal["outline", "full"]
"""outline, or full for whole frames."""

PHANTOM_SEED = 2**31 + 11
"""First part of the seeds of test phantoms: above all seeds of runs."""

STALLED_SHARE = 0.3
"""Of test phantoms: about that of the competition's micro subset (paper, section 2.1)."""


class TestSet(Protocol):
    """Labelled vessels."""

    def identity(self) -> dict[str, Any]:
        """What decides them, for the record of the run."""

    @property
    def labels(self) -> dict[str, int]:
        """1 for stalled, by name."""

    def volumes(self, region: Region) -> Iterator[tuple[str, Volume]]:
        """Name and ROI of each that has one."""


def ask(
    predictor: Predictor,
    test: TestSet,
    region: Region = "outline",
    progress: Callable[[int, int], None] = lambda *_: None,
) -> pd.DataFrame:
    """filename, label, probability of all that have a ROI.

    Args:
        predictor: who is asked.
        test: about which vessels.
        region: what of them is seen.
        progress: called with the vessels done and all.
    """
    labels = test.labels
    rows = []
    for name, volume in test.volumes(region):
        probability = predictor(volume).probability
        rows.append({"filename": name, "label": labels[name], "probability": probability})
        progress(len(rows), len(labels))
    progress(len(labels), len(labels))
    return pd.DataFrame(rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomVessels:
    """Phantoms of seeds of their own; 30 % are stalled.

    Attributes:
        n: how many.
        preset: of the phantom.
        shelf_dir: keeps what is rendered; None: nothing is kept. Whole frames are never.
    """

    n: int = 400
    preset: str = "clogloss"
    shelf_dir: Path | None = None

    def __post_init__(self) -> None:
        if self.n < 10:
            raise OptionError(f"--n-test is {self.n}, allowed are 10 and above")

    def identity(self) -> dict[str, Any]:
        """Number and preset."""
        return {"phantoms": self.n, "preset": self.preset}

    @property
    def labels(self) -> dict[str, int]:
        """The stalled ones first."""
        n_stalled = round(STALLED_SHARE * self.n)
        return {f"phantom-{number:06d}": int(number < n_stalled) for number in range(self.n)}

    def volumes(self, region: Region) -> Iterator[tuple[str, Volume]]:
        """Rendered one after another."""
        shelf = None if self.shelf_dir is None or region == "full" else Shelf(self.shelf_dir)
        for number, (name, stalled) in enumerate(self.labels.items()):
            render = partial(self._render, number, Label(stalled), region)
            kept = f"test-{self.preset}-{number}-{stalled}"
            yield name, render() if shelf is None else shelf.take(kept, render)

    def _render(self, number: int, label: Label, region: Region) -> Volume:
        seed, settings = (PHANTOM_SEED, number), PRESETS[self.preset]
        if region == "outline":
            return phantom_roi(seed, label, settings)[0]
        clip, _ = phantom_clip(seed, label, settings)
        return whole_frame(clip).crop(clip)


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoVessels:
    """Labelled videos, or a ROI store of them.

    Attributes:
        data: the folder or the store.
        table: their labels; those without one are left out.
        work_dir: where ROIs are extracted to.
        workers: processes that extract.
    """

    data: Path
    table: Path
    work_dir: Path
    workers: int = 2

    def identity(self) -> dict[str, Any]:
        """The videos and the table."""
        source = open_source([self.data], RoiOptions())
        return {**source.identity, "labels": sha256(self.table.read_bytes()).hexdigest()[:16]}

    @property
    def labels(self) -> dict[str, int]:
        """As the table has them."""
        table = read_labels(self.table, undecidable=True).dropna(subset="stalled")
        return dict(zip(table["filename"], table["stalled"].astype(int), strict=True))

    def volumes(self, region: Region) -> Iterator[tuple[str, Volume]]:
        """Cut out of the videos once, into a store, and read one after another."""
        from stallscan.data.shards import open_store
        from stallscan.data.store import is_store

        path = self.data
        if not is_store(path):
            path = self.work_dir / f"test-{region}.lmdb"
            regions = RoiOptions(roi=region)
            extract_to_store([self.data], path, ExtractOptions(), regions, workers=self.workers)
        store, labels = open_store(path), self.labels
        for name in store.names:
            volume = store[name].volume
            if name in labels and volume is not None:
                yield name, volume
