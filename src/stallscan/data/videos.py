"""Which videos a command is about."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from stallscan.data.video_list import is_table, read_video_list
from stallscan.errors import OptionError
from stallscan.types import Location
from stallscan.video.remote import base_name, list_prefix, parse_location, require_s3fs

SPLITS = ("train", "test")
"""Folders of videos in a data set shaped as the competition's."""


def find_videos(inputs: Sequence[Location], *, split: str | None = None) -> list[Location]:
    """Files as given; folders and prefixes as the videos in them, sorted; tables row by row.

    A folder that has ``train`` or ``test`` in it is a data set: the videos of both are meant. A
    folder of frames is a video, unless it holds videos, too. Folders that stallscan wrote are none.

    Args:
        inputs: files, folders, URLs of objects or prefixes, tables of `read_video_list`.
        split: take this folder of each data set alone.

    Raises:
        OptionError: nothing given, a folder without videos, two videos with one base name, a name
            that a table cannot hold, or a split of what is no data set; no s3fs for URLs.
        TableError: a table cannot be read.
        FetchError: a prefix cannot be listed, or a table not be fetched.
    """
    if not inputs:
        raise OptionError("no videos given; name files, or a folder that holds them")
    videos: list[Location] = []
    for given in inputs:
        place = parse_location(given) if isinstance(given, str) else given
        if is_table(place) and (isinstance(place, str) or place.is_file()):
            if split is not None:
                raise _no_split(place, split, [])
            videos += read_video_list(place)
        else:
            videos += _under_url(place, split) if isinstance(place, str) else _at(place, split)
    if any(isinstance(video, str) for video in videos):
        require_s3fs()
    seen: dict[str, Location] = {}
    for video in videos:
        name = base_name(video)
        if not (name.isprintable() and name == name.strip()):
            raise OptionError(
                f"{video!r}: its name has characters that tables cannot hold (line breaks, outer "
                "blanks, or bytes that are no UTF-8); rename it"
            )
        if name in seen:
            raise OptionError(
                f"{video}: has the same base name as {seen[name]}, and rows are named by it; "
                "take them in two runs"
            )
        seen[name] = video
    return videos


def fingerprint(videos: Iterable[Location]) -> str:
    """Of inputs: base names and sizes, so that another folder may hold the same videos.

    Where other pixels have the same size (npy, TIFF, folders of frames), the time of the last
    change counts, too. Of objects in a bucket the URL counts, for asking each would take hours.
    """
    lines = [f"{base_name(video)} {_stamp(video)}" for video in videos]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _at(path: Path, split: str | None) -> list[Path]:
    path = path if path.name else path.resolve()
    if split is not None:
        if not (path / split).is_dir():
            raise _no_split(path, split, [name for name in SPLITS if (path / name).is_dir()])
        path = path / split
    return _in_folder(path) if path.is_dir() else [path]


def _no_split(place: Location, split: str, found: Sequence[str]) -> OptionError:
    return OptionError(
        f"{place}: --split is {split!r}, and this has {' and '.join(found) or 'no splits'}; name a "
        f"data set with a folder {split!r}, or leave --split out"
    )


def _under_url(url: str, split: str | None) -> list[str]:
    from stallscan.video.read import VIDEO_SUFFIXES

    if split is None and url.lower().endswith(VIDEO_SUFFIXES):
        return [url]  # one object; whether it is there shows when it is fetched
    objects, prefixes = list_prefix(url)
    parts = [name for name in SPLITS if f"{url}/{name}" in prefixes]
    if split is not None and split not in parts:
        raise _no_split(url, split, parts)
    if parts:
        chosen = parts if split is None else [split]
        objects = [name for part in chosen for name in list_prefix(f"{url}/{part}")[0]]
    videos = [name for name in objects if name.lower().endswith(VIDEO_SUFFIXES)]
    if not videos:
        raise OptionError(
            f"{url}: holds no videos among {len(objects)} objects (allowed are "
            f"{', '.join(sorted(VIDEO_SUFFIXES))}; other prefixes under it are not searched); name "
            "the prefix with the videos"
        )
    return videos


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


def _stamp(path: Location) -> str:
    if isinstance(path, str):
        return path
    try:
        files = [path, *sorted(path.iterdir())] if path.is_dir() else [path]
        stats = [file.lstat() for file in files]
    except OSError:
        return ""
    if path.suffix.lower() in _COMPRESSED:
        return str(stats[0].st_size)
    return " ".join(f"{stat.st_size} {stat.st_mtime_ns}" for stat in stats)
