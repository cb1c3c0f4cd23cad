"""Walk through an AVI (RIFF, OpenDML included)."""

from __future__ import annotations

import re
import struct
from mmap import mmap

from stallscan.video._chain import BrokenChainError, ends_early

_UNKNOWN_SIZES = (0, 0xFFFFFFFF)  # of a recording that could not go back to its header
_IN_MOVI = re.compile(rb"(\d\d)(?:(d[bc])|wb|pc|tx)|ix\d\d|JUNK|idx1")


def walk_riff(data: mmap) -> int:
    """The number of coded frames of the first video stream.

    Raises:
        BrokenChainError: a chunk of the frames' list is none, or the file ends in a chunk.
    """
    n_bytes = len(data)
    at, movi_end = 0, 0  # movi_end: of the frames' list that `at` is in
    n_streams, video, n_frames = 0, b"", 0
    while at + 8 <= n_bytes:
        name, size = struct.unpack_from("<4sI", data, at)
        if name in (b"RIFF", b"LIST"):
            kind = data[at + 8 : at + 12]
            end = n_bytes if size in _UNKNOWN_SIZES else at + 8 + size
            if name == b"RIFF" and kind not in (b"AVI ", b"AVIX"):
                break  # bytes behind the video are of no matter
            if name == b"RIFF" and end > n_bytes:
                raise ends_early(n_bytes, end)
            if kind == b"movi":
                movi_end = end
            at += 12
            continue
        chunk = _IN_MOVI.fullmatch(name)
        if at < movi_end:
            if chunk is None or (chunk[1] and int(chunk[1]) >= n_streams):
                raise BrokenChainError(f"byte {at:,} begins no chunk of an AVI", at=at)
            # An empty chunk means that the frame before it is shown once more.
            n_frames += chunk[1] == video and chunk[2] is not None and size > 0
        elif name == b"strh":
            if data[at + 8 : at + 12] == b"vids":
                video = video or b"%02d" % n_streams
            n_streams += 1
        elif not name.isalnum():
            break  # bytes behind the video are of no matter
        after = at + 8 + size + size % 2
        if at < movi_end < after - size % 2 or after - 1 > n_bytes:
            raise BrokenChainError(f"the chunk at byte {at:,} runs over the end", at=at)
        at = after
    return n_frames
