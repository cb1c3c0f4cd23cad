"""Reading: any stack on disk → frames or a Clip."""

from __future__ import annotations

import os
from collections.abc import Iterator
from os import PathLike
from pathlib import Path

import numpy as np

from stallscan.errors import VideoError
from stallscan.types import UInt8Array
from stallscan.video._container import iter_container
from stallscan.video._tiff import read_tiff
from stallscan.video.clip import Clip

_TIFF_SUFFIXES = (".tif", ".tiff")
VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".gif", *_TIFF_SUFFIXES)
"""Suffixes (lower case) of the files that can be read."""


def iter_frames(path: str | PathLike[str], *, n_threads: int = 1) -> Iterator[UInt8Array]:
    """Decode a file frame by frame, to the end of its stream.

    Frames that were decoded before a damaged place are yielded before the error is raised. A TIFF
    is read as a whole first.

    Args:
        path: a file with one of ``VIDEO_SUFFIXES``.
        n_threads: decoder threads; 0 lets the decoder choose. One is best when many files are
            read at once.

    Yields:
        ``(y, x, 3)`` uint8 RGB frames, 0–255, all of one size.

    Raises:
        VideoError: the file is missing, empty, of another kind, damaged or cut short, holds no
            video or no frame, or its frames change size.
    """
    path = _readable(path)
    if path.suffix.lower() in _TIFF_SUFFIXES:
        return iter(read_tiff(path).array)
    return iter_container(path, n_threads=n_threads)


def read_clip(path: str | PathLike[str], *, n_threads: int = 1) -> Clip:
    """Read a whole file into memory.

    Args:
        path: a file with one of ``VIDEO_SUFFIXES``.
        n_threads: as for `iter_frames`.

    Returns:
        A Clip of ``(z, y, x, 3)`` uint8 RGB frames; 16-bit TIFF is rescaled by the minimum and
        maximum of the stack, which ``rescaling`` records.

    Raises:
        VideoError: as for `iter_frames`.
    """
    path = _readable(path)
    if path.suffix.lower() in _TIFF_SUFFIXES:
        return read_tiff(path)
    frames = list(iter_container(path, n_threads=n_threads))
    return Clip(array=np.stack(frames), source=str(path))


def _readable(path: str | PathLike[str]) -> Path:
    path = Path(path)
    if path.is_dir():
        raise VideoError(f"{path}: is a folder, not a video file; name the files in it, {_ALLOWED}")
    if not path.exists():
        raise VideoError(f"{path}: no such file; check the name and the folder")
    if not os.access(path, os.R_OK):
        raise VideoError(f"{path}: may not be read (permission denied); change its permissions")
    if path.suffix.lower() not in VIDEO_SUFFIXES:
        raise VideoError(
            f"{path}: cannot tell the format from the suffix {path.suffix!r}; convert or rename "
            f"it, {_ALLOWED}"
        )
    if path.stat().st_size == 0:
        raise VideoError(f"{path}: the file is empty (0 bytes); copy it again from its source")
    return path


_ALLOWED = f"allowed are {', '.join(VIDEO_SUFFIXES)}"
