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
        names: base names of the files, in order.
        load: name → Extraction; may be called from threads.
        identity: what decides the content, for the records of runs.
    """

    names: list[str]
    load: Callable[[str], Extraction]
    identity: dict[str, Any]


def open_source(inputs: Sequence[Path], options: RoiOptions) -> RoiSource:
    """Videos, folders of videos, or one ROI store.

    Raises:
        OptionError: no videos, two of one name, or a store beside other inputs or with options
            that were decided when it was made.
        StoreError: the store is incomplete or damaged.
    """
    stores = [path for path in inputs if is_store(path)]
    if not stores:
        return _from_videos(find_videos(inputs), Extractor.from_options(options))
    if len(inputs) > 1:
        raise OptionError(
            f"{stores[0]}: is a ROI store and must be the only input, got {len(inputs)}; take each "
            "store in a run of its own"
        )
    if options != RoiOptions(max_gib=options.max_gib):
        raise OptionError(
            f"{stores[0]}: is a ROI store, whose regions were decided when it was made; give "
            "--roi, --rois, --outline-color and --partial to `stallscan extract`"
        )
    return _from_store(RoiStore(stores[0]))


def _from_videos(paths: list[Path], extractor: Extractor) -> RoiSource:
    by_name = {path.name: path for path in paths}
    extractor.warn_unused(by_name)
    return RoiSource(
        names=list(by_name),
        load=lambda name: extractor(by_name[name]),
        identity={
            "videos": f"{len(paths)} videos, sha256 {fingerprint(paths)}",
            **extractor.identity(),
        },
    )


def _from_store(store: RoiStore) -> RoiSource:
    def load(name: str) -> Extraction:
        try:
            return store[name]
        except StoreError as error:  # one damaged entry is one failed row
            return Extraction(filename=name, message=str(error))

    return RoiSource(names=list(store.names), load=load, identity={"store": dict(store.identity)})
