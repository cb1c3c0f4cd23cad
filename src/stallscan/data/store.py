"""The ROI store: the ROIs of a whole data set in one file, read from anywhere, killed anytime.

An LMDB file with three databases: ``meta`` holds one record about the store, ``summaries`` and
``voxels`` an entry for each video, under its file name.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import lmdb

from stallscan.data._entry import Summary, decode, decode_entry, decode_summary, encode
from stallscan.data._environment import DATABASES, not_a_store, open_shared
from stallscan.data._store_header import HEADER_KEY, key_of, name_of, parse_header
from stallscan.data.store_writer import StoreWriter
from stallscan.errors import StoreError
from stallscan.roi.extraction import Extraction

__all__ = [
    "RoiStore",
    "StoreWriter",
    "Summary",
    "decode_entry",
    "encode",
    "is_store",
    "shards_in",
    "store_digest",
]

_LMDB_MAGIC = 0xBEEFC0DE


class RoiStore(Mapping[str, Extraction]):
    """ROIs by file name, read when they are asked for.

    May be used from threads, sent to other processes, and inherited by them. What is asked for is
    checked: a damaged entry raises StoreError and leaves the others readable.

    Args:
        path: the file.
        allow_incomplete: take a store that is still being written, or was left so. Its names are
            those at the time when they are first asked for.

    Attributes:
        path: the file.
        identity: the options of the run that wrote it.
        n_expected: videos that it has when it is complete.
        is_complete: whether it has them.

    Raises:
        StoreError: there is no store, it is incomplete, damaged, or of a newer format.
    """

    def __init__(self, path: str | os.PathLike[str], *, allow_incomplete: bool = False) -> None:
        self.path = Path(path)
        self._allow_incomplete = allow_incomplete
        self._reading = open_shared(self.path)
        with self._begin() as transaction:
            header = parse_header(self.path, transaction.get(HEADER_KEY, db=self._db("meta")))
            n_found = transaction.stat(self._db("summaries"))["entries"]
        self.identity: dict[str, Any] = header["identity"]
        self.n_expected: int = header["n_expected"]
        self.is_complete: bool = header["complete"]
        if not (self.is_complete or allow_incomplete):
            raise StoreError(
                f"{self.path}: is incomplete, {n_found:,} of {self.n_expected:,} videos; run the "
                "same `stallscan extract` again"
            )

    @cached_property
    def names(self) -> tuple[str, ...]:
        """File names in the order of their bytes."""
        with self._begin() as transaction:
            cursor = transaction.cursor(db=self._db("summaries"))
            return tuple(name_of(key) for key in cursor.iternext(values=False))

    def __getitem__(self, name: str) -> Extraction:
        with self._begin() as transaction, self._checking(name):
            summary = self._summary(transaction, name)
            record = transaction.get(key_of(name), db=self._db("voxels"))
            return decode(summary, record, source=f"{self.path}:{name}")

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def summary(self, name: str) -> Summary:
        """What is known about one video, without its voxels.

        Raises:
            KeyError: there is no such name.
            StoreError: the entry is damaged.
        """
        with self._begin() as transaction, self._checking(name):
            return self._summary(transaction, name)

    def summaries(self) -> Iterator[Summary]:
        """All summaries, in the order of the names.

        Raises:
            StoreError: an entry is damaged.
        """
        with self._begin() as transaction:
            for key, record in transaction.cursor(db=self._db("summaries")):
                name = name_of(key)
                with self._checking(name):
                    summary = decode_summary(name, record)
                yield summary

    def __reduce__(self) -> tuple[Any, ...]:
        make = partial(RoiStore, allow_incomplete=self._allow_incomplete)
        return make, (self.path.absolute(),)  # other nodes have other working folders

    def __repr__(self) -> str:
        return f"RoiStore({str(self.path)!r})"

    @contextmanager
    def _begin(self) -> Iterator[Any]:
        """A transaction; what it gives are views of the file that end with it."""
        if self._reading.pid != os.getpid():
            self._reading = open_shared(self.path)
        try:
            with self._reading.environment.begin(buffers=True) as transaction:
                yield transaction
        except lmdb.Error as error:
            raise not_a_store(self.path, error) from error

    def _db(self, name: str) -> Any:
        return self._reading.databases[name]

    def _summary(self, transaction: Any, name: str) -> Summary:
        key = key_of(name)
        # An empty key, or one that is too long, is an error of LMDB's rather than not there.
        fits = 0 < len(key) <= self._reading.environment.max_key_size()
        record = transaction.get(key, db=self._db("summaries")) if fits else None
        if record is None:
            raise KeyError(f"{self.path}: has no video {name!r}; `names` lists those there are")
        return decode_summary(name, record)

    @contextmanager
    def _checking(self, name: str) -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            raise StoreError(
                f"{self.path}: the entry of {name} is damaged ({error}); copy the store again, or "
                "remove it and run `stallscan extract` again"
            ) from error


def is_store(path: str | os.PathLike[str]) -> bool:
    """Whether a path looks like a store, complete or not: ends in .lmdb, or is an LMDB file, or a
    folder of shards.

    `stallscan.data.shards.open_store` says whether it is sound and ours.

    Raises:
        StoreError: the file may not be read.
    """
    path = Path(path)
    if path.suffix == ".lmdb" or any(shards_in(path)):
        return True
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            head = file.read(20)  # LMDB's page header, then its magic number in native order
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be read ({error.strerror or error}); check its permissions"
        ) from error
    return len(head) == 20 and struct.unpack_from("=I", head, 16)[0] == _LMDB_MAGIC


def shards_in(folder: Path) -> Iterator[Path]:
    """Stores that several machines wrote side by side; see `stallscan.data.shards`."""
    return folder.glob("shard-*.lmdb")


def store_digest(path: str | os.PathLike[str]) -> str:
    """SHA-256 of all databases, keys and values, in order: equal for stores of equal content.

    Raises:
        StoreError: there is no complete store.
    """
    store = RoiStore(path)
    digest = hashlib.sha256()
    with store._begin() as transaction:
        for database in DATABASES:
            digest.update(database.encode())
            for key, value in transaction.cursor(db=store._db(database)):
                digest.update(struct.pack("<QQ", len(key), len(value)))
                digest.update(key)
                digest.update(value)
    return digest.hexdigest()
