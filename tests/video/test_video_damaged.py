"""Damaged files: every one is read whole, reported, or refused; never silently shorter."""

import random
import sys
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from stacks import N_FRAMES, WRITERS, drawn, encode, write_plain_tiff

from stallscan.errors import DamagedVideoError, VideoError
from stallscan.video import _structure, iter_frames, read_clip

OPERATIONS = ("bit", "byte", "random", "zeros", "cut", "remove", "insert", "append", "swap")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """Name → the files of that stack by their names; one, but for a folder of frames."""
    folder = tmp_path_factory.mktemp("sound")
    for name, write in WRITERS.items():
        write(folder / name, drawn())
    return {
        path.name: {file.name: file.read_bytes() for file in sorted(path.iterdir())}
        if path.is_dir()
        else {path.name: path.read_bytes()}
        for path in folder.iterdir()
    }


def damaged(data: bytes, operation: str, rng: random.Random) -> bytes:
    out = bytearray(data)
    # Half of the places lie near an end, where containers keep their tables.
    at = rng.choice([rng.randrange(len(out)), min(rng.randrange(900), len(out) - 1)])
    at = rng.choice([at, len(out) - 1 - at])
    n = rng.choice([1, 2, 4, 16, 100, 600])
    if operation == "bit":
        out[at] ^= 1 << rng.randrange(8)
    elif operation == "byte":
        out[at] ^= rng.randrange(1, 256)
    elif operation == "random":
        out[at : at + n] = rng.randbytes(len(out[at : at + n]))
    elif operation == "zeros":
        out[at : at + n] = bytes(len(out[at : at + n]))
    elif operation == "cut":
        del out[at:]
    elif operation == "remove":
        del out[at : at + n]
    elif operation == "insert":
        out[at:at] = rng.randbytes(n)
    elif operation == "append":
        out += rng.randbytes(n)
    return bytes(out)


def verdict(path: Path) -> str:
    """ "whole", "damaged" or "refused"; what `partial` and `iter_frames` make of it must fit."""
    try:
        n_frames = read_clip(path).n_frames
    except DamagedVideoError as error:
        n_partial = read_clip(path, partial=True).n_frames
        assert error.damage.startswith(f"{n_partial} ") and path.name in str(error)
        frames = iter_frames(path)
        with pytest.raises(DamagedVideoError):
            for _ in range(n_partial + 1):
                next(frames)
        return "damaged"
    except VideoError as error:
        assert path.name in str(error)
        return "refused"
    assert n_frames == N_FRAMES, "a silent wrong count"
    return "whole"


@pytest.mark.parametrize("name", WRITERS)
def test_damage_never_changes_the_count_silently(
    sound: dict[str, dict[str, bytes]], name: str, tmp_path: Path
) -> None:
    seen: Counter[str] = Counter()

    @settings(max_examples=30, deadline=None, derandomize=True, database=None)
    @given(st.sampled_from(OPERATIONS), st.sampled_from(sorted(WRITERS)), st.integers(0, 2**32))
    def check(operation: str, other: str, seed: int) -> None:
        rng = random.Random(seed)
        files = dict(sound[name])
        victim = rng.choice(sorted(files))
        if operation == "swap":  # the content of another stack, or of its first frame
            files[victim] = next(iter(sound[other].values()))
        else:
            files[victim] = damaged(files[victim], operation, rng)
        path = tmp_path / name
        if len(files) > 1:
            path.mkdir(exist_ok=True)
            for file, data in files.items():
                (path / file).write_bytes(data)
        else:
            path.write_bytes(files[name])
        if operation == "swap" and len(files) == 1 and other == "frames":
            with pytest.raises(VideoError):  # a picture is no stack under any of these names
                read_clip(path)
            return
        seen[verdict(path)] += 1

    check()
    assert seen["damaged"] + seen["refused"] >= 5 and sum(seen.values()) >= 20


LIES = {
    "a sample less": ("clip.mp4", b"stsz", 15, 1, "sizes"),
    "a size of all": ("clip.mp4", b"stsz", 8, 0x7F, "more than the file can hold"),
    "a time less": ("clip.mp4", b"stts", 15, 1, "times"),
    "chunks of fewer": ("clip.mp4", b"stsc", 19, 1, "places"),
    "a table cut short": ("clip.mp4", b"stts", 11, 64, "too short for its 65 rows"),
    "a delay less": ("clip.mp4", b"ctts", 15, 2, "delays"),
    "another start": ("clip.mp4", b"elst", 18, 0x40, "edit list hides"),
    "other ticks": ("clip.mp4", b"mvhd", 18, 0x10, "edit list hides"),
    "another box in a fragment": ("fragments.mp4", b"trun", 0, 1, "in a fragment"),
    "another track": ("fragments.mp4", b"tfhd", 11, 8, "a fragment of track 9"),
    "frames in a fragment": ("fragments.mp4", b"trun", 11, 8, "in a fragment do not fit its size"),
    "two tables": ("fragments.mp4", b"moof", 3, 0x10, "2 tables"),
    "a box at the top": ("fragments.mp4", b"moof", 2, 1, "begins no box"),
}
"""What is changed: the byte so far behind the name of a box, by so much; and what is said."""


@pytest.mark.parametrize("lie", LIES)
def test_tables_that_disagree(sound: dict[str, dict[str, bytes]], tmp_path: Path, lie: str) -> None:
    name, box, offset, change, reason = LIES[lie]
    data = bytearray(sound[name][name])
    data[data.index(box) + offset] ^= change
    (tmp_path / name).write_bytes(data)
    with pytest.raises(VideoError, match=rf"{name}: .*{reason}.*; copy or export it again"):
        read_clip(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "mark", "new", "n_sound"),
    [
        ("clip.avi", b"00dc", b"07dc", 4),
        ("clip.avi", b"00dc", b"00zz", 4),
        ("clip.mkv", b"\xa3", b"\xa7", 4),
        ("clip.gif", b"\x21\xf9\x04", b"\x3b\xf9\x04", 4),
        ("clip.gif", b"\x21\xf9\x04", b"\x20\xf9\x04", 4),
    ],
)
def test_a_block_that_decoders_skip(
    sound: dict[str, dict[str, bytes]],
    tmp_path: Path,
    name: str,
    mark: bytes,
    new: bytes,
    n_sound: int,
) -> None:
    path = tmp_path / name
    path.write_bytes(sound[name][name])
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    at = data.rindex(mark, 0, packets[n_sound].pos + len(mark) + 1)
    data[at : at + len(mark)] = new
    path.write_bytes(data)
    with pytest.raises(DamagedVideoError) as caught:
        read_clip(path)
    n_frames = read_clip(path, partial=True).n_frames
    assert caught.value.damage.startswith(f"{n_frames} ")
    # What lies behind the damaged place would stand at the wrong depth.
    assert 1 <= n_frames <= n_sound


def test_a_block_of_no_track(sound: dict[str, dict[str, bytes]], tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    path.write_bytes(sound["clip.mkv"]["clip.mkv"])
    with av.open(str(path)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][4]
    data = bytearray(path.read_bytes())
    at = data.rindex(b"\x81", 0, data.index(bytes(packet)[:9], packet.pos))  # track 1
    assert abs(at - packet.pos) < 8
    data[at] = 0x85
    path.write_bytes(data)
    with pytest.raises(DamagedVideoError, match="is of no track"):
        read_clip(path)


def test_pages_that_no_page_leads_to(tmp_path: Path) -> None:
    path = tmp_path / "plain.tif"
    write_plain_tiff(path, drawn())
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[5]
        at = page.offset + 2 + 12 * len(page.tags)
    data = path.read_bytes()
    path.write_bytes(data[:at] + bytes(4) + data[at + 4 :])
    clip = read_clip(path, partial=True)
    assert clip.n_frames == 6 and "belong to no page" in clip.damage
    np.testing.assert_array_equal(clip.array[..., 0], drawn()[:6, ..., 0])
    with pytest.raises(DamagedVideoError, match=r"plain\.tif: 6 of 6 frames.*belong to no page"):
        read_clip(path)


def test_a_hostile_count_is_refused_at_once(
    sound: dict[str, dict[str, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FFmpeg would make room for 83 million frames of a fragment of a few bytes."""
    data = bytearray(sound["fragments.mp4"]["fragments.mp4"])
    at = data.index(b"trun") + 8
    data[at : at + 4] = (83_000_000).to_bytes(4, "big")
    (tmp_path / "a.mp4").write_bytes(data)
    monkeypatch.setattr("stallscan.video._container.av.open", pytest.fail)
    with pytest.raises(VideoError, match=r"cannot be opened .*\(83,000,000 frames in a fragment"):
        read_clip(tmp_path / "a.mp4")


def test_coded_frames_that_are_not_read_are_missed(
    sound: dict[str, dict[str, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.avi").write_bytes(sound["clip.avi"]["clip.avi"])
    monkeypatch.setitem(_structure._WALKS, "avi", lambda data: N_FRAMES + 1)
    with pytest.raises(DamagedVideoError, match=r"9 of 9 .* then: 9 of 10 coded frames could be"):
        read_clip(tmp_path / "a.avi")


def test_an_image_of_a_gif_that_swallows_others(tmp_path: Path) -> None:
    """Four bytes less put the blocks of an image out of step until a zero byte comes along."""
    path = tmp_path / "a.gif"
    encode(path, drawn(), "gif", "rgb8")
    data, verdicts = path.read_bytes(), Counter[str]()
    for at in range(820, 2020, 5):
        path.write_bytes(data[:at] + data[at + 4 :])
        verdicts[verdict(path)] += 1
    assert verdicts["damaged"] > 200


def test_packets_without_frames_are_missed(tmp_path: Path) -> None:
    """MPEG-4: a changed bit makes a picture "not coded", and the decoder says nothing."""
    path = tmp_path / "a.avi"
    encode(path, drawn(), "mpeg4", b="2M")
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data, found = path.read_bytes(), set()
    for pos, _ in packets[1:4]:
        header = data.index(b"\0\0\1\xb6", pos) + 4
        for bit in range(5 * 8):
            changed = bytearray(data)
            changed[header + bit // 8] ^= 1 << bit % 8
            path.write_bytes(changed)
            try:
                assert read_clip(path).n_frames == N_FRAMES
            except VideoError as error:
                found.add(str(error).split(", then: ")[-1].split(";")[0])
    assert f"the decoder was given {N_FRAMES}" in found


def test_this_file_is_no_stack() -> None:
    with pytest.raises(VideoError, match=r"\.py'"):
        read_clip(sys.modules[__name__].__file__ or "")
