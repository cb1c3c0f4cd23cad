"""Which videos a command is about."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from stallscan.errors import OptionError

SPLITS = ("train", "test")
"""Folders of videos in a data set shaped as the competition's."""


def find_videos(inputs: Sequence[Path], *, split: str | None = None) -> list[Path]:
    """Files as given; folders as the videos in them, sorted by name.

    A folder that has ``train`` or ``test`` in it is a data set: the videos of both are meant. A
    folder of frames is a video, unless it holds videos, too. Folders that stallscan wrote are none.

    Args:
        inputs: files and folders.
        split: take this folder of each data set alone.

    Raises:
        OptionError: nothing given, a folder without videos, two videos with one base name, a name
            that a table cannot hold, or a split of what is no data set.
    """
    if not inputs:
        raise OptionError("no videos given; name files, or a folder that holds them")
    paths: list[Path] = []
    for path in inputs:
        path = path if path.name else path.resolve()
        if split is not None:
            path = _split_of(path, split)
        paths += _in_folder(path) if path.is_dir() else [path]
    seen: dict[str, Path] = {}
    for path in paths:
        if not (path.name.isprintable() and path.name == path.name.strip()):
            raise OptionError(
                f"{path!r}: its name has characters that tables cannot hold (line breaks, outer "
                "blanks, or bytes that are no UTF-8); rename it"
            )
        if path.name in seen:
            raise OptionError(
                f"{path}: has the same base name as {seen[path.name]}, and rows are named by it; "
                "take them in two runs"
            )
        seen[path.name] = path
    return paths


def fingerprint(paths: Iterable[Path]) -> str:
    """Of inputs: base names and sizes, so that another folder may hold the same videos.

    Where other pixels have the same size (npy, TIFF, folders of frames), the time of the last
    change counts, too.
    """
    lines = [f"{path.name} {_stamp(path)}" for path in paths]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _split_of(path: Path, split: str) -> Path:
    if (path / split).is_dir():
        return path / split
    found = [name for name in SPLITS if (path / name).is_dir()]
    raise OptionError(
        f"{path}: --split is {split!r}, and this has {' and '.join(found) or 'no splits'}; name a "
        f"data set with a folder {split!r}, or leave --split out"
    )


def _in_folder(folder: Path) -> list[Path]:
    from stallscan.video.read import VIDEO_SUFFIXES, is_frame_folder

    splits = [folder / split for split in SPLITS if (folder / split).is_dir()]
    found = [path for part in splits or [folder] for path in videos_in(part)]
    if not found and is_frame_folder(folder):
        return [folder]
    if not found:
        raise OptionError(
            f"{folder}: holds no videos among {len(list(folder.iterdir()))} entries (allowed are "
            f"{', '.join(sorted(VIDEO_SUFFIXES))} and folders of frames; other folders in it are "
            "not searched); name the folder with the videos"
        )
    return found


def videos_in(folder: Path) -> list[Path]:
    """The videos directly in a folder, sorted; maybe none."""
    from stallscan.video.read import VIDEO_SUFFIXES, is_frame_folder

    return sorted(
        path
        for path in folder.iterdir()
        if not path.name.startswith(".")
        and (path.suffix.lower() in VIDEO_SUFFIXES or is_frame_folder(path))
        and not (path / "run.json").exists()
    )


_COMPRESSED = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".gif")


def _stamp(path: Path) -> str:
    try:
        files = [path, *sorted(path.iterdir())] if path.is_dir() else [path]
        stats = [file.lstat() for file in files]
    except OSError:
        return ""
    if path.suffix.lower() in _COMPRESSED:
        return str(stats[0].st_size)
    return " ".join(f"{stat.st_size} {stat.st_mtime_ns}" for stat in stats)
