"""Videos broken in many ways among sound ones, and what `predict` makes of them.

The tests use it on a few drawn clips; by hand it takes any sound videos, of which it copies all and
breaks every fifth: `python tests/end_to_end/broken.py VIDEOS… --work DIR`.
"""

from __future__ import annotations

import argparse
import csv
import io
import shutil
import subprocess
import sys
import wave
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import numpy as np
from killing import ENGINE, command

EVERY = 5


def _empty(sound: Path, path: Path) -> None:
    path.touch()


def _text(sound: Path, path: Path) -> None:
    path.write_text("404 Not Found\n" * 50)


def _head_only(sound: Path, path: Path) -> None:
    path.write_bytes(sound.read_bytes()[:2000])


def _half(sound: Path, path: Path) -> None:
    content = sound.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def _no_tables(sound: Path, path: Path) -> None:
    """As of a camera whose battery died: the frames are there, what says where is not."""
    content = sound.read_bytes()
    path.write_bytes(content.replace(b"moov", b"gone"))


def _zeros_inside(sound: Path, path: Path) -> None:
    content = bytearray(sound.read_bytes())
    middle = len(content) // 2
    length = min(len(content) // 4, 20_000)
    content[middle : middle + length] = bytes(length)
    path.write_bytes(content)


def _noise_inside(sound: Path, path: Path) -> None:
    content = bytearray(sound.read_bytes())
    begin = content.index(b"mdat") + 4
    length = len(content) // 2
    content[begin : begin + length] = np.random.default_rng(0).bytes(length)
    path.write_bytes(content)


def _unknown_codec(sound: Path, path: Path) -> None:
    path.write_bytes(sound.read_bytes().replace(b"avc1", b"zzzz"))


def _sound_without_picture(sound: Path, path: Path) -> None:
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(16_000))
    path.write_bytes(target.getvalue())


def _no_outline(sound: Path, path: Path) -> None:
    from stallscan.video import read_clip, write_clip

    grey = read_clip(sound).array[..., 1:2]
    write_clip(path, np.repeat(grey, 3, axis=-1))


def _dangling_link(sound: Path, path: Path) -> None:
    path.symlink_to(path.with_name("gone") / path.name)


def _a_numpy_file(sound: Path, path: Path) -> None:
    """With a pickle inside, as a stranger may send one."""
    with path.open("wb") as file:
        np.save(file, np.array([{"frames": 60}], dtype=object), allow_pickle=True)


BREAKS: dict[str, Callable[[Path, Path], None]] = {
    break_.__name__.strip("_"): break_
    for break_ in (
        *(_empty, _text, _head_only, _half, _no_tables, _zeros_inside, _noise_inside),
        *(_unknown_codec, _sound_without_picture, _no_outline, _dangling_link, _a_numpy_file),
    )
}


def mix(videos: list[Path], folder: Path) -> dict[str, str]:
    """Copies of the videos, every fifth broken, the ways taking turns.

    Returns:
        For each broken one by name, how.
    """
    folder.mkdir(parents=True)
    ways = cycle(BREAKS.items())
    broken = {}
    for number, video in enumerate(videos):
        path = folder / f"v{number:04}.mp4"
        if number % EVERY == EVERY - 1:
            broken[path.name], break_ = next(ways)
            break_(video, path)
        else:
            shutil.copy(video, path)
    return broken


def rows_of(table: Path) -> dict[str, dict[str, str]]:
    """Rows by file name."""
    with table.open(newline="") as file:
        return {row["filename"]: row for row in csv.DictReader(file)}


def check(videos: list[Path], work: Path, *options: str) -> dict[str, str]:
    """Predict the mixture, and each sound video without the broken ones beside it.

    Returns:
        The message for each way of being broken.
    """
    broken = mix(videos, work / "mixed")
    (work / "sound").mkdir()
    for path in sorted((work / "mixed").iterdir()):
        if path.name not in broken:
            shutil.copy(path, work / "sound")
    codes = [
        subprocess.run(
            command("predict", [work / folder], work / f"{folder}.csv", *ENGINE, *options),
            check=False,
        ).returncode
        for folder in ("mixed", "sound")
    ]
    assert codes == [3, 0], codes
    mixed, sound = rows_of(work / "mixed.csv"), rows_of(work / "sound.csv")
    assert list(mixed) == sorted({*sound, *broken}) and not {*sound} & {*broken}
    messages: dict[str, str] = {}
    for name, row in mixed.items():
        if name not in broken:
            assert row == sound[name] and row["probability"], row
            continue
        if broken[name] == "zeros_inside" and row["status"] == "flagged":
            # Zeros are a sound code to H.264, so that no decoder sees the damage; the picture shows
            # it, and the row says what is wrong there.
            assert len(row["message"]) > 20, row
        else:
            assert (row["status"], row["probability"], row["stalled"]) == ("failed", "", ""), row
            assert name in row["message"] and len(row["message"]) > len(name) + 20, row
        messages[broken[name]] = row["message"]
    return messages


def main() -> None:
    """Check, and say what each broken one was told."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("videos", type=Path, nargs="+")
    parser.add_argument("--work", type=Path, required=True)
    options = parser.parse_args()
    messages = check(options.videos, options.work)
    n_broken = len(options.videos) // EVERY
    print(f"{len(options.videos) - n_broken} right rows, {n_broken} reasons, exit code 3")
    for way, message in messages.items():
        print(f"{way:<22} {message}")


if __name__ == "__main__":
    sys.exit(main())
