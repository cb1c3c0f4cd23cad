"""Blurs, sharpening, coarser voxels, compression and backgrounds against slow readings of them."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pixel_volumes import (
    WHITE,
    check_pure,
    drawn,
    even_volume,
    every_dtype,
    every_shape,
    in_greys,
    noise_volume,
)
from scipy.ndimage import correlate, gaussian_filter, median_filter, uniform_filter

from stallscan.augment import (
    Blur,
    Downscale,
    GaussianBlur,
    GlassBlur,
    ImageCompression,
    MedianBlur,
    MotionBlur,
    RemoveBackground,
    UnsharpMask,
)
from stallscan.augment._filters import smooth
from stallscan.augment._transform import Pixel
from stallscan.augment.motion_blur import line
from stallscan.errors import OptionError

SHAPE = (7, 15, 13, 3)
ROUNDING = {"uint8": 0.501, "uint16": 0.6, "float32": 1e-6}  # float32 arithmetic before it
ALL: list[Pixel] = [
    GaussianBlur((1, 3), sigma_z_limit=(0.5, 1), per_axis=True),
    UnsharpMask((1, 3), (1, 3), sigma_z_limit=(0.5, 1), per_axis=True),
    Blur((3, 7), blur_z_limit=(3, 5), per_axis=True),
    MedianBlur((3, 9), frames=3),
    MotionBlur(each_frame=True),
    GlassBlur(each_frame=True),
    Downscale(0.3, 0.8, 1, axes=(0, 1, 2), per_axis=True, upscale=2),
    ImageCompression(20, 80),
    ImageCompression(20, 80, 1),
    RemoveBackground((3, 9), "bright_objects"),
    RemoveBackground((3, 9), "dark_objects", sigma_z_limit=(2, 9)),
]
every_one = pytest.mark.parametrize("transform", ALL, ids=lambda one: type(one).__name__)


@every_one
@every_dtype
@every_shape
def test_it_is_pure(transform: Pixel, dtype: str, shape: tuple[int, ...]) -> None:
    check_pure(transform, noise_volume(shape, dtype))


@every_one
@pytest.mark.parametrize("channels", [3, 5])
def test_grey_stays_grey(transform: Pixel, channels: int) -> None:
    grey = noise_volume(SHAPE[:3], "uint8")
    params = drawn(transform, SHAPE)
    expected = transform.apply(grey, params)
    found = transform.apply(np.repeat(grey[..., None], channels, axis=3), params)
    assert np.ptp(found, axis=3).max() == 0
    assert np.abs(found[..., 0].astype(int) - expected).max() <= 1  # loops of OpenCV's differ


@every_one
def test_an_even_volume_stays_even(transform: Pixel) -> None:
    """The mean is kept, at the borders too; of objects before a background nothing is left."""
    for dtype in WHITE:
        volume = even_volume(SHAPE, dtype, 200)
        found = transform.apply(volume, drawn(transform, SHAPE))
        level = 0 if isinstance(transform, RemoveBackground) else 200
        lost = 2 if isinstance(transform, ImageCompression) else 1e-3
        np.testing.assert_allclose(in_greys(found), level, atol=lost)


# --- Gaussians --------------------------------------------------------------------------------


def exact_blur(volume: NDArray[Any], sigma: tuple[float, ...]) -> NDArray[np.float64]:
    sigma = (*sigma, 0)[: volume.ndim]
    return np.asarray(gaussian_filter(volume.astype(np.float64), sigma, truncate=8))


@every_dtype
@pytest.mark.parametrize("sigma", [(0, 0.4, 0.4), (0, 1.5, 1.5), (1.1, 0.7, 2.2), (3, 5, 30)])
def test_gaussian_blur_is_scipys(dtype: str, sigma: tuple[float, float, float]) -> None:
    for shape in (SHAPE, (1, 17, 1), (9, 1, 1), (2, 41, 30, 1), (3, 40, 120)):
        volume = noise_volume(shape, dtype)
        found = GaussianBlur().apply(volume, {"sigma": sigma})
        away = np.abs(found - exact_blur(volume, sigma)).max()
        assert away <= ROUNDING[dtype] + WHITE[dtype] * 0.02 / 255  # kernels end at 4 σ


@pytest.mark.parametrize("extent", [12, 40, 67, 150])
@pytest.mark.parametrize("sigma", [1, 3, 6, 12, 40, 100])
def test_narrow_and_wide_gaussians_are_within_two_hundredths_of_a_grey_level(
    extent: int, sigma: float
) -> None:
    step = np.zeros((extent, extent, 1), np.float32)
    step[: extent // 2] = 255
    stripes = np.zeros_like(step)
    stripes[::3] = 255
    point = np.zeros_like(step)
    point[0, 0] = 255
    for volume in (step, stripes, point):
        found = smooth(volume, (sigma, sigma, 0))
        np.testing.assert_allclose(found, exact_blur(volume, (sigma, sigma, 0)), atol=0.02)


def test_more_channels_than_opencv_takes() -> None:
    volume = noise_volume((2, 6, 7, 300), "uint8")
    found = GaussianBlur().apply(volume, {"sigma": (0, 1, 1)})
    assert np.abs(found - exact_blur(volume, (0, 1, 1))).max() <= 0.51
    for transform in (MotionBlur(3), MedianBlur(3), MedianBlur(7)):
        found = transform.apply(volume, drawn(transform, volume.shape))
        single = transform.apply(volume[..., 290], drawn(transform, volume.shape))
        assert np.abs(found[..., 290].astype(int) - single).max() <= 1


def test_standard_deviations_are_drawn_once_or_for_each_axis() -> None:
    once = [drawn(GaussianBlur((1, 3)), SHAPE, seed)["sigma"] for seed in range(200)]
    assert all(z == 0 and y == x for z, y, x in once)
    assert 1 <= min(once)[1] < 1.1 and 2.9 < max(once)[1] <= 3
    each = GaussianBlur(2, sigma_z_limit=(4, 5), per_axis=True)
    z, y, x = np.transpose([drawn(each, SHAPE, seed)["sigma"] for seed in range(200)])
    assert z.min() >= 4 and z.max() <= 5 and 0 <= min(y.min(), x.min()) < 0.1
    assert abs(np.corrcoef(y, x)[0, 1]) < 0.25
    assert RemoveBackground(7).sigma_limit == (7, 7)


@every_dtype
def test_unsharp_mask_adds_what_the_blur_takes(dtype: str) -> None:
    volume = noise_volume(SHAPE, dtype)
    params = {"sigma": (0.5, 2, 1), "alpha": 0.7}
    exact = 1.7 * volume - 0.7 * exact_blur(volume, (0.5, 2, 1))
    assert exact.min() < 0 and exact.max() > WHITE[dtype]  # so that it saturates
    found = UnsharpMask().apply(volume, params)
    away = np.abs(found - np.clip(exact, 0, WHITE[dtype])).max()
    assert away <= ROUNDING[dtype] + WHITE[dtype] * 0.02 / 255


@every_dtype
@pytest.mark.parametrize("mode", ["default", "bright_objects", "dark_objects"])
def test_background_is_taken_away(dtype: str, mode: str) -> None:
    volume = noise_volume(SHAPE, dtype)
    background = exact_blur(volume, (2, 6, 9))
    grey = WHITE[dtype] / 255
    exact = {
        "default": volume - background + 100 * grey,
        "bright_objects": volume - np.minimum(background, volume),
        "dark_objects": np.maximum(background, volume) - volume,
    }[mode]
    found = RemoveBackground(8, mode, level=100).apply(volume, {"sigma": (2, 6, 9)})
    away = np.abs(found - np.clip(exact, 0, WHITE[dtype])).max()
    assert away <= ROUNDING[dtype] + 0.02 * grey
    assert found.min() == 0


def test_uneven_light_becomes_even_and_vessels_stay() -> None:
    y, x = np.indices((64, 64))
    light = 70 + 50 * np.sin(y / 12) + x
    vessel = np.where(abs(x - 30) < 2, 60, 0)
    volume = np.rint(light + vessel).astype(np.uint8)[None]
    found = RemoveBackground(8).apply(volume, {"sigma": (0, 8, 8)}).astype(float)[0]
    inside = (slice(8, -8), slice(8, -8))  # the mirror bends slopes at the border
    assert np.ptp(volume[0][inside][vessel[inside] == 0]) > 130
    assert np.ptp(found[inside][vessel[inside] == 0]) < 40
    assert found[vessel > 0].mean() - found[vessel == 0].mean() > 45


# --- Boxes, medians, lines --------------------------------------------------------------------


@every_dtype
@pytest.mark.parametrize("extents", [(1, 3, 3), (3, 5, 7), (1, 255, 1), (5, 1, 1)])
def test_blur_is_the_mean_of_a_box(dtype: str, extents: tuple[int, int, int]) -> None:
    volume = noise_volume(SHAPE, dtype)
    exact = uniform_filter(volume.astype(np.float64), (*extents, 1))
    found = Blur().apply(volume, {"extents": extents})
    assert np.abs(found - exact).max() <= ROUNDING[dtype]


@every_dtype
@pytest.mark.parametrize(("side", "frames"), [(1, 1), (3, 1), (5, 3), (7, 1), (1, 3)])
def test_median_is_scipys(dtype: str, side: int, frames: int) -> None:
    for shape in (SHAPE, (1, 4, 9), (2, 5, 9, 1), (2, 1, 9, 5)):
        volume = noise_volume(shape, dtype)
        found = MedianBlur().apply(volume, {"side": side, "frames": frames})
        ones = (1,) * (len(shape) - 3)
        exact = median_filter(volume, (frames, 1, 1, *ones), mode="nearest")
        exact = median_filter(exact, (1, side, side, *ones), mode="nearest")
        np.testing.assert_array_equal(found, exact)


def test_odd_extents_are_drawn_equally_often() -> None:
    drawn_ones = [drawn(Blur((3, 9)), SHAPE, seed)["extents"] for seed in range(400)]
    assert all(z == 1 and y == x for z, y, x in drawn_ones)
    sizes, counts = np.unique([y for _, y, _ in drawn_ones], return_counts=True)
    assert sizes.tolist() == [3, 5, 7, 9] and counts.min() > 70
    assert {drawn(MedianBlur(5), SHAPE, seed)["side"] for seed in range(9)} == {5}
    assert {drawn(MotionBlur(5), SHAPE, seed)["lengths"][0] for seed in range(9)} == {5}
    each = [drawn(Blur(per_axis=True), SHAPE, seed)["extents"] for seed in range(50)]
    assert any(y != x for _, y, x in each)


@pytest.mark.parametrize("angle", [0, 20, 45, 90, 135, 180, -70, 360])
@pytest.mark.parametrize("length", [3, 7, 31])
def test_a_line_has_its_length_and_direction_and_its_middle_on_the_voxel(
    length: int, angle: float
) -> None:
    kernel = line(length, angle).astype(float)
    assert kernel.shape == (length, length) and kernel.sum() == pytest.approx(1)
    np.testing.assert_allclose(kernel, kernel[::-1, ::-1], atol=1e-7)
    y, x = np.indices(kernel.shape) - length // 2
    along = x * math.cos(math.radians(angle)) + y * math.sin(math.radians(angle))
    across = y * math.cos(math.radians(angle)) - x * math.sin(math.radians(angle))
    variance = (length**2 - 1) / 12
    assert (kernel * along**2).sum() == pytest.approx(variance, abs=0.26)  # of the shares
    assert (kernel * across**2).sum() < 0.26
    if angle % 90 == 0:
        assert np.count_nonzero(kernel > 1e-6) == length


@every_dtype
def test_motion_blur_is_scipys(dtype: str) -> None:
    lengths, angles = [3, 7, 13], [10.0, 100.0, 45.0]
    for channels in (1, 3, 5):
        volume = noise_volume((3, 16, 14, channels), dtype)
        found = MotionBlur().apply(volume, {"lengths": lengths, "angles_deg": angles})
        for frame, out, length, angle in zip(volume, found, lengths, angles, strict=True):
            kernel = line(length, angle).astype(float)[..., None]
            exact = correlate(frame.astype(np.float64), kernel)
            assert np.abs(out - exact).max() <= ROUNDING[dtype] * 1.1


def test_lines_are_one_for_all_frames_or_one_for_each() -> None:
    assert len(drawn(MotionBlur(), SHAPE)["lengths"]) == 1
    params = drawn(MotionBlur((3, 9), angle_limit=(20, 60), each_frame=True), (200, 5, 5))
    assert set(params["lengths"]) == {3, 5, 7, 9}
    assert 20 <= min(params["angles_deg"]) < 22 and 58 < max(params["angles_deg"]) <= 60
    with pytest.raises(OptionError, match="lines for 200 frames, the image has 7"):
        MotionBlur(each_frame=True).apply(noise_volume(SHAPE, "uint8"), params)


# --- Places changed ---------------------------------------------------------------------------


def origins(transform: GlassBlur, shape: tuple[int, int, int]) -> NDArray[np.int64]:
    """``(z, y, x)``: where in its frame each voxel comes from."""
    numbers = np.arange(shape[1] * shape[2], dtype=np.float32).reshape(1, *shape[1:])
    volume = np.repeat(numbers, shape[0], axis=0)
    return transform.apply(volume, drawn(transform, shape)).astype(np.int64)


def test_glass_loses_no_voxel_and_takes_the_border_too() -> None:
    found = origins(GlassBlur(0, 2, 3), (3, 20, 30))
    np.testing.assert_array_equal(np.sort(found[0].ravel()), np.arange(600))
    assert (found == found[0]).all()
    moved = found[0] != np.arange(600).reshape(20, 30)
    assert moved.mean() > 0.9 and moved[0].mean() > 0.7 and moved[:, -1].mean() > 0.7
    each = origins(GlassBlur(0, 2, 3, each_frame=True), (3, 20, 30))
    assert (each[0] != each[1]).mean() > 0.9
    np.testing.assert_array_equal(np.sort(each[2].ravel()), np.arange(600))


def test_glass_moves_as_far_as_it_may_in_all_directions_alike() -> None:
    """A voxel that is handed on goes further, but no exchange does."""
    found = origins(GlassBlur(0, 3, 1), (1, 200, 200))[0]
    rows, columns = np.divmod(found, 200)
    down, right = rows - np.arange(200)[:, None], columns - np.arange(200)
    for away in (down, right):
        assert abs(away[20:-20, 20:-20].mean()) < 0.06
        assert away.std() == pytest.approx(2.8, abs=0.4)  # √2 times that of one exchange
    assert origins(GlassBlur(0.1, 0, 1), (1, 9, 9)).ravel().tolist() == list(range(81))


def test_glass_is_between_two_blurs() -> None:
    volume = noise_volume((2, 14, 15, 3), "float32")
    glass = GlassBlur(0.9, 2, 2)
    params = drawn(glass, (2, 14, 15))
    place = origins(GlassBlur(0, 2, 2), (1, 14, 15))[0].ravel()
    blurred = exact_blur(volume, (0, 0.9, 0.9)).reshape(2, -1, 3)
    expected = exact_blur(blurred[:, place].reshape(volume.shape), (0, 0.9, 0.9))
    np.testing.assert_allclose(glass.apply(volume, params), expected, atol=2e-4)


# --- Coarser ----------------------------------------------------------------------------------


@every_dtype
def test_nearest_voxels_stand_for_blocks(dtype: str) -> None:
    volume = noise_volume((4, 12, 9, 2), dtype)
    found = Downscale(1 / 3, 1 / 3).apply(volume, {"size": [4, 4, 3]})
    middles = volume[:, 1::3, 1::3]
    np.testing.assert_array_equal(found, middles.repeat(3, axis=1).repeat(3, axis=2))


def test_frames_become_coarser_where_asked_for() -> None:
    transform = Downscale(0.5, 0.5, axes=0, upscale=1)
    volume = np.arange(0, 160, 20, dtype=np.float32)[:, None, None] / 255 + np.zeros((8, 3, 4))
    volume = volume.astype(np.float32)
    params = drawn(transform, volume.shape)
    assert params == {"size": [4, 3, 4]}
    found = transform.apply(volume, params)[:, 1, 1] * 255
    # Of every second frame, at the middle of two: 20, 60, 100, 140, then linear between them.
    np.testing.assert_allclose(found, [20, 30, 50, 70, 90, 110, 130, 140], atol=1e-4)


def test_a_line_stays_in_its_place() -> None:
    volume = np.zeros((1, 64, 64), np.float32)
    volume[:, :, 24:40] = 1
    for order, upscale in ((0, 0), (0, 1), (1, 1), (3, 3)):
        found = Downscale(0.25, 0.25, order, upscale=upscale).apply(volume, {"size": [1, 16, 16]})
        assert (found.mean(axis=(0, 1)) * np.arange(64)).sum() / 16 == pytest.approx(31.5, abs=0.6)


def test_scales_are_drawn_once_or_for_each_axis_and_leave_a_voxel() -> None:
    shape = (50, 100, 100)
    sizes = np.array([drawn(Downscale(0.2, 0.6), shape, seed)["size"] for seed in range(100)])
    assert (sizes[:, 0] == 50).all() and (sizes[:, 1] == sizes[:, 2]).all()
    assert 20 <= sizes[:, 1].min() < 23 and 57 < sizes[:, 1].max() <= 60
    each = Downscale(0.2, 0.6, axes=(0, 2), per_axis=True)
    sizes = np.array([drawn(each, shape, seed)["size"] for seed in range(100)])
    assert (sizes[:, 1] == 100).all() and np.corrcoef(sizes[:, 0], sizes[:, 2])[0, 1] < 0.3
    assert drawn(Downscale(0.01, 0.02, axes=(0, 1, 2)), (3, 4, 5))["size"] == [1, 1, 1]


# --- Files ------------------------------------------------------------------------------------

FORMATS = ((".jpg", cv2.IMWRITE_JPEG_QUALITY), (".webp", cv2.IMWRITE_WEBP_QUALITY))


def colourful(shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Smooth, with a red, a green and a blue that differ."""
    noise = np.random.default_rng(0).normal(size=(*shape, 3))
    rough = gaussian_filter(noise, (0, 3, 3, 0))
    return np.clip(128 + rough / rough.std() * 50, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("kind", [0, 1])
@pytest.mark.parametrize("channels", [None, 1, 2, 3, 4])
def test_frames_are_what_the_file_gives(kind: int, channels: int | None) -> None:
    volume = colourful((2, 37, 42))
    volume = volume[..., 0] if channels is None else np.tile(volume, 2)[..., :channels]
    found = ImageCompression(compression_type=kind).apply(volume, {"quality": 40})
    suffix, option = FORMATS[kind]

    def through(frame: NDArray[Any], flag: int) -> NDArray[Any]:
        frame = np.ascontiguousarray(frame)
        return np.asarray(cv2.imdecode(cv2.imencode(suffix, frame, (option, 40))[1], flag))

    for frame, out in zip(volume, found, strict=True):
        if channels == 3:
            expected = through(frame[..., ::-1], cv2.IMREAD_COLOR)[..., ::-1]
        else:
            planes = np.atleast_3d(frame)
            each = [through(plane, cv2.IMREAD_GRAYSCALE) for plane in np.moveaxis(planes, 2, 0)]
            expected = np.stack(each, axis=2).reshape(frame.shape)
        np.testing.assert_array_equal(out, expected)
    assert 0.5 < np.abs(found.astype(int) - volume).mean() < 12


def test_fine_colour_is_kept_as_luma_has_it() -> None:
    """Red weighs 0.3 and blue 0.1: exchanged, a fine red pattern would fade to a third."""
    volume = np.full((1, 64, 64, 3), 60, np.uint8)
    volume[:, :, ::2, 0] = 220
    found = ImageCompression().apply(volume, {"quality": 90}).astype(float)
    grey = found.mean(axis=3)
    assert grey[:, :, ::2].mean() - grey[:, :, 1::2].mean() == pytest.approx(0.3 * 160, abs=10)


@pytest.mark.parametrize("kind", [0, 1])
def test_other_dtypes_come_back_in_255_steps(kind: int) -> None:
    volume = colourful((2, 20, 21))
    transform = ImageCompression(compression_type=kind)
    expected = transform.apply(volume, {"quality": 70})
    near = np.minimum(volume.astype(np.uint32) * 257 + 99, 65535).astype(np.uint16)
    wide = transform.apply(near, {"quality": 70})
    np.testing.assert_array_equal(wide, expected.astype(np.uint16) * 257)
    unit = transform.apply(volume.astype(np.float32) / 255, {"quality": 70})
    np.testing.assert_allclose(unit * 255, expected, atol=1e-4)


def test_less_quality_is_worse_and_all_of_the_range_is_drawn() -> None:
    volume = colourful((1, 64, 64))
    for kind in (0, 1):
        transform = ImageCompression(compression_type=kind)
        away = [
            np.abs(transform.apply(volume, {"quality": q}).astype(int) - volume).mean()
            for q in (5, 40, 80, 100)
        ]
        assert away == sorted(away, reverse=True) and away[0] > 2 * away[2]
    qualities = [drawn(ImageCompression(50, 53), SHAPE, seed)["quality"] for seed in range(60)]
    assert set(qualities) == {50, 51, 52, 53}


def test_frames_too_long_for_a_file_are_refused() -> None:
    volume = np.zeros((1, 1, 16_384), np.uint8)
    with pytest.raises(OptionError, match=r"frames of \(1, 16384\), allowed are 16383 at most"):
        ImageCompression(compression_type=1).apply(volume, {"quality": 50})
    assert ImageCompression().apply(volume, {"quality": 50}).shape == volume.shape


# --- Options ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (GaussianBlur, {"sigma_limit": (-1, 2)}, r"sigma_limit is \(-1, 2\), allowed are 0 to 100"),
        (GaussianBlur, {"sigma_z_limit": (2, 1)}, r"sigma_z_limit is \(2, 1\): reversed"),
        (GaussianBlur, {"per_axis": 1.5}, "per_axis is 1.5, allowed are False, True"),
        (UnsharpMask, {"alpha_limit": -1}, "alpha_limit is -1"),
        (UnsharpMask, {"sigma_limit": 200}, "sigma_limit is 200, allowed are 0 to 100"),
        (Blur, {"blur_limit": (3, 6)}, r"blur_limit is \(3, 6\), allowed are odd whole numbers"),
        (Blur, {"blur_limit": 2.5}, "blur_limit is 2.5, allowed are odd"),
        (Blur, {"blur_z_limit": 257}, "blur_z_limit is 257, allowed are 1 to 255"),
        (MedianBlur, {"blur_limit": 4}, "blur_limit is 4, allowed are odd"),
        (MedianBlur, {"frames": 2}, "frames is 2, allowed are 1, 3"),
        (MotionBlur, {"blur_limit": 0}, "blur_limit is 0, allowed are 1 to 255"),
        (MotionBlur, {"angle_limit": (0, 400)}, r"angle_limit is \(0, 400\), allowed are -360"),
        (MotionBlur, {"each_frame": None}, "each_frame is None, allowed are False, True"),
        (GlassBlur, {"sigma": -0.1}, "sigma is -0.1, allowed are 0 to 100"),
        (GlassBlur, {"max_delta": 1.5}, "max_delta is 1.5, allowed are whole numbers"),
        (GlassBlur, {"iterations": 0}, "iterations is 0, allowed are 1 to 100"),
        (GlassBlur, {"mode": "slow"}, "mode is 'slow', allowed are 'fast', 'exact'"),
        (Downscale, {"scale_min": 0}, "scale_min is 0, allowed are 0.001 to 1"),
        (Downscale, {"scale_min": 0.5}, "scale_min is 0.5, scale_max 0.25; allowed is"),
        (Downscale, {"interpolation": 6}, "interpolation is 6, allowed are 0, 1"),
        (Downscale, {"upscale": "linear"}, "upscale is 'linear', allowed are None, 0"),
        (Downscale, {"axes": (1, 3)}, r"axes is \(1, 3\), allowed are different axes"),
        (ImageCompression, {"quality_lower": 101}, "quality_lower is 101, allowed are 0 to 100"),
        (ImageCompression, {"quality_lower": 95}, "quality_lower is 95, quality_upper 90; allowed"),
        (ImageCompression, {"quality_upper": 60.5}, "quality_upper is 60.5, allowed are whole"),
        (ImageCompression, {"compression_type": 2}, "compression_type is 2, allowed are 0, 1"),
        (
            ImageCompression,
            {"quality_lower": 0, "compression_type": 1},
            "quality_lower is 0, allowed are 1 to 100",
        ),
        (RemoveBackground, {"sigma_limit": (0, 9)}, r"sigma_limit is \(0, 9\), allowed are 1 to"),
        (RemoveBackground, {"mode": "bright"}, "did you mean 'bright_objects'"),
        (RemoveBackground, {"level": 256}, "level is 256, allowed are 0 to 255"),
    ],
)
def test_wrong_options_are_named(kind: type, options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message) as caught:
        kind(**options)
    assert kind.__name__ in str(caught.value)


def test_other_options_that_do_nothing_are_said() -> None:
    with pytest.warns(UserWarning, match="UnsharpMask does nothing: sigma_limit and"):
        UnsharpMask(0)
    with pytest.warns(UserWarning, match="Downscale does nothing: scale_min is 1"):
        Downscale(1, 1)


@pytest.mark.parametrize("kind", [UnsharpMask, ImageCompression, RemoveBackground])
def test_a_float_image_outside_the_unit_range_is_refused(kind: type) -> None:
    transform = kind(p=1)
    with pytest.raises(OptionError, match=rf"{kind.__name__}.*\[7, 7\]"):
        transform(image=np.full((2, 3, 3), 7, np.float32), rng=0)


def test_floats_of_any_range_are_blurred() -> None:
    volume = noise_volume(SHAPE, "float32") * 900 - 450
    for transform in (GaussianBlur(), Blur(), MedianBlur(), MotionBlur(), GlassBlur(), Downscale()):
        found = transform.apply(volume, drawn(transform, SHAPE))
        assert found.min() >= volume.min() and found.max() <= volume.max()
        assert found.min() < -90 and found.max() > 90
