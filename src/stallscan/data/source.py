"""Where ROIs come from: videos, read on the way, or a store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stallscan.data.extract import Extractor
from stallscan.data.shards import Store, open_store
from stallscan.data.store import is_store
from stallscan.data.videos import find_videos, fingerprint
from stallscan.errors import OptionError, StoreError
from stallscan.roi.extraction import Extraction
from stallscan.roi.options import RoiOptions
from stallscan.types import Location
from stallscan.video.remote import base_name


@dataclass(frozen=True, slots=True, kw_only=True)
class RoiSource:
    """Named ROIs, made when they are asked for.

    Attributes:
        items: what ``load`` takes, in order: places of videos, or names in the store.
        load: item → Extraction; can be sent to other processes.
        identity: what decides the content, for the records of runs.
    """

    items: Sequence[Location]
    load: Callable[[Any], Extraction]
    identity: dict[str, Any]

    @property
    def names(self) -> list[str]:
        """Base names of the files, in order."""
        return [base_name(item) for item in self.items]


def open_source(
    inputs: Sequence[Location],
    options: RoiOptions,
    *,
    split: str | None = None,
    limit: int | None = None,
) -> RoiSource:
    """Videos, folders of videos, or one ROI store.

    Args:
        inputs: as for `find_videos`, or the store.
        options: where the regions come from.
        split: of data sets with the folders train and test, this one alone.
        limit: the first so many alone.

    Raises:
        OptionError: no videos, two of one name, or a store beside other inputs or with options
            that were decided when it was made; a split of what has none, a limit below 1.
        StoreError: the store is incomplete or damaged.
        InputError: a table of videos cannot be read, or a prefix not be listed.
    """
    if limit is not None and limit < 1:
        raise OptionError(f"--limit is {limit}, allowed are 1 and above")
    stores = [place for place in inputs if isinstance(place, Path) and is_store(place)]
    if not stores:
        return _from_videos(
            find_videos(inputs, split=split)[:limit], Extractor.from_options(options)
        )
    if len(inputs) > 1:
        raise OptionError(
            f"{stores[0]}: is a ROI store and must be the only input, got {len(inputs)}; take each "
            "store in a run of its own"
        )
    if split is not None:
        raise OptionError(
            f"{stores[0]}: --split is {split!r}, and a ROI store has no splits; extract the folder "
            f"{split!r} into a store of its own"
        )
    if options != RoiOptions(max_gib=options.max_gib):
        raise OptionError(
            f"{stores[0]}: is a ROI store, whose regions were decided when it was made; give "
            "--roi, --rois, --outline-color and --partial to `stallscan extract`"
        )
    return _from_store(open_store(stores[0]), limit)


def _from_videos(videos: list[Location], extractor: Extractor) -> RoiSource:
    extractor.warn_unused(map(base_name, videos))
    return RoiSource(
        items=videos,
        load=extractor,
        identity={
            "videos": f"{len(videos)} videos, sha256 {fingerprint(videos)}",
            **extractor.identity(),
        },
    )


def _from_store(store: Store, limit: int | None) -> RoiSource:
    identity: dict[str, Any] = {"store": dict(store.identity)}
    if limit is not None:
        identity["limit"] = limit
    return RoiSource(items=list(store.names)[:limit], load=_FromStore(store), identity=identity)


@dataclass(frozen=True, slots=True)
class _FromStore:
    store: Store

    def __call__(self, name: str) -> Extraction:
        try:
            return self.store[name]
        except StoreError as error:  # one damaged entry is one failed row
            return Extraction(filename=name, message=str(error))
