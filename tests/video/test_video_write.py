"""Writing: the same bytes for the same frames, whole or not at all, options checked."""

import re
from pathlib import Path

import numpy as np
import pytest

from stallscan.errors import OptionError, VideoError
from stallscan.video import Clip, read_clip, write, write_clip


@pytest.fixture
def array() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (30, 64, 96, 3), np.uint8)


@pytest.mark.parametrize("suffix", write.WRITABLE_SUFFIXES)
def test_same_frames_same_bytes(tmp_path: Path, array: np.ndarray, suffix: str) -> None:
    first, second = tmp_path / f"first{suffix}", tmp_path / "elsewhere" / f"second{suffix}"
    second.parent.mkdir()
    write_clip(first, array)
    write_clip(second, Clip(array=array, source="phantom"))
    data, again = first.read_bytes(), second.read_bytes()
    differ = np.flatnonzero(
        np.array(read_clip(first).array != read_clip(second).array).any((1, 2, 3))
    )
    assert data == again, f"{len(data)} and {len(again)} bytes, frames {differ} differ"
    # The encoder states its threads in the stream; the muxer's version would change with PyAV.
    assert b"threads=1 lookahead_threads=1" in data
    assert re.search(rb"Lav[cf]\d", data) is None


def test_same_bytes_on_another_processor(
    tmp_path: Path, array: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clip(tmp_path / "this.mp4", array)
    monkeypatch.setattr(write, "_X264_PARAMS", f"{write._X264_PARAMS}:asm=0")
    write_clip(tmp_path / "plainest.mp4", array)
    assert (tmp_path / "this.mp4").read_bytes() == (tmp_path / "plainest.mp4").read_bytes()


def test_other_frames_other_bytes(tmp_path: Path, array: np.ndarray) -> None:
    write_clip(tmp_path / "a.mp4", array)
    write_clip(tmp_path / "b.mp4", array[::-1])
    assert (tmp_path / "a.mp4").read_bytes() != (tmp_path / "b.mp4").read_bytes()


def test_lower_crf_is_closer(tmp_path: Path, array: np.ndarray) -> None:
    errors = []
    for crf in (10, 40):
        write_clip(tmp_path / "a.mp4", array, crf=crf, preset="ultrafast")
        errors.append(np.abs(read_clip(tmp_path / "a.mp4").array.astype(int) - array).mean())
    assert errors[0] < 0.9 * errors[1]


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, array: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"old")

    def fail(partial: Path, *_: object, **__: object) -> None:
        partial.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(write, "_encode", fail)
    with pytest.raises(OptionError, match=r"a\.mp4: cannot be written \(No space left"):
        write_clip(path, array)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"old"]


BAD_OPTIONS = {
    "gif": ({"path": "a.gif"}, ["a.gif", "'.gif'", ".mp4, .mov"]),
    "folder": ({"path": "no/a.mp4"}, ["a.mp4", "does not exist", "create it"]),
    "fps": ({"fps": 0}, ["a.mp4", "fps is 0", "above 0"]),
    "fps nan": ({"fps": float("nan")}, ["a.mp4", "fps is nan", "above 0"]),
    "crf": ({"crf": 52}, ["a.mp4", "crf is 52", "0 to 51"]),
    "preset": ({"preset": "best"}, ["a.mp4", "'best'", "medium"]),
}


@pytest.mark.parametrize("cause", BAD_OPTIONS)
def test_bad_options(tmp_path: Path, array: np.ndarray, cause: str) -> None:
    options, expected = BAD_OPTIONS[cause]
    path = tmp_path / options.get("path", "a.mp4")
    options = {key: value for key, value in options.items() if key != "path"}
    with pytest.raises(OptionError) as caught:
        write_clip(path, array, **options)
    for part in expected:
        assert part in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shape", [(2, 63, 96, 3), (2, 64, 95, 3)])
def test_odd_sizes_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(VideoError, match=rf"a\.mp4.*{shape[2]}×{shape[1]}.*even.*crop or pad"):
        write_clip(tmp_path / "a.mp4", np.zeros(shape, np.uint8))


@pytest.mark.parametrize("shape", [(2, 64, 96), (0, 64, 96, 3), (2, 64, 96, 4)])
def test_what_is_no_clip_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(VideoError, match=r"a\.mp4: a clip must be"):
        write_clip(tmp_path / "a.mp4", np.zeros(shape, np.uint8))
