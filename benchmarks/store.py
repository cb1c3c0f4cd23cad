"""Ways to write the voxels of a ROI store: size, time to write, time to read at random.

Run as `python benchmarks/store.py [--clips N] [--rounds N]`. The ROIs are cut from phantom clips
that went through H.264. Every way writes all of them into one LMDB file; then the ways take turns
at reading them in random order: LMDB get, checksum, RGB back. Times are CPU time, for the page
cache is warm and the machine shared; the median over the rounds. With a cold cache the small ways
would gain.

The rule: of the ways that read at least 800 in a second on one core and are at most 10 % larger
than the smallest of them, the one that writes fastest. (A clip takes about 250 ms to decode.) The
last rows are RoiStore itself, with mask, line and record, and its peers: one .npy, one .npz (zlib)
a ROI.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import tempfile
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import pairwise
from pathlib import Path

import imagecodecs
import lmdb
import numpy as np
from numpy.typing import NDArray

from stallscan.data.store import RoiStore, StoreWriter
from stallscan.roi import Extraction, find_roi
from stallscan.simulate import phantom_clip
from stallscan.types import Label
from stallscan.video import read_clip, write_clip

Array = NDArray[np.uint8]
Reader = Callable[[int], Array]

BLOSC = partial(imagecodecs.blosc2_encode, numthreads=1)
unblosc = partial(imagecodecs.blosc2_decode, numthreads=1)
CODECS: dict[str, tuple[Callable[..., bytes], Callable[..., bytes]]] = {
    "none": (bytes, bytes),
    "zlib 1": (lambda a: zlib.compress(a, 1), zlib.decompress),
    "zlib 6": (lambda a: zlib.compress(a, 6), zlib.decompress),
    "lz4": (
        partial(imagecodecs.lz4_encode, header=True),
        partial(imagecodecs.lz4_decode, header=True),
    ),
    **{
        f"zstd {level}": (
            partial(imagecodecs.zstd_encode, level=level),
            imagecodecs.zstd_decode,
        )
        for level in (1, 3, 6, 9, 12)
    },
    "blosc2 lz4 bitshuffle": (
        partial(BLOSC, level=5, compressor="lz4", shuffle="bitshuffle", typesize=1),
        unblosc,
    ),
    "blosc2 zstd bitshuffle": (
        partial(BLOSC, level=5, compressor="zstd", shuffle="bitshuffle", typesize=1),
        unblosc,
    ),
    "blosc2 zstd shuffle by 3": (
        partial(BLOSC, level=5, compressor="zstd", shuffle="shuffle", typesize=3),
        unblosc,
    ),
}


def to_planes(array: Array) -> Array:
    """``(3, z, y, x)``: G, R−G, B−G modulo 256."""
    red, green, blue = np.moveaxis(array, 3, 0)
    return np.stack([green, red - green, blue - green])


def from_planes(planes: Array) -> Array:
    """Back to ``(z, y, x, 3)``."""
    green, red, blue = planes
    return np.stack([red + green, green, blue + green], axis=3)


def change(planes: Array, axis: int) -> Array:
    """Each element minus the one before it along the axis."""
    moved = np.moveaxis(planes.copy(), axis, 0)
    moved[1:] -= moved[:-1]
    return np.moveaxis(moved, 0, axis)


def sum_up(planes: Array, axis: int) -> Array:
    """Back from `change`."""
    moved = np.moveaxis(planes.copy(), axis, 0)
    for before, after in pairwise(moved):
        np.add(before, after, out=after)
    return np.moveaxis(moved, 0, axis)


FILTERS: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "RGB": (lambda array: array, lambda array: array),
    "G, R-G, B-G": (to_planes, from_planes),
    **{
        f"G, R-G, B-G, change along {name}": (
            lambda array, axis=axis: change(to_planes(array), axis),
            lambda planes, axis=axis: from_planes(sum_up(planes, axis)),
        )
        for axis, name in ((1, "z"), (2, "y"), (3, "x"))
    },
}


def make_roi(seed: int, cache: Path) -> Extraction:
    """The ROI of one phantom clip, after H.264."""
    path = cache / f"{seed:04}.mp4"
    if not path.exists():
        clip, _ = phantom_clip((7, seed), Label(int(seed % 3 == 0)))
        write_clip(path, clip, preset="veryfast")
    clip = read_clip(path)
    volume = find_roi(clip).crop(clip)
    size = clip.shape[1:]
    return Extraction(filename=path.name, n_frames=clip.n_frames, frame_size=size, volume=volume)


def write_image(array: Array) -> bytes:
    """The green plane as one tall JPEG-LS image, the colour differences by Zstandard."""
    planes = to_planes(array)
    green = imagecodecs.jpegls_encode(planes[0].reshape(-1, array.shape[2]))
    rest = imagecodecs.zstd_encode(np.ascontiguousarray(change(planes[1:], 1)), 9)
    return len(green).to_bytes(4, "little") + green + rest


def read_image(packed: bytes, shape: tuple[int, ...]) -> Array:
    """Back from `write_image`."""
    end = 4 + int.from_bytes(packed[:4], "little")
    rest = np.frombuffer(imagecodecs.zstd_decode(packed[end:]), np.uint8)
    planes = np.empty((3, *shape[:3]), np.uint8)
    planes[0] = imagecodecs.jpegls_decode(packed[4:end]).reshape(shape[:3])
    planes[1:] = sum_up(rest.reshape(2, *shape[:3]), 1)
    return from_planes(planes)


def write_way(
    database: lmdb.Environment, way: str, arrays: list[Array], encode: Callable[[Array], bytes]
) -> tuple[int, float]:
    """Bytes of all ROIs and mean seconds to write one."""
    n_bytes, seconds = 0, []
    for index, array in enumerate(arrays):
        began = time.process_time()
        packed = encode(array)
        record = zlib.crc32(packed).to_bytes(4, "little") + packed
        seconds.append(time.process_time() - began)
        n_bytes += len(record)
        with database.begin(write=True) as transaction:
            transaction.put(f"{way} {index}".encode(), record)
    return n_bytes, statistics.fmean(seconds)


def read_way(
    database: lmdb.Environment, way: str, decode: Callable[[bytes, int], Array], index: int
) -> Array:
    """One ROI, checked."""
    with database.begin(buffers=True) as transaction:
        record = transaction.get(f"{way} {index}".encode())
        assert zlib.crc32(record[4:]) == int.from_bytes(record[:4], "little")
        return decode(record[4:], index)


def measure(
    rois: list[Extraction], folder: Path, n_rounds: int
) -> dict[str, tuple[float, float, float]]:
    """Bytes, seconds to write and seconds to read a ROI, by way."""
    arrays = [roi.volume.array for roi in rois if roi.volume]
    shapes = [array.shape for array in arrays]
    database = lmdb.open(str(folder / "ways.lmdb"), subdir=False, map_size=2**36, sync=False)
    written: dict[str, tuple[int, float]] = {}
    readers: dict[str, Reader] = {}

    def add(way: str, encode: Callable[[Array], bytes], decode: Callable[..., Array]) -> None:
        written[way] = write_way(database, way, arrays, encode)
        readers[way] = partial(read_way, database, way, decode)

    for filter_name, (forth, back) in FILTERS.items():
        for codec, (pack, unpack) in CODECS.items():

            def encode(array: Array, forth=forth, pack=pack) -> bytes:  # type: ignore[no-untyped-def]
                return pack(np.ascontiguousarray(forth(array)))

            def decode(
                packed: bytes, index: int, back=back, unpack=unpack, rgb=filter_name == "RGB"
            ):  # type: ignore[no-untyped-def]
                z, y, x, c = shapes[index]
                shape = (z, y, x, c) if rgb else (c, z, y, x)
                return back(np.frombuffer(unpack(packed), np.uint8).reshape(shape))

            add(f"{filter_name}; {codec}", encode, decode)
    add("G, R-G, B-G; JPEG-LS", write_image, lambda packed, i: read_image(bytes(packed), shapes[i]))

    for suffix, save in ((".npy", np.save), (".npz", np.savez_compressed)):
        began = time.process_time()
        paths = [folder / f"{index}{suffix}" for index in range(len(arrays))]
        for path, array in zip(paths, arrays, strict=True):
            save(path, array)
        seconds = (time.process_time() - began) / len(arrays)
        written[f"one {suffix} each"] = (sum(path.stat().st_size for path in paths), seconds)
    readers["one .npy each"] = lambda i: np.load(folder / f"{i}.npy")
    readers["one .npz each"] = lambda i: np.load(folder / f"{i}.npz")["arr_0"]

    path = folder / "rois.lmdb"
    began = time.process_time()
    with StoreWriter(path, identity={}, n_expected=len(rois)) as writer:
        for roi in rois:
            writer.append(roi)
        writer.complete()
    written["RoiStore"] = (path.stat().st_size, (time.process_time() - began) / len(rois))
    store = RoiStore(path)
    readers["RoiStore"] = lambda i: store[rois[i].filename].volume.array  # type: ignore[union-attr]

    seconds_by_way: dict[str, list[float]] = {way: [] for way in readers}
    rng = np.random.default_rng(0)
    for way, read in readers.items():  # warm-up, and: is it lossless?
        assert all(np.array_equal(read(i), array) for i, array in enumerate(arrays)), way
    for _ in range(n_rounds):
        order = rng.permutation(len(arrays))
        for way, read in readers.items():
            began = time.process_time()
            for index in order:
                read(int(index))
            seconds_by_way[way].append((time.process_time() - began) / len(arrays))
    return {
        way: (n_bytes / len(arrays), seconds, statistics.median(seconds_by_way[way]))
        for way, (n_bytes, seconds) in written.items()
    }


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=120)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--cache", type=Path, default=Path(tempfile.gettempdir()) / "stallscan-phantom-clips"
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results/store-cpu.csv")
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor() as pool:
        rois = list(pool.map(partial(make_roi, cache=options.cache), range(options.clips)))
    raw = statistics.fmean(roi.volume.array.size for roi in rois if roi.volume)
    with tempfile.TemporaryDirectory() as folder:
        results = measure(rois, Path(folder), options.rounds)
    npy_s = results["one .npy each"][2]
    print(f"{len(rois)} ROIs of {raw / 1e3:.0f} kB, {options.rounds} rounds, median, CPU time")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with options.out.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            ("way", "kB", "raw_to_size", "write_ms", "read_ms", "reads_per_s", "time_to_npy")
        )
        for way, (n_bytes, write_s, read_s) in results.items():
            row = (
                f"{n_bytes / 1e3:.1f}",
                f"{raw / n_bytes:.2f}",
                f"{1e3 * write_s:.2f}",
                f"{1e3 * read_s:.3f}",
                f"{1 / read_s:.0f}",
                f"{read_s / npy_s:.2f}",
            )
            writer.writerow((way, *row))
            print(f"{way:<58}", *(f"{value:>8}" for value in row))


if __name__ == "__main__":
    main()
