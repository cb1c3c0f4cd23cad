"""Reading gives back what was written, to the last frame, or says exactly what is wrong."""

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


# --- What is wrong is named -------------------------------------------------------------------


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


def test_every_suffix_is_lower_case_with_a_dot() -> None:
    assert all(suffix.startswith(".") and suffix.islower() for suffix in VIDEO_SUFFIXES)


def test_importing_the_room_loads_no_decoder() -> None:
    code = (
        "import sys, stallscan.video; from stallscan.video.clip import Clip; "
        "sys.exit(' '.join({'av', 'tifffile', 'cv2', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).stderr == b"\n"
