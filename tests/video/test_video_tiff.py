"""TIFF stacks: every layout and unit that is usual, and those that are refused."""

import logging
import os
import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
from stacks import drawn

from stallscan.errors import DamagedVideoError, VideoError
from stallscan.video import read_clip

REAL_DATA = os.environ.get("STALLSCAN_REAL_DATA")


@pytest.mark.parametrize("compression", ["lzw", "zlib", "zstd"])
def test_compressed_tiff(tmp_path: Path, compression: str) -> None:
    array = drawn(23)[..., 0]
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
    array = drawn(23)[..., 0]
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


@pytest.mark.parametrize("top", [4095, 65_535])
def test_an_outline_in_sixteen_bits_does_not_darken_the_tissue(tmp_path: Path, top: int) -> None:
    rng = np.random.default_rng(2)
    array = np.repeat(rng.integers(20, 301, (4, 20, 30, 1)), 3, axis=3).astype(np.uint16)
    array[0, 0, :2] = [[20], [300]]
    array[:, 5:8] = np.round(np.array([255, 110, 18]) * (top / 255)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="rgb")
    clip = read_clip(tmp_path / "a.tif")
    assert clip.rescaling == (20.0, 300.0)
    assert (clip.array[:, 5:8] == [255, 110, 18]).all()
    tissue = np.delete(array, np.s_[5:8], axis=1).astype(float)
    expected = np.rint((tissue - 20) * (255 / 280))
    np.testing.assert_allclose(np.delete(clip.array, np.s_[5:8], axis=1), expected, atol=1)


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


@pytest.mark.parametrize(
    ("unit", "um"), [("nm", 1e-3), ("micron", 1), ("\\u00B5m", 1), ("mm", 1e3), ("inch", 25400)]
)
def test_units_of_imagej(tmp_path: Path, unit: str, um: float) -> None:
    metadata = {"axes": "ZYX", "spacing": 3, "unit": unit}
    array = np.zeros((4, 8, 8), np.uint8)
    tifffile.imwrite(
        tmp_path / "a.tif", array, imagej=True, metadata=metadata, resolution=(0.5, 0.25)
    )
    assert read_clip(tmp_path / "a.tif").voxel_size_um == pytest.approx((3 * um, 4 * um, 2 * um))


def test_imagej_may_give_every_axis_its_unit(tmp_path: Path) -> None:
    metadata = {"axes": "ZYX", "spacing": 3, "unit": "nm", "yunit": "mm", "zunit": "um"}
    array = np.zeros((4, 8, 8), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", array, imagej=True, metadata=metadata, resolution=(1, 1))
    assert read_clip(tmp_path / "a.tif").voxel_size_um == pytest.approx((3, 1e3, 1e-3))


@pytest.mark.parametrize(("unit", "um"), [("nm", 1e-3), ("µm", 1), ("mm", 1e3), ("Å", 1e-4)])
def test_units_of_ome(tmp_path: Path, unit: str, um: float) -> None:
    metadata = {"axes": "ZYX"}
    for axis, size in zip("ZYX", (2.0, 0.5, 0.25), strict=True):
        metadata |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": unit}
    tifffile.imwrite(tmp_path / "a.ome.tif", np.zeros((4, 8, 8), np.uint8), metadata=metadata)
    expected = pytest.approx((2 * um, 0.5 * um, 0.25 * um))
    assert read_clip(tmp_path / "a.ome.tif").voxel_size_um == expected


@pytest.mark.parametrize(
    ("options", "metadata"),
    [
        ({"imagej": True}, {"axes": "ZYX", "spacing": 2, "unit": "pixel"}),
        ({"imagej": True}, {"axes": "ZYX", "spacing": 2}),
        ({"imagej": True}, {"axes": "ZYX", "unit": "um"}),
        ({"imagej": True}, {"axes": "ZYX", "spacing": -2, "unit": "um"}),
        ({"ome": True}, {"axes": "ZYX", "PhysicalSizeX": 1.0, "PhysicalSizeY": 1.0}),
        ({"ome": True}, {"axes": "ZYX", "PhysicalSizeX": 1.0, "PhysicalSizeY": 1.0,
                         "PhysicalSizeZ": 1.0, "PhysicalSizeZUnit": "reference frame"}),
        ({}, None),
    ],
)  # fmt: skip
def test_voxel_sizes_are_not_guessed(tmp_path: Path, options: dict, metadata: dict) -> None:
    array = np.zeros((4, 8, 8), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", array, resolution=(4, 2), metadata=metadata,
                     photometric="minisblack", **options)  # fmt: skip
    assert read_clip(tmp_path / "a.tif").voxel_size_um is None


LAYOUTS = {
    "BigTIFF": {"bigtiff": True},
    "big-endian": {"byteorder": ">"},
    "tiles": {"tile": (16, 16)},
    "tiles, deflate": {"tile": (16, 32), "compression": "zlib", "predictor": True},
    "strips of five rows": {"rowsperstrip": 5, "compression": "lzw"},
    "ImageJ, big-endian": {"imagej": True, "byteorder": ">"},
    "OME, zstd": {"ome": True, "compression": "zstd"},
    "OME, BigTIFF": {"ome": True, "bigtiff": True},
}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(tmp_path: Path, layout: str, dtype: type) -> None:
    grey = drawn()[..., 0]
    array = grey if dtype == np.uint8 else (grey.astype(np.uint16) * 16)  # 12 bits in 16
    options = {"metadata": {"axes": "ZYX"}, "photometric": "minisblack"} | LAYOUTS[layout]
    tifffile.imwrite(tmp_path / "a.TIFF", array, **options)
    clip = read_clip(tmp_path / "a.TIFF")
    low, high = float(array.min()), float(array.max())
    assert clip.rescaling == (None if dtype == np.uint8 else (low, high))
    expected = grey if dtype == np.uint8 else np.rint((array - low) * 255 / (high - low))
    assert np.abs(clip.array[..., 1].astype(int) - expected).max() <= (dtype == np.uint16)


@pytest.mark.parametrize("config", ["contig", "separate"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_planes_of_colour(tmp_path: Path, config: str, compression: str | None) -> None:
    array = drawn() if config == "contig" else np.moveaxis(drawn(), -1, 1)
    tifffile.imwrite(
        tmp_path / "a.tif", array, photometric="rgb", planarconfig=config, compression=compression
    )
    np.testing.assert_array_equal(read_clip(tmp_path / "a.tif").array, drawn())


def test_a_resaved_file_may_hold_a_dead_page_directory(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", drawn()[..., 0])
    tifffile.tiffcomment(tmp_path / "a.tif", "a longer comment than before " * 9)
    assert read_clip(tmp_path / "a.tif").n_frames == 9


CUT = [{}, {"imagej": True}, {"ome": True}, {"compression": "zlib"}, {"metadata": None}]


@pytest.mark.parametrize("options", CUT)
@pytest.mark.parametrize("fraction", [0.1, 0.3, 0.6, 0.9])
def test_a_cut_file_keeps_its_whole_frames(tmp_path: Path, options: dict, fraction: float) -> None:
    array = np.random.default_rng(0).integers(0, 256, (20, 48, 64), np.uint8)
    path = tmp_path / "cut.tif"
    tifffile.imwrite(path, array, **{"metadata": {"axes": "ZYX"}} | options)
    path.write_bytes(path.read_bytes()[: int(fraction * path.stat().st_size)])
    with pytest.raises(VideoError, match=r"cut\.tif: .*again") as caught:
        read_clip(path)
    assert not logging.getLogger("tifffile").handlers
    if isinstance(caught.value, DamagedVideoError):
        clip = read_clip(path, partial=True)
        assert clip.damage == caught.value.damage and 1 <= clip.n_frames < 20
        np.testing.assert_array_equal(clip.array[..., 2], array[: clip.n_frames])
    # With the pixels in one piece behind the first page, only its first frame can be missed.
    elif options in ({}, {"imagej": True}):
        assert fraction < 0.05


def test_a_palette_gives_its_colours(tmp_path: Path) -> None:
    palette = np.random.default_rng(1).integers(0, 256, (3, 256)).astype(np.uint16)
    array = np.random.default_rng(2).integers(0, 256, (5, 20, 30), np.uint8)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, array, photometric="palette", colormap=palette << 8)
    np.testing.assert_array_equal(read_clip(path).array, np.moveaxis(palette[:, array], 0, -1))


def test_white_may_be_the_lowest_level(tmp_path: Path) -> None:
    array = np.random.default_rng(3).integers(0, 256, (5, 20, 30), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="miniswhite")
    np.testing.assert_array_equal(read_clip(tmp_path / "a.tif").array[..., 0], 255 - array)


def test_three_slices_at_several_times_are_no_colours(tmp_path: Path) -> None:
    array = np.zeros((10, 3, 32, 48), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", array, imagej=True, metadata={"axes": "TZYX"})
    with pytest.raises(VideoError, match=r"a\.tif: shape \(10, 3, 32, 48\), axes TZYX, is not"):
        read_clip(tmp_path / "a.tif")


def test_other_files_that_an_ome_header_names_are_not_opened(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    secret, path = tmp_path / "secret.ome.tif", tmp_path / "in" / "a.ome.tif"
    rng = np.random.default_rng(4)
    options = {"ome": True, "metadata": {"axes": "ZYX"}, "photometric": "minisblack"}
    tifffile.imwrite(secret, rng.integers(0, 256, (4, 16, 16), np.uint8), **options)
    own = rng.integers(0, 256, (4, 16, 16), np.uint8)
    tifffile.imwrite(path, own, **options)
    with tifffile.TiffFile(path) as tiff:
        header = tiff.ome_metadata
        uuid = re.search('UUID="(.*?)"', header)[1]
    names = f'<TiffData><UUID FileName="../secret.ome.tif">{uuid}</UUID></TiffData>'
    tifffile.tiffcomment(path, re.sub(r"<TiffData.*?/(TiffData)?>", names, header).encode())
    try:
        np.testing.assert_array_equal(read_clip(path).array[..., 0], own)
    except VideoError as error:
        assert "a.ome.tif: " in str(error)


def test_the_full_resolution_of_a_pyramid(tmp_path: Path) -> None:
    array = np.random.default_rng(8).integers(0, 256, (6, 64, 64), np.uint8)
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as tiff:
        tiff.write(array, subifds=1, metadata={"axes": "ZYX"}, photometric="minisblack")
        tiff.write(array[:, ::2, ::2], subfiletype=1, photometric="minisblack")
    np.testing.assert_array_equal(read_clip(tmp_path / "a.ome.tif").array[..., 0], array)


def test_a_cut_sixteen_bit_file(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 4096, (20, 48, 64), np.uint16)
    path = tmp_path / "cut.tif"
    tifffile.imwrite(path, array, byteorder=">", imagej=True, metadata={"axes": "ZYX"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    clip = read_clip(path, partial=True)
    assert clip.damage.startswith("10 of 20 frames decoded, then: ImageJ")
    kept = array[: clip.n_frames]
    assert clip.n_frames == 10 and clip.rescaling == (kept.min(), kept.max())


def test_a_damaged_page_ends_the_stack(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, drawn()[..., 0], compression="zlib")
    with tifffile.TiffFile(path) as tiff:
        at = tiff.pages[6].dataoffsets[0] + 20
    data = bytearray(path.read_bytes())
    data[at : at + 40] = bytes(40)
    path.write_bytes(data)
    clip = read_clip(path, partial=True)
    assert clip.damage.startswith("6 of 9 frames decoded, then: ")
    np.testing.assert_array_equal(clip.array[..., 0], drawn()[:6, ..., 0])
