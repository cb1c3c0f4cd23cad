"""An npy file is read as its shape says, and only when it is as long as that."""

from pathlib import Path

import numpy as np
import pytest
from stacks import drawn

from stallscan.errors import DamagedVideoError, VideoError
from stallscan.video import iter_frames, read_clip


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(9, 32, 48), (9, 32, 48, 1), (9, 32, 48, 3)])
def test_shapes(tmp_path: Path, shape: tuple[int, ...], order: str) -> None:
    array = drawn()[..., : (*shape, 1)[3]].reshape(shape)
    np.save(tmp_path / "a.npy", np.asarray(array, order=order))
    expected = array.reshape(*shape[:3], -1)
    clip = read_clip(tmp_path / "a.npy")
    np.testing.assert_array_equal(clip.array, np.broadcast_to(expected, clip.array.shape))
    assert clip.array.shape == (9, 32, 48, 3) and clip.rescaling is None


@pytest.mark.parametrize("byte_order", ["<", ">"])
def test_sixteen_bits_are_rescaled(tmp_path: Path, byte_order: str) -> None:
    deep = np.array([100, 200, 1120, 100 + 255 * 40]).reshape(4, 1, 1).repeat(2, 1).repeat(5, 2)
    np.save(tmp_path / "a.NPY", deep.astype(f"{byte_order}u2"))
    (tmp_path / "a.NPY.npy").rename(tmp_path / "a.NPY")
    clip = read_clip(tmp_path / "a.NPY")
    assert clip.rescaling == (100.0, 10300.0)
    np.testing.assert_array_equal(clip.array[:, 1, 3, 2], [0, 2, 26, 255])


def test_an_array_is_no_view_of_the_file(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", drawn())
    clip = read_clip(tmp_path / "a.npy")
    assert not isinstance(clip.array, np.memmap) and clip.array.flags.writeable


@pytest.mark.parametrize("n_missing", [1, 32 * 48 * 3 - 1, 32 * 48 * 3 + 1])
def test_a_cut_file(tmp_path: Path, n_missing: int) -> None:
    path = tmp_path / "a.npy"
    np.save(path, drawn())
    path.write_bytes(path.read_bytes()[:-n_missing])
    n_whole = 8 if n_missing < 32 * 48 * 3 else 7
    with pytest.raises(DamagedVideoError, match=rf"a\.npy: {n_whole} of 9 frames.*announces.*copy"):
        read_clip(path)
    clip = read_clip(path, partial=True)
    np.testing.assert_array_equal(clip.array, drawn()[:n_whole])
    assert clip.damage.startswith(f"{n_whole} of 9 frames decoded, then: the file has ")
    frames = iter_frames(path)
    assert [next(frames).shape for _ in range(n_whole)] == [(32, 48, 3)] * n_whole
    with pytest.raises(DamagedVideoError):
        next(frames)


def test_a_file_longer_than_its_header_says(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, drawn())
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(DamagedVideoError, match="9 of 9 frames"):
        read_clip(path)
    np.testing.assert_array_equal(read_clip(path, partial=True).array, drawn())


def test_a_cut_fortran_array_has_no_whole_frame(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.asfortranarray(drawn()))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(VideoError, match=r"a\.npy: 0 of 9 frames"):
        read_clip(path, partial=True)
