"""Reading: any stack on disk or in a bucket → frames, a Clip, or a Stack."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from os import PathLike
from pathlib import Path, PurePath

import av
import numpy as np

from stallscan.errors import DamagedVideoError, VideoError
from stallscan.types import Location, UInt8Array
from stallscan.video._container import decode, to_rgb
from stallscan.video._damage import broken_off
from stallscan.video._folder import FRAME_SUFFIXES, read_folder
from stallscan.video._limits import DEFAULT_MAX_GIB, check_max_gib
from stallscan.video._npy import read_npy
from stallscan.video._pixels import clip_of
from stallscan.video._tiff import read_tiff
from stallscan.video.clip import Clip, Stack
from stallscan.video.planar import PLANAR_FORMATS, PlanarClip
from stallscan.video.remote import on_disk, parse_location

_WHOLE_READERS: dict[str, Callable[[Path, float], Clip]] = {
    ".npy": read_npy,
    ".tif": read_tiff,
    ".tiff": read_tiff,
}
"""Formats that are read as a whole; a folder of frames is another. All others are containers."""

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".gif", *_WHOLE_READERS)
"""Suffixes (lower case) of the files that can be read; a folder of PNG or JPG frames can be, too.
Which of the containers it is, a file's content decides."""


def is_frame_folder(path: str | PathLike[str]) -> bool:
    """Whether a folder directly holds PNG or JPG files and no file with one of VIDEO_SUFFIXES."""
    path = Path(path)
    if not path.is_dir():
        return False
    suffixes = {file.suffix.lower() for file in path.iterdir() if not file.name.startswith(".")}
    return bool(suffixes & set(FRAME_SUFFIXES)) and not suffixes & set(VIDEO_SUFFIXES)


def iter_frames(
    path: str | PathLike[str], *, n_threads: int = 1, max_gib: float = DEFAULT_MAX_GIB
) -> Iterator[UInt8Array]:
    """Decode a stack frame by frame, to the end of its stream.

    Frames before a damaged place are yielded before the error is raised. TIFF, npy and folders
    are read as a whole first. Videos of more than 8 bits keep their highest 8; `read_clip`
    stretches them.

    Args:
        path: a file with one of ``VIDEO_SUFFIXES``, or a folder of PNG or JPG frames; a file also
            by its URL, ``s3://bucket/key``.
        n_threads: decoder threads; 0 lets the decoder choose. One is best when many files are
            read at once.
        max_gib: the most that the stack may take as RGB.

    Yields:
        ``(y, x, 3)`` uint8 RGB frames, 0–255, all of one size.

    Raises:
        DamagedVideoError: the stack breaks off after its first frames.
        VideoError: the file is missing, empty, too large, of another kind, damaged from its start
            on, holds no video or no frame, or its frames change size; or cannot be fetched.
    """
    place = _location(path)
    if not isinstance(place, Path):
        return _iter_remote(place, n_threads=n_threads, max_gib=max_gib)
    path = _readable(place, max_gib)
    reader = _whole_reader(path)
    if reader is None:
        return (to_rgb(frame) for frame in decode(path, n_threads=n_threads, max_gib=max_gib))
    return _frames_then_error(path, reader(path, max_gib))


def read_clip(
    path: str | PathLike[str],
    *,
    n_threads: int = 1,
    partial: bool = False,
    max_gib: float = DEFAULT_MAX_GIB,
) -> Clip:
    """Read a whole stack into memory.

    Args:
        path: as for `iter_frames`.
        n_threads: as for `iter_frames`.
        partial: accept a stack that breaks off; ``damage`` of the clip says where and why.
        max_gib: the most that the stack may take as RGB.

    Returns:
        A Clip of ``(z, y, x, 3)`` uint8 RGB frames; 16 bits (TIFF, npy, PNG) are rescaled by the
        minimum and maximum of the stack, which ``rescaling`` records.

    Raises:
        VideoError: as for `iter_frames`.
    """
    place = _location(path)
    with on_disk(place) as path:
        clip = _read_clip(_readable(path, max_gib), n_threads, partial, max_gib)
    return clip if isinstance(place, Path) else dataclasses.replace(clip, source=place)


def _read_clip(path: Path, n_threads: int, partial: bool, max_gib: float) -> Clip:
    reader = _whole_reader(path)
    if reader is not None:
        return _accepted(path, reader(path, max_gib), partial=partial)
    return _as_rgb(*_decode_all(path, n_threads=n_threads, partial=partial, max_gib=max_gib), path)


def read_stack(
    path: str | PathLike[str],
    *,
    n_threads: int = 1,
    partial: bool = False,
    max_gib: float = DEFAULT_MAX_GIB,
) -> Stack:
    """Read a whole stack, RGB not made before it is asked for where that can be helped.

    Args:
        path: as for `iter_frames`.
        n_threads: as for `iter_frames`.
        partial: as for `read_clip`.
        max_gib: as for `read_clip`.

    Raises:
        VideoError: as for `iter_frames`.
    """
    place = _location(path)
    with on_disk(place) as path:
        stack = _read_stack(_readable(path, max_gib), n_threads, partial, max_gib)
    if isinstance(place, Path):
        return stack
    return dataclasses.replace(stack, source=place)


def _read_stack(path: Path, n_threads: int, partial: bool, max_gib: float) -> Clip | PlanarClip:
    reader = _whole_reader(path)
    if reader is not None:
        return _accepted(path, reader(path, max_gib), partial=partial)
    frames, damage = _decode_all(path, n_threads=n_threads, partial=partial, max_gib=max_gib)
    first = frames[0]
    # One format and one matrix throughout; odd sides would need chroma that two frames share.
    kinds = {(frame.format.name, frame.colorspace, frame.color_range) for frame in frames}
    is_even = first.height % 2 == 0 and first.width % 2 == 0
    if len(kinds) == 1 and first.format.name in PLANAR_FORMATS and is_even:
        return PlanarClip(frames=frames, source=str(path), damage=damage)
    return _as_rgb(frames, damage, path)


def _location(path: str | PathLike[str]) -> Location:
    """Refuses what cannot be a stack before it is fetched."""
    place = parse_location(path) if isinstance(path, str) else Path(path)
    if not isinstance(place, Path):
        _check_suffix(place)
    return place


def _iter_remote(url: str, *, n_threads: int, max_gib: float) -> Iterator[UInt8Array]:
    with on_disk(url) as path:
        yield from iter_frames(path, n_threads=n_threads, max_gib=max_gib)


def _whole_reader(path: Path) -> Callable[[Path, float], Clip] | None:
    return read_folder if path.is_dir() else _WHOLE_READERS.get(path.suffix.lower())


def _accepted(path: Path, clip: Clip, *, partial: bool) -> Clip:
    if clip.damage and not partial:
        raise broken_off(path, clip.n_frames, clip.damage)
    return clip


def _frames_then_error(path: Path, clip: Clip) -> Iterator[UInt8Array]:
    yield from clip.array
    _accepted(path, clip, partial=False)


def _as_rgb(frames: list[av.VideoFrame], damage: str, path: Path) -> Clip:
    """More than 8 bits are stretched over the whole stack, as in every other format."""
    if max(component.bits for component in frames[0].format.components) > 8:
        deep = [frame.to_ndarray(format="rgb48le", threads=1) for frame in frames]
        return clip_of(np.stack(deep), path, damage=damage)
    return Clip(
        array=np.stack([to_rgb(frame) for frame in frames]), source=str(path), damage=damage
    )


def _decode_all(
    path: Path, *, n_threads: int, partial: bool, max_gib: float
) -> tuple[list[av.VideoFrame], str]:
    """All frames, and where the file broke off (empty when it did not)."""
    frames: list[av.VideoFrame] = []
    try:
        for frame in decode(path, n_threads=n_threads, max_gib=max_gib):
            frames.append(frame)  # one by one: those before an error stay
    except DamagedVideoError as error:
        if not partial:
            raise
        return frames, error.damage
    return frames, ""


def _readable(path: Path, max_gib: float) -> Path:
    check_max_gib(max_gib)
    if not path.exists():
        raise VideoError(f"{path}: no such file; check the name and the folder")
    if not os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0)):
        raise VideoError(f"{path}: may not be read (permission denied); change its permissions")
    if path.is_dir():
        return path
    _check_suffix(path)
    if path.stat().st_size == 0:
        raise VideoError(f"{path}: the file is empty (0 bytes); copy it again from its source")
    return path


def _check_suffix(place: Location) -> None:
    suffix = PurePath(place).suffix
    if suffix.lower() not in VIDEO_SUFFIXES:
        raise VideoError(
            f"{place}: cannot tell the format from the suffix {suffix!r}; convert or rename it, "
            f"allowed are {', '.join(VIDEO_SUFFIXES)} and folders of PNG or JPG frames"
        )
