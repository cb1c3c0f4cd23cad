"""What a container's own bytes say about its frames, apart from any count that it announces.

FFmpeg reads on over damage: it skips a block it cannot place, stops at a cut and believes a table
of which a part is gone, and says nothing. An announced count is no evidence against it, because
that lies in sound files too; so the chain of boxes is walked from the first to the last.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from pathlib import Path

from stallscan.errors import VideoError
from stallscan.video._chain import BrokenChainError
from stallscan.video._structure_gif import walk_gif
from stallscan.video._structure_iso import ISO_BOXES, walk_iso
from stallscan.video._structure_matroska import EBML_ID, walk_matroska
from stallscan.video._structure_riff import walk_riff


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """What the walk through a container found.

    Attributes:
        format: FFmpeg's name of the demuxer for it.
        n_coded: coded frames of the first video stream; None when the walk did not get that far.
        defect: what is wrong with the chain of boxes; empty when it is whole.
        sound_until: the byte up to which the chain is whole; 0: nothing can be made of it.
    """

    format: str
    n_coded: int | None
    defect: str
    sound_until: int


_WALKS = {
    "avi": walk_riff,
    "gif": walk_gif,
    "matroska": walk_matroska,
    "mov": walk_iso,
}


def examine(path: Path) -> Structure:
    """Walk a file whose content is avi, gif, mkv, mov or mp4, whatever its suffix.

    Raises:
        VideoError: it begins like none of these.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        name = _format_name(data[:12])
        if name is None:
            raise VideoError(
                f"{path}: cannot be opened as a video (it begins with {data[:8]!r}); allowed is "
                "the content of avi, gif, mkv, mov, mp4 or webm: copy or export it again from "
                "its source"
            )
        n_bytes = len(data)
        try:
            n_coded: int | None = _WALKS[name](data)
        except BrokenChainError as broken:
            return Structure(format=name, n_coded=None, defect=str(broken), sound_until=broken.at)
    return Structure(format=name, n_coded=n_coded, defect="", sound_until=n_bytes)


def _format_name(head: bytes) -> str | None:
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if head.startswith(b"RIFF") and head[8:] == b"AVI ":
        return "avi"
    if head.startswith(EBML_ID):
        return "matroska"
    return "mov" if head[4:8] in ISO_BOXES else None
