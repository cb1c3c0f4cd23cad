"""Walk through a Matroska or WebM file: RFC 8794 (EBML), RFC 9559 (Matroska)."""

from __future__ import annotations

from mmap import mmap

from stallscan.video._chain import BrokenChainError, ends_early

EBML_ID = b"\x1a\x45\xdf\xa3"
_SEGMENT, _TRACKS, _TRACK = b"\x18\x53\x80\x67", b"\x16\x54\xae\x6b", b"\xae"
_CLUSTER, _BLOCK_GROUP = b"\x1f\x43\xb6\x75", b"\xa0"
_TRACK_NUMBER, _TRACK_TYPE, _BLOCK, _SIMPLE_BLOCK = b"\xd7", b"\x83", b"\xa1", b"\xa3"
_VIDEO = 1
_CLUSTER_NUMBERS = (b"\xe7", b"\xa7", b"\xab")  # Timestamp, Position, PrevSize
_ANYWHERE = frozenset({b"\xec", b"\xbf"})  # void, CRC-32
_CHILDREN = {
    # SeekHead, Info, Cues, Chapters, Tags, Attachments
    _SEGMENT: frozenset(
        {_TRACKS, _CLUSTER, b"\x11\x4d\x9b\x74", b"\x15\x49\xa9\x66", b"\x1c\x53\xbb\x6b"}
        | {b"\x10\x43\xa7\x70", b"\x12\x54\xc3\x67", b"\x19\x41\xa4\x69"}
    ),
    _TRACKS: frozenset({_TRACK}),
    _CLUSTER: frozenset({_SIMPLE_BLOCK, _BLOCK_GROUP, *_CLUSTER_NUMBERS}),
    # BlockDuration, ReferenceBlock, -Priority, -Virtual, DiscardPadding, CodecState, Additions, ...
    _BLOCK_GROUP: frozenset(
        {_BLOCK, b"\x9b", b"\xfb", b"\xfa", b"\xfd", b"\x75\xa2", b"\xa4", b"\x75\xa1", b"\x8e"}
        | {b"\xc8", b"\xa2"}
    ),
}


def walk_matroska(data: mmap) -> int:
    """The number of coded frames of the first video track.

    Raises:
        BrokenChainError: an element is none that may stand where it stands, a block belongs to no
            track, or the file ends in an element.
    """
    return _Walk(data).n_frames


class _Walk:
    def __init__(self, data: mmap) -> None:
        self.data = data
        self.tracks: list[tuple[int, int]] = []  # number and type
        self.n_blocks: dict[int, int] = {}
        header_size, at = self._size(len(EBML_ID), at_element=0)
        at += header_size or 0
        if data[at : at + 4] != _SEGMENT:
            raise BrokenChainError(f"byte {at:,} begins no Matroska segment", at=at)
        size, body = self._size(at + 4, at_element=at)
        end = len(data) if size is None else body + size
        if end > len(data):
            raise ends_early(len(data), end)
        self._children(_SEGMENT, body, end)
        video = next((number for number, kind in self.tracks if kind == _VIDEO), None)
        self.n_frames = 0 if video is None else self.n_blocks.get(video, 0)

    def _children(self, parent: bytes, at: int, end: int) -> int:
        """Walk to ``end``, or where the size is unknown to the first child that is none."""
        while at < end:
            name, start = self._id(at), at
            if name not in _CHILDREN[parent] and name not in _ANYWHERE:
                if parent == _CLUSTER and name in _CHILDREN[_SEGMENT]:
                    return at  # the end of a cluster of unknown size
                raise BrokenChainError(f"byte {at:,} begins no element of Matroska", at=at)
            size, body = self._size(at + len(name), at_element=at)
            after = end if size is None else body + size
            if name in _CLUSTER_NUMBERS and after > body + 8:  # was a block before it was changed
                raise BrokenChainError(f"byte {at:,} begins no element of Matroska", at=at)
            if after > end:
                raise BrokenChainError(f"the element at byte {start:,} runs over the end", at=start)
            if name == _TRACK:
                self._track(body, after)
            elif name in (_BLOCK, _SIMPLE_BLOCK):
                self._block(body, start)
            elif name in _CHILDREN:
                at = self._children(name, body, after)
                if size is not None and at != after:
                    raise BrokenChainError(f"the element at byte {start:,} is cut", at=start)
            at = after if size is not None or name not in _CHILDREN else at
        return at

    def _track(self, at: int, end: int) -> None:
        number = kind = 0
        while at < end:
            name, start = self._id(at), at
            size, body = self._size(at + len(name), at_element=at)
            at = body + (size or 0)
            if at > end:
                raise BrokenChainError(f"the element at byte {start:,} runs over the end", at=start)
            if name == _TRACK_NUMBER:
                number = int.from_bytes(self.data[body:at], "big")
            elif name == _TRACK_TYPE:
                kind = int.from_bytes(self.data[body:at], "big")
        self.tracks.append((number, kind))

    def _block(self, at: int, at_element: int) -> None:
        number, _ = self._size(at, at_element=at_element)  # written as sizes are
        if number is None or number not in dict(self.tracks):
            raise BrokenChainError(
                f"the block at byte {at_element:,} is of no track", at=at_element
            )
        self.n_blocks[number] = self.n_blocks.get(number, 0) + 1

    def _id(self, at: int) -> bytes:
        """The ID of an element: its leading zero bits give its length."""
        return self.data[at : at + 9 - self.data[at].bit_length()]

    def _size(self, at: int, *, at_element: int) -> tuple[int | None, int]:
        """A size, and where it ends; all ones mean unknown, returned as None."""
        n_bytes = 9 - self.data[at].bit_length() if at < len(self.data) else 9
        if n_bytes > 8:
            raise BrokenChainError(f"byte {at:,} begins no size", at=at_element)
        mask = (1 << 7 * n_bytes) - 1
        value = int.from_bytes(self.data[at : at + n_bytes], "big") & mask
        return None if value == mask else value, at + n_bytes
