"""Which videos a command is about."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from stallscan.errors import OptionError

SPLITS = ("train", "test")
"""Folders of videos in a data set shaped as the competition's."""


def find_videos(inputs: Sequence[Path]) -> list[Path]:
    """Files as given; folders as the videos in them, sorted by name.

    A folder of frames is a video itself. A folder without videos that has ``train`` or ``test`` in
    it is a data set: the videos of both are meant.

    Raises:
        OptionError: nothing given, a folder without videos, or two videos with one base name.
    """
    from stallscan.video.read import is_frame_folder  # late, so that `--help` loads no decoder

    if not inputs:
        raise OptionError("no videos given; name files, or a folder that holds them")
    paths: list[Path] = []
    for path in inputs:
        paths += _in_folder(path) if path.is_dir() and not is_frame_folder(path) else [path]
    seen: dict[str, Path] = {}
    for path in paths:
        if path.name in seen:
            raise OptionError(
                f"{path}: has the same base name as {seen[path.name]}, and rows are named by it; "
                "take them in two runs"
            )
        seen[path.name] = path
    return paths


def fingerprint(paths: Iterable[Path]) -> str:
    """Of inputs: base names and sizes, so that another folder may hold the same videos."""
    lines = [f"{path.name} {_n_bytes(path)}" for path in paths]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _in_folder(folder: Path) -> list[Path]:
    from stallscan.video.read import VIDEO_SUFFIXES

    found = _videos(folder)
    if not found:
        splits = [folder / split for split in SPLITS if (folder / split).is_dir()]
        found = [path for split in splits for path in _videos(split)]
    if not found:
        raise OptionError(
            f"{folder}: holds no videos among {len(list(folder.iterdir()))} entries (allowed are "
            f"{', '.join(sorted(VIDEO_SUFFIXES))} and folders of frames); name the folder with the "
            "videos"
        )
    return found


def _videos(folder: Path) -> list[Path]:
    from stallscan.video.read import VIDEO_SUFFIXES, is_frame_folder

    return sorted(
        path
        for path in folder.iterdir()
        if not path.name.startswith(".")
        and (path.suffix.lower() in VIDEO_SUFFIXES or is_frame_folder(path))
    )


def _n_bytes(path: Path) -> str:
    if path.is_dir():
        return str(sum(file.stat().st_size for file in path.iterdir()))
    return str(path.stat().st_size) if path.exists() else ""
