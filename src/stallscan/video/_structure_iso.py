"""Walk through an mp4 or mov: ISO/IEC 14496-12, fragments included."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from mmap import mmap

import numpy as np
from numpy.typing import NDArray

from stallscan.video._chain import BrokenChainError, ends_early

ISO_BOXES = frozenset(
    b"ftyp moov mdat free skip wide moof mfra uuid meta styp sidx ssix prft emsg udta pnot".split()
)
_IN_FRAGMENT = {
    b"moof": frozenset(b"mfhd traf meta uuid pssh free".split()),
    b"traf": frozenset(b"tfhd tfdt trun sbgp sgpd subs saiz saio senc sdtp meta uuid free".split()),
}


def walk_iso(data: mmap) -> int | None:
    """The number of samples of the first video track; None when an edit list hides some of them.

    Raises:
        BrokenChainError: the file ends in a box, a fragment is damaged, or the tables of the
            track do not agree with each other.
    """
    tops = list(_top_boxes(data))
    movies = [box for box in tops if box.name == b"moov"]
    if not movies:  # FFmpeg says so
        return None
    moov = movies[0]
    if len(movies) > 1:
        raise BrokenChainError(f"it holds {len(movies)} tables of frames", at=movies[1].start)
    try:
        tracks = {_track_id(track): track for track in moov.every(b"trak")}
        video = next((i for i, track in tracks.items() if _handler(track) == b"vide"), None)
        if video is None:
            return None
        n_samples = _count_samples(stbl := tracks[video].only(b"mdia", b"minf", b"stbl"))
        for moof in (box for box in tops if box.name == b"moof"):
            n_samples += _count_in_fragment(moof, set(tracks), video)
        is_whole = not _is_trimmed(moov, tracks[video], stbl)
    except (struct.error, ValueError) as error:
        # Nothing says where the frames lie, and FFmpeg might look for millions of them.
        raise BrokenChainError(f"its tables are damaged ({error})", at=0) from error
    if moov.every(b"mvex") and tops[-1].end < len(data):
        raise BrokenChainError(f"byte {tops[-1].end:,} begins no box", at=tops[-1].end)
    return n_samples if is_whole else None


@dataclass(frozen=True, slots=True)
class _Box:
    data: mmap
    name: bytes
    start: int
    body: int
    end: int

    def __iter__(self) -> Iterator[_Box]:
        at = self.body
        while at + 8 <= self.end:
            size, name = struct.unpack_from(">I4s", self.data, at)
            if size < 8 or at + size > self.end:
                raise ValueError(f"the box at byte {at:,} runs over the end of {self.name!r}")
            yield _Box(self.data, name, at, at + 8, at + size)
            at += size

    def every(self, name: bytes) -> list[_Box]:
        return [box for box in self if box.name == name]

    def only(self, *names: bytes) -> _Box:
        box = self
        for name in names:
            found = box.every(name)
            if len(found) != 1:
                raise ValueError(f"{box.name!r} holds {len(found)} boxes {name!r}, not 1")
            (box,) = found
        return box

    def u4(self, at: int) -> int:
        """The unsigned integer of four bytes ``at`` bytes into the body."""
        if self.body + at + 4 > self.end:
            raise ValueError(f"{self.name!r} is cut short")
        return int(struct.unpack_from(">I", self.data, self.body + at)[0])

    def table(self, at: int, n_columns: int) -> NDArray[np.int64]:
        """``(rows, columns)`` unsigned integers of four bytes, led by their number of rows."""
        n_rows = self.u4(at)
        if self.body + at + 4 + 4 * n_rows * n_columns > self.end:
            raise ValueError(f"{self.name!r} is too short for its {n_rows:,} rows")
        flat = np.frombuffer(self.data, ">u4", n_rows * n_columns, self.body + at + 4)
        return flat.reshape(n_rows, n_columns).astype(np.int64)

    def by_version(self, at: int, at_in_version_1: int) -> int:
        """`u4` at a place that depends on whether the times before it take four or eight bytes."""
        return self.u4(at_in_version_1 if self.u4(0) >> 24 else at)


def _top_boxes(data: mmap) -> Iterator[_Box]:
    """The boxes that hold all others; bytes behind them that are no box are of no matter."""
    at, n_bytes = 0, len(data)
    while at + 8 <= n_bytes:
        size, name = struct.unpack_from(">I4s", data, at)
        n_header = 8
        if size == 1 and at + 16 <= n_bytes:  # the size stands in 64 bits behind the name
            size, n_header = struct.unpack_from(">Q", data, at + 8)[0], 16
        elif size == 0:
            size = n_bytes - at
        if name not in ISO_BOXES or size < n_header:
            return
        if at + size > n_bytes:
            raise ends_early(n_bytes, at + size)
        yield _Box(data, name, at, at + n_header, at + size)
        at += size


def _track_id(track: _Box) -> int:
    return track.only(b"tkhd").by_version(12, 20)


def _handler(track: _Box) -> bytes:
    return track.only(b"mdia", b"hdlr").u4(8).to_bytes(4, "big")


def _count_samples(stbl: _Box) -> int:
    """How many samples the table of sizes lists, which those of times and chunks must confirm."""
    sizes = stbl.every(b"stsz") or [stbl.only(b"stz2")]
    n_sizes = sizes[0].u4(8)
    if sizes[0].u4(4) * n_sizes > len(stbl.data):  # one size for all
        raise ValueError(f"{n_sizes:,} frames are more than the file can hold")
    if sizes[0].name == b"stsz" and sizes[0].u4(4) == 0:
        sizes[0].table(8, 1)  # is as long as it says
    n_times = int(stbl.only(b"stts").table(4, 2)[:, 0].sum())
    offsets = stbl.every(b"stco") or [stbl.only(b"co64")]
    runs = stbl.only(b"stsc").table(4, 3)
    n_chunks = np.diff(runs[:, 0], append=offsets[0].u4(4) + 1)
    n_in_chunks = int((n_chunks * runs[:, 1]).sum())
    if not n_sizes == n_times == n_in_chunks:
        raise ValueError(
            f"{n_sizes:,} sizes, {n_times:,} times and {n_in_chunks:,} places of frames"
        )
    return n_sizes


def _is_trimmed(moov: _Box, track: _Box, stbl: _Box) -> bool:
    """Whether the edit list hides frames on purpose: those before its start.

    A changed byte in the list, or in a time of any table, may hide frames, too. So it must agree
    with all of them: frames in even steps, cut off at the front by more than the rounding, shown
    to the end, and all lengths the same.
    """
    elst = next((box for edts in track.every(b"edts") for box in edts.every(b"elst")), None)
    if elst is None:
        return False
    row = struct.Struct(">QqI" if elst.u4(0) >> 24 else ">IiI")  # length, start, speed
    if elst.body + 8 + elst.u4(4) * row.size > elst.end:
        raise ValueError("'elst' is too short for its rows")
    edits = [row.unpack_from(elst.data, elst.body + 8 + i * row.size) for i in range(elst.u4(4))]
    shown = [(length, start) for length, start, _ in edits if start >= 0]
    # Lengths are in ticks of the whole file and rounded to them, times in units of the track.
    per_second = moov.only(b"mvhd").by_version(12, 20)
    tick = track.only(b"mdia", b"mdhd").by_version(12, 20) / max(per_second, 1)
    times = _sample_times(stbl)
    length, start = shown[0] if len(shown) == 1 else (0, 0)
    end = start + length * tick if length else np.inf
    hidden = times[(times < start) | (times >= end)]
    if len(shown) == 1 and not hidden.size:
        return False
    steps = np.diff(np.sort(times))
    total = sum(length for length, *_ in edits)
    agrees = (
        len(shown) == 1
        and len(times) > 1
        and np.ptp(steps) == 0
        and abs(end - times.max() - steps[0]) <= tick
        and not ((hidden < start) & (hidden > start - tick)).any()
        # The low half is enough in version 1: no track has 2**32 ticks.
        and abs(track.only(b"tkhd").by_version(20, 32) - total) <= len(edits)
    )
    if not agrees:
        raise BrokenChainError(
            f"its edit list hides {hidden.size} of {len(times)} frames and does not agree with "
            "its other tables",
            at=len(stbl.data),
        )
    return True


def _sample_times(stbl: _Box) -> NDArray[np.int64]:
    """When each sample is shown, in the track's units."""
    counts, lengths = stbl.only(b"stts").table(4, 2).T
    steps = np.repeat(lengths, counts)
    times: NDArray[np.int64] = np.cumsum(steps) - steps
    if stbl.every(b"ctts"):
        counts, delays = stbl.only(b"ctts").table(4, 2).T
        if counts.sum() != len(times):
            raise ValueError(f"{len(times):,} frames and {counts.sum():,} delays of frames")
        times += np.repeat(delays.astype(np.int32), counts)  # signed, as FFmpeg takes them
    return times


def _count_in_fragment(moof: _Box, tracks: set[int], video: int) -> int:
    n_samples = 0
    for box in moof:
        if box.name not in _IN_FRAGMENT[b"moof"]:
            raise ValueError(f"{box.name!r} in a fragment")
    for traf in moof.every(b"traf"):
        for box in traf:
            if box.name not in _IN_FRAGMENT[b"traf"]:
                raise ValueError(f"{box.name!r} in a fragment")
        header = traf.only(b"tfhd")
        if header.u4(4) not in tracks:
            raise ValueError(f"a fragment of track {header.u4(4)}, which there is not")
        for run in traf.every(b"trun"):
            flags, n = run.u4(0), run.u4(4)
            n_columns = (flags & 0xF00).bit_count()  # of length, size, flags and delay
            n_extra = (flags & 0x5).bit_count()
            if run.body + 8 + 4 * (n_extra + n * n_columns) != run.end or n > len(run.data):
                raise ValueError(f"{n:,} frames in a fragment do not fit its size")
            n_samples += n if header.u4(4) == video else 0
    return n_samples
