"""LMDB files that are read: checked before they are mapped, opened once in a process."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import lmdb

from stallscan.errors import StoreError

DATABASES = ("meta", "summaries", "voxels")
"""Of these consists a store. Summaries lie apart, so that reading all of them touches no voxels."""

_DAMAGED = (
    lmdb.InvalidError,
    lmdb.VersionMismatchError,
    lmdb.CorruptedError,
    lmdb.PageNotFoundError,
)
_TIB = 2**40  # address space for a store that grows while it is read; costs nothing


class Reading:
    """An LMDB file that is open for reading in this process; get it from `open_shared`."""

    __slots__ = ("__weakref__", "databases", "environment", "pid")

    def __init__(self, path: Path) -> None:
        self.pid = os.getpid()
        # The lock file is there while the store is written. A complete store never changes, needs
        # no lock, and so can lie on media that cannot be written.
        is_locked = os.access(lock_path(path), os.W_OK)
        self.environment = lmdb.open(
            str(path),
            subdir=False,
            readonly=True,
            create=False,
            lock=is_locked,
            max_dbs=len(DATABASES),
            map_size=_TIB if is_locked else 0,
        )
        try:
            check_length(path, self.environment)
            self.databases: dict[str, Any] = {
                name: self.environment.open_db(name.encode(), create=False) for name in DATABASES
            }
        except BaseException:
            self.environment.close()
            raise


_shared: WeakValueDictionary[tuple[int, int], Reading] = WeakValueDictionary()
_guard = threading.Lock()
# Held over a fork, so that the child does not inherit it from a thread that it does not have.
if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(
        before=_guard.acquire, after_in_parent=_guard.release, after_in_child=_guard.release
    )


def open_shared(path: Path) -> Reading:
    """Open a store for reading, once for all that read it: LMDB allows no more in a process.

    Raises:
        StoreError: there is no store, or it is not sound.
    """
    try:
        found = path.stat()
        if path.is_dir():
            raise StoreError(f"{path}: is a folder, not a ROI store; name the .lmdb file")
        if found.st_size == 0:
            raise StoreError(
                f"{path}: is empty (0 bytes), as a kill at the very start leaves it; run the same "
                "`stallscan extract` again"
            )
        with _guard:
            reading = _shared.get((found.st_dev, found.st_ino))
            if reading is not None and reading.pid == os.getpid():
                return reading
            if reading is not None:  # inherited by fork: not for use in this process
                reading.environment.close()
            reading = _shared[found.st_dev, found.st_ino] = Reading(path)
            return reading
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be read ({error.strerror or error}); check the name, or make the "
            "store with `stallscan extract`"
        ) from error
    except lmdb.Error as error:
        raise not_a_store(path, error) from error


def not_a_store(path: Path, error: Exception) -> StoreError:
    """What to say when LMDB refuses a file."""
    if isinstance(error, lmdb.NotFoundError | lmdb.IncompatibleError):
        return StoreError(
            f"{path}: is an LMDB file, but not a ROI store (it lacks the databases "
            f"{', '.join(DATABASES)}); make a store with `stallscan extract`"
        )
    if isinstance(error, _DAMAGED):
        return StoreError(
            f"{path}: is not a ROI store, or a damaged one ({error}); copy it again, or make it "
            "with `stallscan extract`"
        )
    return StoreError(
        f"{path}: cannot be opened as a ROI store ({error}); check its permissions, and that this "
        "process does not both read and write it"
    )


def check_length(path: Path, environment: lmdb.Environment) -> None:
    """Refuse a file that breaks off: reading what is not there would end the process.

    Raises:
        StoreError: the file is shorter than its own index says.
    """
    n_bytes = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
    found = path.stat().st_size  # after the index, for a store may grow meanwhile
    if found < n_bytes:
        raise StoreError(
            f"{path}: breaks off, it has {found:,} bytes of {n_bytes:,}; copy it again, or remove "
            "it and run `stallscan extract` again"
        )


def lock_path(path: Path) -> Path:
    """LMDB's lock file, which is there while a store is written."""
    return path.with_name(path.name + "-lock")
