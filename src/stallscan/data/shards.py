"""ROI stores of one data set side by side in a folder, read as one.

The folder holds ``shard-000000.lmdb`` and so on, which several machines wrote, and the run's
record, which says whether they are all.
"""

from __future__ import annotations

import json
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

from stallscan.data._store_header import key_of
from stallscan.data.store import RoiStore, Summary, shards_in
from stallscan.errors import StoreError
from stallscan.roi.extraction import Extraction

MAX_OPEN = 128
"""Shards that a process has open at a time: systems allow it some thousand files, or fewer."""


def shard_path(folder: Path, number: int) -> Path:
    """Where a shard lies."""
    return folder / f"shard-{number:06d}.lmdb"


class ShardedStore(Mapping[str, Extraction]):
    """As a `RoiStore`, of all shards in a folder; names are in the same order as there.

    Args:
        path: the folder.

    Attributes:
        path: the folder.
        identity: the options of the run that wrote it.
        n_expected: videos that it has.
        is_complete: always; others are refused.

    Raises:
        StoreError: shards are missing, damaged, or of different runs.
    """

    is_complete = True

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        record_path = self.path / "run.json"
        try:
            record = json.loads(record_path.read_text())
            n_shards, state = record.get("n_shards"), record.get("state")
        except (OSError, ValueError, AttributeError) as error:
            raise StoreError(
                f"{record_path}: cannot be read ({error}), and says whether the shards are all; "
                "copy the whole folder, or run the same `stallscan extract` again"
            ) from error
        paths = sorted(shards_in(self.path))
        if state != "complete" or len(paths) != n_shards:
            raise StoreError(
                f"{self.path}: is incomplete, {len(paths):,} of {n_shards} shards; run the same "
                "`stallscan extract` again, or copy the whole folder"
            )
        self._paths = paths
        self._opened: OrderedDict[int, RoiStore] = OrderedDict()
        self._guard = threading.Lock()
        self._where: dict[str, int] = {}
        self.identity: dict[str, Any] = {}
        for number, path in enumerate(paths):
            shard = self._shard(number)
            if number and shard.identity != self.identity:
                raise StoreError(
                    f"{path}: is of another run than {paths[0]}; make the folder again with "
                    "`stallscan extract`"
                )
            self.identity = shard.identity
            self._where.update(dict.fromkeys(shard.names, number))
        self.n_expected = len(self._where)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """File names in the order of their bytes."""
        return tuple(sorted(self._where, key=key_of))

    def __getitem__(self, name: str) -> Extraction:
        return self._shard_of(name)[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self._where)

    def summary(self, name: str) -> Summary:
        """As of a `RoiStore`."""
        return self._shard_of(name).summary(name)

    def summaries(self) -> Iterator[Summary]:
        """As of a `RoiStore`."""
        return map(self.summary, self.names)

    def __reduce__(self) -> tuple[Any, ...]:
        return ShardedStore, (self.path.absolute(),)

    def __repr__(self) -> str:
        return f"ShardedStore({str(self.path)!r})"

    def _shard_of(self, name: str) -> RoiStore:
        if name not in self._where:
            raise KeyError(f"{self.path}: has no video {name!r}; `names` lists those there are")
        return self._shard(self._where[name])

    def _shard(self, number: int) -> RoiStore:
        """Open, with others that were asked for of late."""
        with self._guard:
            shard = self._opened.pop(number, None)
            if shard is None:
                shard = RoiStore(self._paths[number])
            self._opened[number] = shard
            if len(self._opened) > MAX_OPEN:
                self._opened.popitem(last=False)
            return shard


Store: TypeAlias = RoiStore | ShardedStore


def open_store(path: Path) -> Store:
    """A store, or a folder of them.

    Raises:
        StoreError: it is missing, incomplete or damaged.
    """
    return ShardedStore(path) if any(shards_in(path)) else RoiStore(path)
