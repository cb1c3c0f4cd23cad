"""Reading of a folder of PNG or JPG frames: one folder is one stack."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from stallscan.errors import VideoError
from stallscan.video._damage import broken_off, damage_after
from stallscan.video._limits import check_size
from stallscan.video._pixels import clip_of
from stallscan.video.clip import Clip

FRAME_SUFFIXES = {".png": "PNG", ".jpg": "JPG", ".jpeg": "JPG"}
"""Suffixes (lower case) of frames, and the kind that each stands for."""

_NO_FRAMES = (".txt", ".json", ".xml", ".csv", ".md", ".log", ".ini", ".db")
"""Suffixes of what lies beside frames and is none: notes, metadata, Thumbs.db, desktop.ini."""


def read_folder(path: Path, max_gib: float) -> Clip:
    """Read the frames of a folder, in the order of the one number that differs in their names.

    ``damage`` of the clip says where it breaks off: at a frame that is damaged, or at a missing
    number. Numbers may begin anywhere and go in steps (0, 5, 10, …).

    Raises:
        VideoError: no frames, other files between them, names without an order, frames of
            different sizes or depths, transparency, too large, or the first frame damaged.
    """
    files, gap = _in_order(path)
    frames: list[np.ndarray[Any, Any]] = []
    reason = gap
    for i, file in enumerate(files):
        data = file.read_bytes()
        found = _size_in_header(data)
        if found is not None:
            check_size(path, len(files), *found, max_gib)
        frame = _decode(data) if found is not None else None
        if frame is None:
            reason = f"{file.name} is damaged or cut short"
            break
        frame = _grey_or_rgb(frame, file)
        if i and (frame.shape[:2], frame.dtype) != (frames[0].shape[:2], frames[0].dtype):
            raise VideoError(
                f"{path}: {file.name} is {_size_of(frame)}, the frames before it "
                f"{_size_of(frames[0])}; a stack has one size and depth: export it again or "
                "split it"
            )
        frames.append(frame)
    damage = damage_after(len(frames), 0, reason) if reason else ""
    if not frames:
        raise broken_off(path, 0, damage)
    n_channels = max(frame.shape[2] for frame in frames)
    shape = (*frames[0].shape[:2], n_channels)
    return clip_of(np.stack([np.broadcast_to(f, shape) for f in frames]), path, damage=damage)


def _files(path: Path) -> list[Path]:
    """Files that may be frames; those are left out that clearly are none."""
    return [
        file
        for file in sorted(path.iterdir())
        if file.is_file()
        and not file.name.startswith(".")
        and file.suffix.lower() not in _NO_FRAMES
    ]


def _in_order(path: Path) -> tuple[list[Path], str]:
    """The frames up to a gap in their numbers, and what the gap is (empty: there is none)."""
    files = _files(path)
    kinds = {FRAME_SUFFIXES.get(file.suffix.lower(), file.name) for file in files}
    if not set(kinds) & set(FRAME_SUFFIXES.values()):
        raise VideoError(
            f"{path}: is a folder without frames ({len(files)} other files); name a folder that "
            "directly holds PNG or JPG frames, or the videos in it"
        )
    if len(kinds) > 1:
        raise VideoError(
            f"{path}: holds more than one kind of file ({', '.join(sorted(kinds)[:4])}); allowed "
            "are frames of one kind, PNG or JPG: move the others elsewhere"
        )
    parts = [re.split(r"(\d+)", file.stem) for file in files]
    texts = {tuple(part[::2]) for part in parts}
    numbers = (
        np.array([[int(n) for n in part[1::2]] for part in parts]) if len(texts) == 1 else None
    )
    if numbers is None or (len(files) > 1 and (np.ptp(numbers, axis=0) > 0).sum() != 1):
        raise VideoError(
            f"{path}: the names of its frames differ in more than one number, such as "
            f"{files[0].name} and {files[-1].name}; allowed is one running number (frame_1, "
            "frame_2, …): rename them or split the folder"
        )
    if len(files) == 1:
        return files, ""
    column = numbers[:, int(np.argmax(np.ptp(numbers, axis=0)))]
    order = np.argsort(column, kind="stable")
    files, steps = [files[i] for i in order], np.diff(column[order])
    if 0 in steps:
        i = int(np.argmin(steps))
        raise VideoError(
            f"{path}: {files[i].name} and {files[i + 1].name} have the same number; every frame "
            "has its own: remove or rename one"
        )
    gaps = np.flatnonzero(steps != steps.min())
    if gaps.size:
        i = int(gaps[0])
        missing = int(column[order[i]] + steps.min())
        return files[: i + 1], f"number {missing} is missing between {files[i].name} and " + (
            f"{files[i + 1].name}"
        )
    return files, ""


def _size_in_header(data: bytes) -> tuple[int, int] | None:
    """``(y, x)`` as PNG or JPG headers say before anything is unpacked; None when they do not."""
    if data.startswith(b"\x89PNG\r\n\x1a\n") and len(data) >= 24:
        width, height = struct.unpack_from(">II", data, 16)
        return height, width
    # The last scan of a JPG is followed by its end marker; OpenCV 4 fills what is cut with grey.
    if not data.startswith(b"\xff\xd8") or data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda"):
        return None
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker, size = struct.unpack_from(">BH", data, at + 1)
        if marker in _START_OF_FRAME:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return height, width
        at += 2 + size
    return None


_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def _decode(data: bytes) -> np.ndarray[Any, Any] | None:
    try:
        # As it is stored: depth and channels kept, orientation in the metadata ignored.
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None


def _grey_or_rgb(frame: np.ndarray[Any, Any], file: Path) -> np.ndarray[Any, Any]:
    """OpenCV's ``(y, x)``, BGR or BGRA as ``(y, x, 1)`` or ``(y, x, 3)`` RGB."""
    if frame.ndim == 2:
        return frame[..., np.newaxis]
    if frame.shape[2] == 4:
        alpha = int(frame[..., 3].min())
        opaque = np.iinfo(frame.dtype).max
        if alpha != opaque:
            raise VideoError(
                f"{file}: is transparent (alpha down to {alpha}), allowed is {opaque} throughout; "
                "export it again without transparency"
            )
    return frame[..., 2::-1]


def _size_of(frame: np.ndarray[Any, Any]) -> str:
    height, width = frame.shape[:2]
    return f"{width}×{height} pixels of {frame.dtype}"
