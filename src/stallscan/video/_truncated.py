"""Does a container end before its own headers say?

Decoders stop without a word when a file was cut between two frames, so the structure of the file
is asked instead; the announced count of frames is no evidence, because it lies in sound files too.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO

_ISO_BOXES = frozenset(
    b"ftyp moov mdat free skip wide moof mfra uuid meta styp sidx udta pnot".split()
)
_UNKNOWN_RIFF_SIZE = 0xFFFFFFFF
_EBML_ID = b"\x1a\x45\xdf\xa3"
_MATROSKA_SEGMENT_ID = b"\x18\x53\x80\x67"


def missing_end(path: Path) -> str | None:
    """What is missing at the end of an mp4/mov, avi, mkv or gif file, None when it is whole."""
    with path.open("rb") as file:
        n_bytes = file.seek(0, os.SEEK_END)
        file.seek(0)
        head = file.read(8)
        file.seek(0)
        if head.startswith(b"GIF8"):
            whole = _gif_has_trailer(file.read())
            return None if whole else "the file ends without a GIF trailer"
        if head.startswith(b"RIFF"):
            size = int.from_bytes(head[4:8], "little")
            n_announced = 0 if size == _UNKNOWN_RIFF_SIZE else 8 + size
        elif head.startswith(_EBML_ID):
            n_announced = _matroska_end(file)
        else:
            n_announced = _iso_end(file, n_bytes)
    if n_announced <= n_bytes:
        return None
    return f"the file ends early ({n_bytes:,} bytes, its headers announce {n_announced:,})"


def _gif_has_trailer(data: bytes) -> bool:
    """Walk the blocks of a GIF to its trailer; what follows it is of no matter."""

    def color_table_size(flags: int) -> int:
        return 3 << (flags & 7) + 1 if flags & 0x80 else 0

    try:
        at = 13 + color_table_size(data[10])
        while data[at : at + 1] != b";":
            at += 2 if data[at] == ord("!") else 11 + color_table_size(data[at + 9])
            while data[at]:  # sub-blocks, each led by its length
                at += 1 + data[at]
            at += 1
    except IndexError:
        return False
    return True


def _iso_end(file: BinaryIO, n_bytes: int) -> int:
    """Where the last top-level box of an mp4 or mov ends; 0 when the file is no such container."""
    end = 0
    while end < n_bytes:
        file.seek(end)
        header = file.read(16)
        if len(header) < 8 or header[4:8] not in _ISO_BOXES:
            break
        size: int = struct.unpack(">I", header[:4])[0]
        if size == 1 and len(header) == 16:  # the size stands in 64 bits behind the type
            size = struct.unpack(">Q", header[8:])[0]
        if size < 8:  # 0 means "to the end of the file"
            break
        end += size
    return end


def _matroska_end(file: BinaryIO) -> int:
    """Where the segment of a Matroska file ends; 0 when it does not say."""
    file.seek(len(_EBML_ID))
    file.seek(_variable_int(file), os.SEEK_CUR)
    if file.read(4) != _MATROSKA_SEGMENT_ID:
        return 0
    return _variable_int(file) + file.tell()


def _variable_int(file: BinaryIO) -> int:
    """An EBML size: leading zero bits give its length; all ones mean unknown, returned as 0."""
    first = file.read(1)
    if first in (b"", b"\0"):
        return 0
    n_more = 8 - first[0].bit_length()
    bits = 7 * (n_more + 1)
    value = int.from_bytes(first + file.read(n_more), "big") & ((1 << bits) - 1)
    return 0 if value == (1 << bits) - 1 else value
