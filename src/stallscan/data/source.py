"""Where ROIs come from: videos, read on the way, or a store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stallscan.data.extract import Extractor
from stallscan.data.store import RoiStore, is_store
from stallscan.data.videos import find_videos, fingerprint
from stallscan.errors import OptionError, StoreError
from stallscan.roi.extraction import Extraction
from stallscan.roi.options import RoiOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class RoiSource:
    """Named ROIs, made when they are asked for.

    Attributes:
        items: what ``load`` takes, in order: paths of videos, or names in the store.
        load: item → Extraction; can be sent to other processes.
        identity: what decides the content, for the records of runs.
    """

    items: Sequence[Path] | Sequence[str]
    load: Callable[[Any], Extraction]
    identity: dict[str, Any]

    @property
    def names(self) -> list[str]:
        """Base names of the files, in order."""
        return [item.name if isinstance(item, Path) else item for item in self.items]


def open_source(
    inputs: Sequence[Path],
    options: RoiOptions,
    *,
    split: str | None = None,
    limit: int | None = None,
) -> RoiSource:
    """Videos, folders of videos, or one ROI store.

    Args:
        inputs: files and folders, or the store.
        options: where the regions come from.
        split: of data sets with the folders train and test, this one alone.
        limit: the first so many alone.

    Raises:
        OptionError: no videos, two of one name, or a store beside other inputs or with options
            that were decided when it was made; a split of what has none, a limit below 1.
        StoreError: the store is incomplete or damaged.
    """
    if limit is not None and limit < 1:
        raise OptionError(f"--limit is {limit}, allowed are 1 and above")
    stores = [path for path in inputs if is_store(path)]
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
    return _from_store(RoiStore(stores[0]), limit)


def _from_videos(paths: list[Path], extractor: Extractor) -> RoiSource:
    extractor.warn_unused(path.name for path in paths)
    return RoiSource(
        items=paths,
        load=extractor,
        identity={
            "videos": f"{len(paths)} videos, sha256 {fingerprint(paths)}",
            **extractor.identity(),
        },
    )


def _from_store(store: RoiStore, limit: int | None) -> RoiSource:
    identity: dict[str, Any] = {"store": dict(store.identity)}
    if limit is not None:
        identity["limit"] = limit
    return RoiSource(items=list(store.names)[:limit], load=_FromStore(store), identity=identity)


@dataclass(frozen=True, slots=True)
class _FromStore:
    store: RoiStore

    def __call__(self, name: str) -> Extraction:
        try:
            return self.store[name]
        except StoreError as error:  # one damaged entry is one failed row
            return Extraction(filename=name, message=str(error))
