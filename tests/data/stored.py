"""Entries for stores, and processes that write or read one: `python stored.py VERB STORE N …`."""

from __future__ import annotations

import argparse
import resource
import sys
import time
from pathlib import Path

import numpy as np

from stallscan.data import store_writer
from stallscan.data.store import RoiStore, StoreWriter
from stallscan.errors import StallscanError, StoreError
from stallscan.roi.extraction import Extraction
from stallscan.roi.volume import Volume
from stallscan.types import Box


def make_entry(index: int, side: int = 24) -> Extraction:
    """The same Extraction for the same index; every fifth failed."""
    name = f"{100_000 + index * 7919 % 100_000}.mp4"  # not in the order of the names
    if index % 5 == 4:
        return Extraction(filename=name, message=f"{name}: 0 frames", outline="missing")
    rng = np.random.default_rng(index)
    shape = (int(rng.integers(3, 9)), side, side + index % 3, 3)
    volume = Volume(
        array=rng.integers(0, 256, shape, np.uint8),
        mask=rng.random(shape[1:3]) < 0.5,
        line=rng.random(shape[1:3]) < 0.1,
        box=Box(0, 5, 7, shape[0], 5 + shape[1], 7 + shape[2]),
        source="drawn",
    )
    return Extraction(
        filename=name, outline="ok", n_frames=shape[0], frame_size=(384, 512), volume=volume
    )


def check_same(found: Extraction, expected: Extraction) -> None:
    """Everything but the volume's source."""
    for field in ("filename", "outline", "flags", "message", "n_frames", "frame_size", "status"):
        assert getattr(found, field) == getattr(expected, field), field
    if expected.volume is None or found.volume is None:
        assert found.volume is expected.volume
        return
    for field in ("array", "mask", "line"):
        ours, theirs = getattr(found.volume, field), getattr(expected.volume, field)
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
    for field in ("box", "voxel_size_um", "rescaling", "resized"):
        assert getattr(found.volume, field) == getattr(expected.volume, field), field


def write(path: Path, n: int, *, each: bool) -> None:
    """Write what is missing; with ``each`` say after which entry it is, and take one's time."""
    with StoreWriter(path, identity={"seed": 1}, n_expected=n) as writer:
        for index in range(n):
            entry = make_entry(index)
            if entry.filename not in writer.names:
                writer.append(entry)
                if each:
                    sys.stdout.write(f"{index}\n")
                    sys.stdout.flush()
                    time.sleep(0.002)
        writer.complete()


def watch(path: Path, n: int) -> None:
    """Read a store again and again while it is written, until it is complete; say how it grows."""
    expected = {entry.filename: entry for entry in map(make_entry, range(n))}
    n_seen = [0]
    deadline = time.monotonic() + 60
    while n_seen[-1] < n and time.monotonic() < deadline:
        try:
            store = RoiStore(path, allow_incomplete=True)
        except StoreError:  # not begun
            assert n_seen == [0]
            continue
        for name in store:
            check_same(store[name], expected[name])
        if len(store) != n_seen[-1]:
            n_seen.append(len(store))
            sys.stdout.write(f"{len(store)}\n")
            sys.stdout.flush()
    assert n_seen == sorted(n_seen) and n_seen[-1] == n


def main() -> None:
    """What the tests start."""
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=("write", "watch"))
    parser.add_argument("store", type=Path)
    parser.add_argument("n", type=int)
    parser.add_argument("--commit-bytes", type=int)
    parser.add_argument("--commit-seconds", type=float)
    parser.add_argument("--map-bytes", type=int)
    parser.add_argument("--max-file-bytes", type=int)
    options = parser.parse_args()
    if options.commit_bytes is not None:
        store_writer.COMMIT_BYTES = options.commit_bytes
    if options.commit_seconds is not None:
        store_writer.COMMIT_SECONDS = options.commit_seconds
    if options.map_bytes is not None:
        store_writer._FIRST_MAP_BYTES = options.map_bytes
    if options.max_file_bytes is not None:
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (options.max_file_bytes, hard))
    try:
        if options.verb == "write":
            write(options.store, options.n, each=True)
        else:
            watch(options.store, options.n)
    except StallscanError as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
