"""Reading gives back what was written, to the last frame, or says exactly what is wrong."""

import io
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
import tifffile
from PIL import Image

from stallscan.errors import VideoError
from stallscan.video import VIDEO_SUFFIXES, iter_frames, read_clip, write_clip

N_FRAMES, HEIGHT, WIDTH = 23, 48, 64
REAL_DATA = os.environ.get("STALLSCAN_REAL_DATA")


def moving_ramp(n_frames: int = N_FRAMES) -> np.ndarray:
    """Grey ramps that differ in every frame: ``(z, y, x, 3)`` uint8."""
    z, _, x = np.ogrid[:n_frames, :HEIGHT, :WIDTH]
    plane = np.broadcast_to(8 * z + x, (n_frames, HEIGHT, WIDTH)).astype(np.uint8)
    return np.repeat(plane[..., None], 3, axis=-1)


def noise(n_frames: int, seed: int = 0) -> np.ndarray:
    grey = np.random.default_rng(seed).integers(0, 256, (n_frames, HEIGHT, WIDTH, 1), np.uint8)
    return np.repeat(grey, 3, axis=-1)


def write_gif(path: Path, array: np.ndarray) -> None:
    first, *rest = [Image.fromarray(frame).quantize(256) for frame in array]
    first.save(path, save_all=True, append_images=rest, duration=100)


def write_faststart(path: Path, array: np.ndarray) -> list[int]:
    """An mp4 with its tables in front; returns where the packets lie."""
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width = array.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for rgb in array:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode())
    return packet_positions(path)


def packet_positions(path: Path) -> list[int]:
    with av.open(str(path)) as container:
        return sorted(packet.pos for packet in container.demux(video=0) if packet.pos)


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mov", ".mkv"])
def test_round_trip_through_h264(tmp_path: Path, suffix: str) -> None:
    array = moving_ramp()
    path = tmp_path / f"clip{suffix}"
    write_clip(path, array)
    clip = read_clip(path)
    assert clip.source == str(path) and clip.rescaling is None and clip.voxel_size_um is None
    assert clip.array.shape == array.shape
    assert np.abs(clip.array.astype(int) - array).mean() < 2


@pytest.mark.parametrize("orange", [(255, 102, 0), (240, 104, 17)])
@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
def test_orange_stays_orange(tmp_path: Path, orange: tuple[int, ...], suffix: str) -> None:
    array = moving_ramp(6)
    array[:, 8:40, 16:48] = orange
    write_clip(tmp_path / f"orange{suffix}", array)
    patch = read_clip(tmp_path / f"orange{suffix}").array[:, 14:34, 22:42]
    assert np.abs(patch.mean(axis=(0, 1, 2)) - orange).max() < 3


def test_gif_round_trip_is_exact(tmp_path: Path) -> None:
    array = moving_ramp()
    array[:, 10:14, 10:30] = (240, 104, 17)
    write_gif(tmp_path / "clip.gif", array)
    np.testing.assert_array_equal(read_clip(tmp_path / "clip.gif").array, array)


@pytest.mark.parametrize("suffix", [".mp4", ".gif", ".tif"])
def test_frames_stream_as_read_clip_stacks_them(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"clip{suffix}"
    array = moving_ramp()
    {".mp4": write_clip, ".gif": write_gif, ".tif": tifffile.imwrite}[suffix](path, array)
    frames = iter_frames(path)
    assert isinstance(frames, Iterator)
    np.testing.assert_array_equal(np.stack(list(frames)), read_clip(path).array)


def test_more_threads_give_the_same_frames(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4", noise(12))
    one, four = (read_clip(tmp_path / "clip.mp4", n_threads=n).array for n in (1, 4))
    np.testing.assert_array_equal(one, four)


def test_names_with_a_colon_and_capital_suffixes(tmp_path: Path) -> None:
    path = tmp_path / "a:1 %02d.MP4"
    write_clip(path, moving_ramp())
    assert read_clip(path).n_frames == N_FRAMES


@pytest.mark.parametrize("announced", [5, 400])
def test_the_containers_count_is_not_believed(tmp_path: Path, announced: int) -> None:
    path = tmp_path / "lies.avi"
    write_clip(path, moving_ramp())
    data = bytearray(path.read_bytes())
    length_at = data.index(b"strh") + 8 + 32  # dwLength of the stream header
    data[length_at : length_at + 4] = announced.to_bytes(4, "little")
    path.write_bytes(data)
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames == announced
    assert read_clip(path).n_frames == N_FRAMES


# --- TIFF -------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", ["lzw", "zlib", "zstd"])
def test_compressed_tiff(tmp_path: Path, compression: str) -> None:
    array = moving_ramp()[..., 0]
    path = tmp_path / "packed.tif"
    tifffile.imwrite(path, array, compression=compression, photometric="minisblack")
    assert np.array_equal(read_clip(path).array[..., 0], array)


@pytest.mark.skipif(REAL_DATA is None, reason="STALLSCAN_REAL_DATA is not set")
def test_real_stacks() -> None:
    paths = sorted((Path(str(REAL_DATA)) / "twophoton").glob("*.tif"))
    assert len(paths) == 14
    for path in paths:
        clip = read_clip(path)
        assert 10 <= clip.n_frames <= 26 and clip.array.shape[1] in (320, 512), path
        assert clip.array.max() > 0, path


@pytest.mark.parametrize("options", [{}, {"imagej": True}, {"ome": True}, {"compression": "zlib"}])
def test_grey_tiff(tmp_path: Path, options: dict) -> None:
    array = moving_ramp()[..., 0]
    tifffile.imwrite(tmp_path / "grey.tif", array, **options)
    clip = read_clip(tmp_path / "grey.tif")
    np.testing.assert_array_equal(clip.array, np.repeat(array[..., None], 3, axis=-1))
    assert clip.rescaling is None


@pytest.mark.parametrize("options", [{"photometric": "rgb"}, {"photometric": "minisblack"}])
def test_channels_may_come_before_or_after_the_plane(tmp_path: Path, options: dict) -> None:
    array = np.random.default_rng(1).integers(0, 256, (5, 8, 12, 3), np.uint8)
    tifffile.imwrite(tmp_path / "last.tif", array, photometric="rgb")
    tifffile.imwrite(tmp_path / "first.tif", np.moveaxis(array, -1, 1), **options)
    np.testing.assert_array_equal(read_clip(tmp_path / "last.tif").array, array)
    np.testing.assert_array_equal(read_clip(tmp_path / "first.tif").array, array)


@pytest.mark.parametrize("shape", [(8, 12), (8, 12, 3)])
def test_one_page_is_one_frame(tmp_path: Path, shape: tuple[int, ...]) -> None:
    tifffile.imwrite(tmp_path / "page.tiff", np.zeros(shape, np.uint8))
    assert read_clip(tmp_path / "page.tiff").array.shape == (1, 8, 12, 3)


def test_sixteen_bits_are_rescaled_and_that_is_recorded(tmp_path: Path) -> None:
    array = np.array([100, 200, 1120, 100 + 255 * 40], np.uint16).reshape(1, 2, 2).repeat(3, axis=0)
    tifffile.imwrite(tmp_path / "deep.tif", array, photometric="minisblack")
    clip = read_clip(tmp_path / "deep.tif")
    assert clip.rescaling == (100.0, 10300.0)
    # 40 grey levels a step: 0, 2.5 (to even), 25.5 (to even), 255
    np.testing.assert_array_equal(clip.array[1, :, :, 0], [[0, 2], [26, 255]])


def test_a_flat_sixteen_bit_stack_is_black(tmp_path: Path) -> None:
    array = np.full((5, 8, 8), 777, np.uint16)
    tifffile.imwrite(tmp_path / "flat.tif", array)
    clip = read_clip(tmp_path / "flat.tif")
    assert clip.array.max() == 0 and clip.rescaling == (777.0, 777.0)


@pytest.mark.parametrize(
    "options",
    [
        {"imagej": True, "metadata": {"axes": "ZYX", "spacing": 2, "unit": "um"}},
        {
            "ome": True,
            "metadata": {
                "axes": "ZYX",
                "PhysicalSizeZ": 2.0,
                "PhysicalSizeY": 0.5,
                "PhysicalSizeX": 0.25,
            },
        },
    ],
)
def test_voxel_size_of_imagej_and_ome(tmp_path: Path, options: dict) -> None:
    path = tmp_path / "scaled.tif"
    tifffile.imwrite(path, np.zeros((4, 8, 8), np.uint8), resolution=(4, 2), **options)
    assert read_clip(path).voxel_size_um == pytest.approx((2.0, 0.5, 0.25))


def test_voxel_size_in_other_units_is_not_guessed(tmp_path: Path) -> None:
    metadata = {"axes": "ZYX", "spacing": 2, "unit": "inch"}
    path = tmp_path / "inch.tif"
    tifffile.imwrite(path, np.zeros((4, 8, 8), np.uint8), imagej=True, metadata=metadata)
    assert read_clip(path).voxel_size_um is None


# --- What is wrong is named -------------------------------------------------------------------


def audio_only(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), "fltp", "mono")
        silence.sample_rate = 8000
        container.mux(stream.encode(silence))
        container.mux(stream.encode())


def no_frames(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        container.start_encoding()


def changing_size(path: Path) -> None:
    data = b""
    for width in (WIDTH, 2 * WIDTH):
        raw = io.BytesIO()
        with av.open(raw, "w", format="h264") as container:
            stream = container.add_stream("libx264", rate=10)
            stream.height, stream.width, stream.pix_fmt = HEIGHT, width, "yuv420p"
            for _ in range(5):
                frame = av.VideoFrame.from_ndarray(
                    np.zeros((HEIGHT, width, 3), np.uint8), format="rgb24"
                )
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        data += raw.getvalue()
    path.write_bytes(data)


def tiff_of(array: np.ndarray, **options: object):
    return lambda path: tifffile.imwrite(path, array, **options)


def content(data: bytes):
    return lambda path: path.write_bytes(data)


BAD_FILES = {
    "missing": ("gone.mp4", lambda path: None, ["no such file", "check the name"]),
    "folder": ("a_folder.mp4", Path.mkdir, ["is a folder", "name the files in it"]),
    "empty": ("empty.mp4", Path.touch, ["0 bytes", "copy it again"]),
    "suffix": ("notes.txt", content(b"hello"), ["'.txt'", ".mp4, .avi", "convert or rename"]),
    "text": ("text.mp4", content(b"hello\n" * 99), ["cannot be opened", "Invalid data", "copy"]),
    "sound": ("sound.mp4", audio_only, ["no video stream", "audio", "pass a file with video"]),
    "no frames": ("nothing.avi", no_frames, ["0 frames", "need at least 1", "again"]),
    "sizes": ("sizes.mp4", changing_size, ["frame 5 is 128×48", "64×48", "split it"]),
    "not a tiff": ("text.tif", content(b"hello"), ["cannot be read as TIFF", "save it again"]),
    "float": ("float.tif", tiff_of(np.zeros((5, 8, 8), np.float32)), ["float32", "uint8", "conv"]),
    "channels": (
        "two.tif",
        tiff_of(np.zeros((5, 2, 8, 8), np.uint8), imagej=True, metadata={"axes": "ZCYX"}),
        ["(5, 2, 8, 8)", "ZCYX", "(z, y, x, 3)", "save one channel"],
    ),
    "series": (
        "five.tif",
        tiff_of(np.zeros((4, 5, 8, 8), np.uint8), imagej=True, metadata={"axes": "TZYX"}),
        ["(4, 5, 8, 8)", "TZYX", "one time series"],
    ),
}


@pytest.mark.parametrize("cause", BAD_FILES)
@pytest.mark.parametrize("read", [read_clip, lambda path: list(iter_frames(path))])
def test_bad_files_say_what_is_wrong(tmp_path: Path, cause: str, read) -> None:
    name, make, expected = BAD_FILES[cause]
    make(tmp_path / name)
    with pytest.raises(VideoError) as caught:
        read(tmp_path / name)
    for part in [name, *expected]:
        assert part in str(caught.value)


def test_bad_names_are_refused_before_the_first_frame_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="no such file"):
        iter_frames(tmp_path / "gone.mp4")


def test_a_file_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret.mp4").write_bytes(b"x")
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(VideoError, match=r"secret\.mp4: .*permission denied.*change"):
        read_clip(tmp_path / "secret.mp4")


def cut(path: Path, n_bytes: int) -> Path:
    short = path.with_name("cut" + path.suffix)
    short.write_bytes(path.read_bytes()[:n_bytes])
    return short


def frames_before_error(path: Path) -> tuple[int, str]:
    n_frames = 0
    with pytest.raises(VideoError) as caught:
        for _ in iter_frames(path):
            n_frames += 1
    with pytest.raises(VideoError):
        read_clip(path)
    return n_frames, str(caught.value)


def test_mp4_whose_tables_were_cut_off(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.mp4", noise(40))
    n_bytes = (tmp_path / "a.mp4").stat().st_size
    n_frames, message = frames_before_error(cut(tmp_path / "a.mp4", int(0.6 * n_bytes)))
    assert n_frames == 0
    for part in ("cut.mp4", "cannot be opened", f"{int(0.6 * n_bytes):,} bytes", "copy or export"):
        assert part in message


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv"])
@pytest.mark.parametrize("between_packets", [True, False])
def test_cut_files_are_not_shorter_clips(
    tmp_path: Path, suffix: str, between_packets: bool
) -> None:
    path = tmp_path / f"a{suffix}"
    if suffix == ".mp4":
        positions = write_faststart(path, noise(40))
    else:
        write_clip(path, noise(40))
        positions = packet_positions(path)
    at = positions[24] + (0 if between_packets else (positions[25] - positions[24]) // 2)
    n_frames, message = frames_before_error(cut(path, at))
    assert 15 <= n_frames <= 25
    assert f"cut{suffix}: {n_frames}" in message and "frames decoded, then: " in message
    assert "copy or export it again" in message


def test_a_cut_gif(tmp_path: Path) -> None:
    write_gif(tmp_path / "a.gif", noise(20))
    n_bytes = (tmp_path / "a.gif").stat().st_size
    n_frames, message = frames_before_error(cut(tmp_path / "a.gif", int(0.6 * n_bytes)))
    assert 8 <= n_frames <= 13
    assert f"cut.gif: {n_frames} frames decoded, then: " in message
    assert "without a GIF trailer" in message and "copy or export it again" in message


def test_bytes_behind_a_gif_are_of_no_matter(tmp_path: Path) -> None:
    write_gif(tmp_path / "a.gif", noise(5))
    (tmp_path / "b.gif").write_bytes((tmp_path / "a.gif").read_bytes() + b"\n\0junk")
    assert read_clip(tmp_path / "b.gif").n_frames == 5


@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
@pytest.mark.parametrize("n_sound_bytes", [0, 800])
def test_damage_in_the_middle(tmp_path: Path, suffix: str, n_sound_bytes: int) -> None:
    path = tmp_path / f"hole{suffix}"
    write_clip(path, noise(40))
    middle, end = packet_positions(path)[20:22]
    data = bytearray(path.read_bytes())
    middle += n_sound_bytes  # then the decoder goes on and only marks the frame
    data[middle:end] = bytes(end - middle)
    path.write_bytes(data)
    n_frames, message = frames_before_error(path)
    assert 10 <= n_frames <= 30
    assert f"hole{suffix}: {n_frames} of 40 frames decoded, then: " in message


@pytest.mark.parametrize("options", [{}, {"imagej": True}, {"ome": True}, {"compression": "zlib"}])
@pytest.mark.parametrize("fraction", [0.3, 0.6, 0.9])
def test_a_cut_tiff(tmp_path: Path, options: dict, fraction: float) -> None:
    tifffile.imwrite(tmp_path / "a.tif", noise(20)[..., 0], **options)
    n_bytes = (tmp_path / "a.tif").stat().st_size
    with pytest.raises(VideoError, match=r"cut\.tif: .*again"):
        read_clip(cut(tmp_path / "a.tif", int(fraction * n_bytes)))
    assert not logging.getLogger("tifffile").handlers


def test_every_suffix_is_lower_case_with_a_dot() -> None:
    assert all(suffix.startswith(".") and suffix.islower() for suffix in VIDEO_SUFFIXES)


def test_importing_the_room_loads_no_decoder() -> None:
    code = (
        "import sys, stallscan.video; from stallscan.video.clip import Clip; "
        "sys.exit(' '.join({'av', 'tifffile', 'cv2', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).stderr == b"\n"
