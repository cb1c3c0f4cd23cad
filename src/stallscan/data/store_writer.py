"""Writing a ROI store: in small transactions, so that a kill loses little and damages nothing."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

import lmdb
from filelock import FileLock, Timeout

from stallscan.data._entry import encode, seal_json, split
from stallscan.data._environment import DATABASES, check_length, lock_path, not_a_store
from stallscan.data._store_header import FORMAT, HEADER_KEY, key_of, name_of, parse_header
from stallscan.errors import OptionError, OutputConflictError, StoreError
from stallscan.roi.extraction import Extraction

COMMIT_BYTES = 16 * 2**20
COMMIT_SECONDS = 2.0
"""A kill loses what was appended since the last commit: at most this much, or this long ago."""

_FIRST_MAP_BYTES = 2**30


class StoreWriter:
    """Fills a store; what was appended before a kill is there at the next start.

    A context manager. While it is open, and after a kill, LMDB's lock file (``<path>-lock``) and
    an empty ``<path>.writer`` lie beside the store; when it is complete it is a single file.

    Args:
        path: the file; made if it is not there.
        identity: everything that decides the content, JSON-like; a store that was begun with
            another is refused.
        n_expected: videos that the store has when it is complete.

    Raises:
        OutputConflictError: the store belongs to another run, or another process is writing it.
        StoreError: the file is not a store, or damaged.
        OptionError: the file cannot be written.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, identity: Mapping[str, Any], n_expected: int
    ) -> None:
        self.path = Path(path)
        self._header: dict[str, Any] = {
            "format": FORMAT,
            "identity": json.loads(json.dumps(dict(identity), default=str)),
            "n_expected": n_expected,
            "complete": False,
        }
        self._pending: list[tuple[str, bytes, bytes]] = []  # database, key, record
        self._pending_bytes = 0
        self._committed_s = time.monotonic()
        self._lock = _lock_writer(self.path)
        try:
            self._environment = lmdb.open(
                str(self.path),
                subdir=False,
                map_size=_FIRST_MAP_BYTES,
                max_dbs=len(DATABASES),
            )
        except lmdb.Error as error:
            self._lock.release()
            raise not_a_store(self.path, error) from error
        try:
            self._names = self._open()
        except lmdb.Error as error:
            self._release()
            raise not_a_store(self.path, error) from error
        except BaseException:
            self._release()
            raise

    @property
    def names(self) -> Set[str]:
        """File names of what was appended so far, in earlier runs too."""
        return self._names

    def append(self, extraction: Extraction) -> None:
        """Add what became of one file, good or bad.

        Raises:
            OptionError: there is such a name already, or it is too long.
            OutputConflictError: the store is complete.
            StoreError: the file cannot be written.
        """
        self.append_encoded(extraction.filename, encode(extraction))

    def append_encoded(self, name: str, entry: bytes) -> None:
        """As `append`, of what a worker made with `encode`."""
        if self._header["complete"]:
            raise OutputConflictError(
                f"{self.path}: is complete, {name} cannot be added; make another store"
            )
        if name in self._names:
            raise OptionError(f"{self.path}: has {name} already; file names must be unique")
        key, longest = key_of(name), self._environment.max_key_size()
        if not 0 < len(key) <= longest:
            raise OptionError(
                f"{self.path}: the file name {name!r} is {len(key)} bytes long, allowed are 1 to "
                f"{longest}; rename the file"
            )
        summary, voxels = split(entry)
        self._pending.append(("summaries", key, summary))
        if voxels:
            self._pending.append(("voxels", key, voxels))
        self._names.add(name)
        self._pending_bytes += len(entry)
        due = time.monotonic() >= self._committed_s + COMMIT_SECONDS
        if due or self._pending_bytes >= COMMIT_BYTES:
            self._commit()

    def complete(self) -> None:
        """Mark the store complete.

        Raises:
            OptionError: it has not as many videos as were expected.
            StoreError: the file cannot be written.
        """
        if len(self._names) != self._header["n_expected"]:
            raise OptionError(
                f"{self.path}: has {len(self._names):,} videos, expected "
                f"{self._header['n_expected']:,}; append them all before it is completed"
            )
        if not self._header["complete"]:
            self._commit()
            self._pending.append(("meta", HEADER_KEY, seal_json(self._header | {"complete": True})))
            self._commit()
            self._header["complete"] = True

    def close(self) -> None:
        """Commit what was appended and give the file free."""
        try:
            self._commit()
        finally:
            self._release()

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _open(self) -> set[str]:
        """Make or check what is in the file; the names that are there."""
        check_length(self.path, self._environment)
        self._environment.reader_check()  # readers that were killed would keep pages from reuse
        if self._environment.stat()["entries"] == 0:  # new, or killed before its first commit
            with self._environment.begin(write=True) as transaction:
                self._databases = {
                    name: self._environment.open_db(name.encode(), txn=transaction)
                    for name in DATABASES
                }
                meta = self._databases["meta"]
                transaction.put(HEADER_KEY, seal_json(self._header), db=meta)
            return set()
        self._databases = {
            name: self._environment.open_db(name.encode(), create=False) for name in DATABASES
        }
        with self._environment.begin(buffers=True) as transaction:
            record = transaction.get(HEADER_KEY, db=self._databases["meta"])
            self._adopt(parse_header(self.path, record))
            cursor = transaction.cursor(db=self._databases["summaries"])
            return {name_of(key) for key in cursor.iternext(values=False)}

    def _adopt(self, found: dict[str, Any]) -> None:
        """Go on with a store that is there, if it is of the same run."""
        was, now = found["identity"], self._header["identity"]
        differences = [
            f"{key} was {was.get(key)!r}, now {now.get(key)!r}"
            for key in sorted({*was, *now})
            if was.get(key) != now.get(key)
        ]
        if found["n_expected"] != self._header["n_expected"]:
            n_was, n_now = found["n_expected"], self._header["n_expected"]
            differences.append(f"{n_was:,} videos were expected, now {n_now:,}")
        if differences:
            raise OutputConflictError(
                f"{self.path}: was begun with other options ({'; '.join(differences)}); repeat the "
                "first command, or choose another --out"
            )
        self._header = found

    def _commit(self) -> None:
        """Write what is pending in one synchronous transaction: all of it or nothing."""
        while self._pending:
            try:
                with self._environment.begin(write=True) as transaction:
                    for database, key, record in self._pending:
                        transaction.put(key, record, db=self._databases[database])
                self._pending.clear()
            except lmdb.MapFullError:
                self._environment.set_mapsize(2 * self._environment.info()["map_size"])
            except lmdb.Error as error:
                n_lost = sum(database == "summaries" for database, _, _ in self._pending)
                self._pending.clear()
                raise StoreError(
                    f"{self.path}: cannot be written ({error}); {len(self._names) - n_lost:,} "
                    f"videos are stored; free space, then run the same command again"
                ) from error
        self._pending_bytes = 0
        self._committed_s = time.monotonic()

    def _release(self) -> None:
        self._environment.close()
        if self._header["complete"]:
            # Nothing is written any more, so that nobody needs them: not even a process that
            # comes to hold the lock of a removed file.
            lock_path(self.path).unlink(missing_ok=True)
            _writer_path(self.path).unlink(missing_ok=True)
        self._lock.release()


def _lock_writer(path: Path) -> FileLock:
    """Keep other writers off: LMDB would let them wait for ever."""
    # The wait is for the workers of a killed process, which end a moment after it.
    lock = FileLock(_writer_path(path), timeout=2)
    try:
        _writer_path(path).touch()  # in an unwritable place FileLock would wait, as if it was held
        lock.acquire()
    except Timeout as error:
        raise OutputConflictError(
            f"{path}: another process is writing this store; wait for it or choose another --out"
        ) from error
    except OSError as error:
        raise OptionError(
            f"{path}: cannot be written ({error.strerror or error}); choose a writable --out"
        ) from error
    return lock


def _writer_path(path: Path) -> Path:
    return path.with_name(path.name + ".writer")
