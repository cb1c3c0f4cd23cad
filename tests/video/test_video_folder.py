"""A folder of frames is one stack, in the order of its numbers."""

import os
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from stacks import drawn, encode, write_frames

from stallscan.errors import DamagedVideoError, VideoError
from stallscan.video import is_frame_folder, iter_frames, read_clip


def test_frames_stand_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    array = drawn(12)
    write_frames(tmp_path / "a", array)  # frame_10 comes before frame_2 by name
    clip = read_clip(tmp_path / "a")
    assert clip.source == str(tmp_path / "a") and clip.damage == "" and clip.rescaling is None
    np.testing.assert_array_equal(clip.array, array)


def test_jpg_is_near_enough_and_its_orientation_is_ignored(tmp_path: Path) -> None:
    array = drawn(3)
    write_frames(tmp_path / "a", array, ".JPG")
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"  # turn by 90°
    for file in (tmp_path / "a").iterdir():
        data = file.read_bytes()
        segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
        file.write_bytes(data[:2] + segment + data[2:])
    clip = read_clip(tmp_path / "a")
    assert clip.shape == (3, 32, 48)
    # The bar of the drawing stays where it is, and orange stays orange.
    assert np.abs(clip.array[:, 8:10, 14:22].mean(axis=(0, 1, 2)) - (240, 104, 17)).max() < 45


def test_sixteen_bits_are_rescaled_over_the_whole_stack(tmp_path: Path) -> None:
    deep = np.array([100, 200, 1120, 100 + 255 * 40], np.uint16).reshape(4, 1, 1)
    write_frames(tmp_path / "a", np.broadcast_to(deep, (4, 8, 8)))
    clip = read_clip(tmp_path / "a")
    assert clip.rescaling == (100.0, 10300.0)
    np.testing.assert_array_equal(clip.array[:, 3, 3, 1], [0, 2, 26, 255])


@pytest.mark.parametrize("alpha", [255, 254])
def test_alpha_is_dropped_only_when_opaque(tmp_path: Path, alpha: int) -> None:
    array = drawn(2)
    write_frames(tmp_path / "a", array)
    bgra = np.dstack([array[1, ..., ::-1], np.full(array.shape[1:3], 255, np.uint8)])
    bgra[4, 5, 3] = alpha
    cv2.imwrite(str(tmp_path / "a" / "frame_1.png"), bgra)
    if alpha == 255:
        np.testing.assert_array_equal(read_clip(tmp_path / "a").array, array)
    else:
        with pytest.raises(VideoError, match=r"frame_1\.png: is transparent.*254.*255.*export"):
            read_clip(tmp_path / "a")


def test_grey_and_rgb_frames_may_mix(tmp_path: Path) -> None:
    array = drawn(3)
    array[1] = array[1, ..., :1]
    write_frames(tmp_path / "a", array)
    cv2.imwrite(str(tmp_path / "a" / "frame_1.png"), array[1, ..., 0])
    np.testing.assert_array_equal(read_clip(tmp_path / "a").array, array)


def test_what_clearly_is_no_frame_is_ignored(tmp_path: Path) -> None:
    write_frames(tmp_path / "a", drawn(3))
    for name in ("Thumbs.db", "notes.TXT", "meta.json", "x.xml", ".hidden.png", "desktop.ini"):
        (tmp_path / "a" / name).write_bytes(b"no frame")
    (tmp_path / "a" / "masks").mkdir()
    assert read_clip(tmp_path / "a").n_frames == 3


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (["z003.png", "z001.png", "z002.png"], [1, 2, 0]),
        (["c0_z20_x.png", "c0_z0_x.png", "c0_z10_x.png"], [1, 2, 0]),  # in steps
        (["only.png"], [0]),
        (["009.png", "10.png"], [0, 1]),
    ],
)
def test_names(tmp_path: Path, names: list[str], order: list[int]) -> None:
    array = drawn(len(names))
    for name, frame in zip(names, array, strict=True):
        cv2.imwrite(str(tmp_path / name), frame[..., ::-1])
    np.testing.assert_array_equal(read_clip(tmp_path).array, array[order])


def test_a_missing_number_breaks_the_stack_off(tmp_path: Path) -> None:
    write_frames(tmp_path / "a", drawn(12))
    (tmp_path / "a" / "frame_9.png").unlink()
    with pytest.raises(
        DamagedVideoError,
        match=r"a: 9 frames.*number 9 is missing between frame_8\.png and frame_10",
    ):
        read_clip(tmp_path / "a")
    clip = read_clip(tmp_path / "a", partial=True)
    assert clip.n_frames == 9 and "number 9 is missing" in clip.damage


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("fraction", [0.0, 0.01, 0.4, 0.9])
def test_a_cut_frame_breaks_the_stack_off(tmp_path: Path, suffix: str, fraction: float) -> None:
    write_frames(tmp_path / "a", drawn(6), suffix)
    whole = read_clip(tmp_path / "a").array
    victim = tmp_path / "a" / f"frame_4{suffix}"
    victim.write_bytes(victim.read_bytes()[: int(fraction * victim.stat().st_size)])
    frames = []
    with pytest.raises(DamagedVideoError, match=rf"a: 4 frames.*frame_4{suffix} is damaged.*copy"):
        frames += iter_frames(tmp_path / "a")
    clip = read_clip(tmp_path / "a", partial=True)
    np.testing.assert_array_equal(clip.array, whole[:4])


def test_frame_folders(tmp_path: Path) -> None:
    write_frames(tmp_path / "a", drawn(2))
    (tmp_path / "a" / "notes.txt").touch()
    assert is_frame_folder(tmp_path / "a") and is_frame_folder(os.fspath(tmp_path / "a"))
    assert not is_frame_folder(tmp_path)  # holds a folder of frames, not frames
    assert not is_frame_folder(tmp_path / "a" / "frame_0.png")
    assert not is_frame_folder(tmp_path / "gone")
    encode(tmp_path / "a" / "b.mp4", drawn(2))
    (tmp_path / "a" / "b.mp4").rename(tmp_path / "a" / "b.MP4")
    assert not is_frame_folder(tmp_path / "a")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / ".hidden.png").touch()
    assert not is_frame_folder(tmp_path / "c")
