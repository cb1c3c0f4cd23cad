"""What is wrong with a file is named: the file, what failed, the value found, what to do."""

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import tifffile
from stacks import drawn, encode, write_frames, write_gif

from stallscan.errors import OptionError, VideoError
from stallscan.video import VIDEO_SUFFIXES, iter_frames, read_clip, read_stack

SMALL = np.zeros((5, 8, 8), np.uint8)


def sound_only(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), "fltp", "mono")
        silence.sample_rate = 8000
        container.mux(stream.encode(silence))
        container.mux(stream.encode())


def no_frames(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuv420p"
        container.start_encoding()


def changing_size(path: Path) -> None:
    """Two H.264 streams, each with its own parameter sets, one behind the other in one file."""
    raw = io.BytesIO()
    for width in (48, 96):
        part = io.BytesIO()
        with av.open(part, "w", format="h264") as container:
            stream = container.add_stream("libx264", rate=10)
            stream.height, stream.width, stream.pix_fmt = 32, width, "yuv420p"
            for rgb in drawn(5, 32, width):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
            container.mux(stream.encode())
        raw.write(part.getvalue())
    raw.seek(0)
    with av.open(raw, format="h264") as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for i, packet in enumerate(p for p in old.demux(video=0) if p.size):
            packet.pts = packet.dts = i
            packet.stream = stream
            new.mux(packet)


def npy_header(shape: tuple[int, ...], dtype: str = "|u1") -> Callable[[Path], object]:
    def make(path: Path) -> None:
        with path.open("wb") as file:
            header = {"descr": dtype, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            file.write(bytes(999))

    return make


def png_header(path: Path) -> None:
    """A PNG of a few bytes that claims 100,000 × 100,000 pixels."""
    path.mkdir()
    ihdr = b"IHDR" + struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + ihdr + struct.pack(">I", zlib.crc32(ihdr))
    (path / "frame_0.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + bytes(99))


def jpg_header(path: Path) -> None:
    write_frames(path, drawn(1), ".jpg")
    file = path / "frame_0.jpg"
    data = bytearray(file.read_bytes())
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = b"\xff\xff\xff\xff"
    file.write_bytes(data)


def tiff_header(path: Path) -> None:
    tifffile.imwrite(path, SMALL[0], metadata=None)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        for name in ("ImageWidth", "ImageLength", "RowsPerStrip"):
            tiff.pages.first.tags[name].overwrite(100_000, dtype="I")


def gif_header(path: Path) -> None:
    write_gif(path, drawn(9))
    data = bytearray(path.read_bytes())
    data[6:10] = b"\xff" * 4
    path.write_bytes(data)


def cut(make: Callable[[Path, np.ndarray], object], fraction: float) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        make(path, np.random.default_rng(0).integers(0, 256, (20, 32, 48, 3), np.uint8))
        path.write_bytes(path.read_bytes()[: int(fraction * path.stat().st_size)])

    return write


def tiff_of(array: np.ndarray, **options: object) -> Callable[[Path], object]:
    return lambda path: tifffile.imwrite(path, array, **options)


def npy_of(array: object) -> Callable[[Path], object]:
    return lambda path: np.save(path, array)


def content(data: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)


def two_series(path: Path) -> None:
    with tifffile.TiffWriter(path) as writer:
        writer.write(SMALL, metadata={"axes": "ZYX"})
        writer.write(SMALL[:, :4], metadata={"axes": "ZYX"})


def folder(change: Callable[[Path], object]) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        write_frames(path, drawn(4))
        change(path)

    return make


def frame(array: np.ndarray, name: str = "frame_2.png") -> Callable[[Path], object]:
    return folder(lambda path: cv2.imwrite(str(path / name), array))


def another_codec(path: Path) -> None:
    encode(path, drawn(4))
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzz1"))


AGAIN = "copy or export it again"
CAUSES: dict[str, tuple[str, Callable[[Path], object], list[str]]] = {
    "missing": ("gone.mp4", lambda path: None, ["no such file", "check the name"]),
    "empty": ("empty.mp4", Path.touch, ["0 bytes", "copy it again"]),
    "empty tiff": ("empty.tif", Path.touch, ["0 bytes", "copy it again"]),
    "suffix": ("notes.txt", content(b"hello"), ["'.txt'", ".mp4, .m4v", "folders of PNG", "conv"]),
    "no suffix": ("notes", content(b"hello"), ["''", ".npy", "convert or rename"]),
    # containers
    "text": ("text.mp4", content(b"hello\n" * 99), ["cannot be opened", "b'hello", AGAIN]),
    "tiff in mp4": ("t.mp4", tiff_of(SMALL), ["cannot be opened", "b'II*", AGAIN]),
    "sound": ("sound.mp4", sound_only, ["no video stream", "audio", "pass a file with video"]),
    "no frames": ("nothing.avi", no_frames, ["0 frames", "need at least 1", "again"]),
    "sizes": ("sizes.avi", changing_size, ["frame 5 is 96×32", "48×32", "split it"]),
    "codec": ("codec.mp4", another_codec, ["does not know", "convert it to H.264"]),
    "cut mp4": ("cut.mp4", cut(encode, 0.6), ["cannot be opened", "ends early", AGAIN]),
    "cut avi": ("cut.avi", cut(encode, 0.6), ["of 20 frames", "ends early", AGAIN, "--partial"]),
    "cut mkv": ("cut.mkv", cut(encode, 0.6), ["frames decoded", "ends early", "--partial"]),
    "cut gif": ("cut.gif", cut(write_gif, 0.6), ["frames decoded", "GIF trailer", "--partial"]),
    "a gif's header": ("head.gif", content(b"GIF89a\1\0"), ["ends in its header", AGAIN]),
    "a large gif": ("large.gif", gif_header, ["0 frames", "Invalid argument", AGAIN]),
    # TIFF
    "not a tiff": ("text.tif", content(b"hello"), ["cannot be read as TIFF", "save it again"]),
    "mp4 in tiff": ("v.tif", content(b"\0\0\0\x18ftypisom" * 9), ["cannot be read as TIFF"]),
    "float": ("float.tif", tiff_of(SMALL.astype(np.float32)), ["float32", "uint8", "convert"]),
    "channels": (
        "two.tif",
        tiff_of(np.zeros((5, 2, 8, 8), np.uint8), imagej=True, metadata={"axes": "ZCYX"}),
        ["(5, 2, 8, 8)", "ZCYX", "(z, y, x, 3)", "save one channel"],
    ),
    "time series": (
        "four.tif",
        tiff_of(np.zeros((4, 5, 8, 8), np.uint8), imagej=True, metadata={"axes": "TZYX"}),
        ["(4, 5, 8, 8)", "TZYX", "one time series"],
    ),
    "five axes": (
        "five.tif",
        tiff_of(np.zeros((2, 3, 4, 8, 8), np.uint8), ome=True, metadata={"axes": "TCZYX"}),
        ["(2, 3, 4, 8, 8)", "TCZYX", "one time series"],
    ),
    "two series": ("series.tif", two_series, ["2 series", "(5, 4, 8)", "allowed is 1", "save"]),
    "cut tiff": (
        "cut.tif",
        cut(lambda path, array: tifffile.imwrite(path, array[..., 0]), 0.5),
        ["10 of 20 frames", AGAIN, "--partial"],
    ),
    "a large tiff": ("large.tif", tiff_header, ["100000×100000", "27.9 GiB", "--max-gib 28"]),
    # npy
    "not an npy": ("text.npy", content(b"hello"), ["cannot be read as .npy", "numpy.save"]),
    "objects": ("o.npy", npy_of(np.array([{}, 1], dtype=object)), ["object", "uint8", "convert"]),
    "a negative depth": ("n.npy", npy_header((-5, 10, 10)), ["(-5, 10, 10)", "reshape"]),
    "bool": ("bool.npy", npy_of(SMALL > 0), ["bool", "uint8 and uint16", "convert"]),
    "floats": ("float.npy", npy_of(SMALL / 2), ["float64", "uint8 and uint16", "convert"]),
    "two axes": ("two.npy", npy_of(SMALL[0]), ["(8, 8)", "(z, y, x)", "reshape"]),
    "five axes of npy": ("five.npy", npy_of(SMALL[None, None]), ["(1, 1, 5, 8, 8)", "reshape"]),
    "four channels": ("four.npy", npy_of(np.zeros((5, 8, 8, 4), np.uint8)), ["8, 4)", "reshape"]),
    "no frame in npy": ("none.npy", npy_of(SMALL[:0]), ["(0, 8, 8)", "reshape"]),
    "cut npy": ("cut.npy", cut(np.save, 0.5), ["9 of 20 frames", "announces", "--partial"]),
    "a large npy": ("large.npy", npy_header((99, 9999, 9999)), ["99 frames", "27.7 GiB", "28"]),
    "a short npy": ("short.npy", npy_header((9, 99, 99)), ["0 of 9 frames", "announces", AGAIN]),
    # folders of frames
    "an empty folder": ("empty", Path.mkdir, ["without frames", "0 other", "name a folder"]),
    "a folder called mp4": ("a.mp4", Path.mkdir, ["without frames", "name a folder"]),
    "a folder of others": (
        "others",
        lambda path: (path.mkdir(), (path / "a.bmp").touch()),
        ["without frames", "1 other files", "the videos in it"],
    ),
    "two kinds": ("kinds", frame(drawn()[0], "b.jpg"), ["JPG, PNG", "one kind", "move"]),
    "frames and others": ("mixed", frame(drawn()[0], "a.bmp"), ["PNG, a.bmp", "move"]),
    "two names": ("names", frame(drawn()[0], "other_2.png"), ["frame_0.png", "other_2.png", "ren"]),
    "two numbers": ("twice", frame(drawn()[0], "frame_02.png"), ["same number", "frame_2", "rem"]),
    "sizes of frames": (
        "sized",
        frame(drawn()[0, :30]),
        ["frame_2.png is 48×30", "48×32", "split"],
    ),
    "depths": ("depths", frame(drawn()[0].astype(np.uint16)), ["of uint16", "of uint8", "split"]),
    "the first frame": (
        "first",
        folder(lambda path: (path / "frame_0.png").write_bytes(b"\x89PNG")),
        ["0 frames", "frame_0.png is damaged", AGAIN],
    ),
    "cut frame": (
        "cut",
        folder(lambda path: (path / "frame_3.png").write_bytes(b"")),
        ["3 frames", "frame_3.png is damaged", "--partial"],
    ),
    "a missing frame": (
        "gap",
        folder(lambda path: (path / "frame_1.png").rename(path / "frame_9.png")),
        ["1 frames", "number 1 is missing", "frame_2.png", "--partial"],
    ),
    "a large png": ("png", png_header, ["100000×100000", "27.9 GiB", "--max-gib 28"]),
    "a large jpg": ("jpg", jpg_header, ["65535×65535", "GiB", "--max-gib 12"]),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_bad_files_say_what_is_wrong(tmp_path: Path, cause: str) -> None:
    name, make, expected = CAUSES[cause]
    make(tmp_path / name)
    messages = []
    for read in (read_clip, read_stack, lambda path: list(iter_frames(path))):
        with pytest.raises(VideoError) as caught:
            read(tmp_path / name)
        messages.append(str(caught.value))
    for part in [f"{name}", *expected]:
        assert part in messages[0]
    assert messages[0].startswith(str(tmp_path / name)) and len(set(messages)) == 1


def test_bad_names_are_refused_before_the_first_frame_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="no such file"):
        iter_frames(tmp_path / "gone.mp4")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("name", ["a.mp4", "frames"])
def test_a_file_without_permission(tmp_path: Path, name: str) -> None:
    (encode if name == "a.mp4" else write_frames)(tmp_path / name, drawn(2))
    (tmp_path / name).chmod(0)
    with pytest.raises(VideoError, match=rf"{name}: .*permission denied.*change"):
        read_clip(tmp_path / name)


def test_the_system_says_that_a_file_may_not_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret.mp4").write_bytes(b"x")
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(VideoError, match=r"secret\.mp4: .*permission denied.*change"):
        read_clip(tmp_path / "secret.mp4")


LIMITED = {
    "a.mp4": encode,
    "a.gif": write_gif,
    "a.tif": lambda path, array: tifffile.imwrite(path, array, photometric="rgb"),
    "grey.tif": lambda path, array: tifffile.imwrite(path, array[..., 0]),
    "a.npy": np.save,
    "grey.npy": lambda path, array: np.save(path, array[..., 0]),
    "frames": write_frames,
}


@pytest.mark.parametrize("name", LIMITED)
def test_a_limit_is_kept_and_may_be_raised(tmp_path: Path, name: str) -> None:
    """Of RGB, whatever the file holds: 9 frames of 32 × 48 pixels."""
    LIMITED[name](tmp_path / name, drawn())
    gib = 9 * 32 * 48 * 3 / 2**30
    for read in (read_clip, read_stack, lambda path, **options: list(iter_frames(path, **options))):
        with pytest.raises(VideoError, match=rf"{name}: 9 frames of 48×32 pixels.*--max-gib 1"):
            read(tmp_path / name, max_gib=gib * 0.999)
        read(tmp_path / name, max_gib=gib)
    with pytest.raises(VideoError, match="9 frames"):  # before the first frame takes memory
        next(iter_frames(tmp_path / name, max_gib=gib * 0.999))


@pytest.mark.parametrize("max_gib", [0, -1, float("nan")])
def test_a_limit_that_is_none(tmp_path: Path, max_gib: float) -> None:
    with pytest.raises(OptionError, match=rf"--max-gib is {max_gib}.*above 0"):
        read_clip(tmp_path / "a.mp4", max_gib=max_gib)


def test_every_suffix_is_lower_case_with_a_dot() -> None:
    assert all(suffix.startswith(".") and suffix.islower() for suffix in VIDEO_SUFFIXES)
    assert ".npy" in VIDEO_SUFFIXES
