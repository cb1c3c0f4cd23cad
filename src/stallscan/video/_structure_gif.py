"""Walk through a GIF: https://www.w3.org/Graphics/GIF/spec-gif89a.txt."""

from __future__ import annotations

import re
from mmap import mmap

from stallscan.video._chain import BrokenChainError

_EXTENSION, _IMAGE, _TRAILER = b"!", b",", b";"
_CONTROL = 0xF9
_HEADS = {
    _CONTROL: (rb"\x04.{4}\x00",),  # control: how long the next image is shown
    0xFF: (rb"\x0b(NETSCAPE2\.0|ANIMEXTS1\.0)\x03.{3}\x00", rb"\x0b(?!NETSCAPE|ANIMEXTS)[ -~]{8}"),
    0x01: (rb"\x0c",),  # plain text
    0xFE: (b"",),  # comment
}
"""What follows the labels of extensions: known lengths, so that none swallows an image."""


def walk_gif(data: mmap) -> int:
    """The number of images up to the trailer; what follows the trailer is of no matter.

    Raises:
        BrokenChainError: a block is none, the trailer is missing, or it stands before its time.
    """
    if len(data) < 13:
        raise BrokenChainError("the file ends in its header", at=len(data))
    n_images, end = _walk(data, 13 + _color_table_size(data[10]), first=None)
    # A trailer that was an extension or an image before a byte was changed is followed by blocks.
    for first in (_EXTENSION, _IMAGE):
        try:
            n_hidden, _ = _walk(data, end, first=first)
        except BrokenChainError:
            continue
        raise BrokenChainError(
            f"{n_hidden} more images stand behind the GIF trailer at byte {end:,}", at=end
        )
    return n_images


def with_control_block(data: bytes) -> bytes:
    """A sound GIF with a control block (of zeros: nothing special) before its first image.

    FFmpeg takes the first two images for one frame where neither has such a block.
    """
    at = 13 + _color_table_size(data[10])
    while data[at : at + 1] == _EXTENSION:
        if data[at + 1] == _CONTROL:
            return data
        at += 2
        while data[at]:
            at += 1 + data[at]
        at += 1
    return data[:at] + bytes([*_EXTENSION, _CONTROL, 4, 0, 0, 0, 0, 0]) + data[at:]


def _walk(data: mmap, at: int, *, first: bytes | None) -> tuple[int, int]:
    """Count images from ``at`` to the trailer; ``first`` is read instead of the byte there."""
    n_images = 0
    try:
        while (kind := first or data[at : at + 1]) != _TRAILER:
            first, start = None, at
            if kind == _EXTENSION:
                heads = _HEADS.get(data[at + 1], ())
                head = data[at + 2 : at + 20]
                if not any(re.match(pattern, head, re.DOTALL) for pattern in heads):
                    if len(head) < 18:
                        raise IndexError
                    raise BrokenChainError(f"byte {at:,} begins no GIF block", at=start)
                at += 2
            elif kind == _IMAGE:
                at += 11 + _color_table_size(data[at + 9])
                n_images += 1
            elif kind:
                raise BrokenChainError(f"byte {at:,} begins no GIF block", at=start)
            n_full = data[at]
            while data[at]:  # sub-blocks, each led by its length
                n_before, at = data[at], at + 1 + data[at]
                # Encoders cut the data of an image evenly; one that is out of step swallows others.
                if kind == _IMAGE and data[at] and (n_before < n_full or data[at] > n_full):
                    raise BrokenChainError(f"the image at byte {start:,} is damaged", at=start)
            at += 1
    except IndexError:
        raise BrokenChainError("the file ends without a GIF trailer", at=len(data)) from None
    return n_images, at


def _color_table_size(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0
