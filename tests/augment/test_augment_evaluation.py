"""Volume → network input: shapes, standardised grey, half-pixel resizing, the change channel."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, zoom

from stallscan.augment import FLIPS, Preprocessing, mirrored, preprocess
from stallscan.augment.evaluation import CHANNELS, to_grey
from stallscan.roi import Volume
from stallscan.types import Box


def volume_of(array: np.ndarray, mask: np.ndarray | None = None) -> Volume:
    """A volume of ``(z, y, x[, c])`` uint8."""
    array = array if array.ndim == 4 else array[..., None]
    shape = array.shape[1:3]
    return Volume(
        array=array,
        mask=np.ones(shape, bool) if mask is None else mask,
        line=np.zeros(shape, bool),
        box=Box(0, 0, 0, *array.shape[:3]),
        source="drawn",
    )


def noise(depth: int = 9, height: int = 20, width: int = 24, channels: int = 1) -> np.ndarray:
    """Grey noise with an offset that no scaling by 2 saturates."""
    rng = np.random.default_rng(depth * 1000 + height)
    return rng.integers(10, 110, (depth, height, width, channels), np.uint8)


# --- Shape and channels -----------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("native", [(1, 22, 23), (17, 335, 40), (60, 66, 67), (97, 30, 448)])
def test_shape_and_dtype(native: tuple[int, int, int], channels: int) -> None:
    found = preprocess(
        volume_of(noise(*native, channels=channels)), Preprocessing(size=(48, 64, 56))
    )
    assert found.shape == (3, 48, 64, 56)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()


@pytest.mark.parametrize(
    "channels", [("grey",), ("mask", "grey"), ("change", "mask", "grey"), ("grey", "change")]
)
def test_channels_come_in_the_order_asked_for(channels: tuple[str, ...]) -> None:
    rng = np.random.default_rng(0)
    volume = volume_of(noise(), mask=rng.random((20, 24)) > 0.5)
    whole = preprocess(volume, Preprocessing(size=(16, 32, 32)))
    some = preprocess(volume, Preprocessing(size=(16, 32, 32), channels=channels))
    assert len(some) == len(channels)
    for plane, channel in zip(some, channels, strict=True):
        np.testing.assert_array_equal(plane, whole[CHANNELS.index(channel)])


def test_grey_is_the_luma_of_rgb() -> None:
    rgb = noise(channels=3)
    expected = rgb @ [0.299, 0.587, 0.114]
    np.testing.assert_allclose(to_grey(rgb), expected, atol=0.51)
    alike = np.repeat(noise(), 3, axis=3)
    np.testing.assert_array_equal(to_grey(alike), noise()[..., 0])
    np.testing.assert_array_equal(to_grey(noise()), noise()[..., 0])


# --- Grey -------------------------------------------------------------------------------------


def test_grey_has_mean_0_and_spread_1() -> None:
    grey, *_ = preprocess(volume_of(noise()), Preprocessing(size=(9, 20, 24)))
    assert grey.mean() == pytest.approx(0, abs=1e-5)
    assert grey.std() == pytest.approx(1, abs=1e-5)
    native = noise()[..., 0].astype(float)
    np.testing.assert_allclose(grey, (native - native.mean()) / native.std(), atol=1e-4)


def test_brightness_and_contrast_do_not_matter() -> None:
    preprocessing = Preprocessing(size=(12, 32, 32))
    plain = preprocess(volume_of(noise()), preprocessing)
    brighter = preprocess(volume_of(2 * noise() + 30), preprocessing)
    np.testing.assert_allclose(brighter, plain, atol=1e-4)


@pytest.mark.parametrize("level", [0, 37, 255])
@pytest.mark.parametrize("depth", [1, 17, 47, 48, 49, 60, 97, 434])
def test_a_constant_volume_stays_constant(depth: int, level: int) -> None:
    """No slice, the last one least of all, comes out dark or not finite."""
    array = np.full((depth, 22, 30), level, np.uint8)
    grey, change, mask = preprocess(volume_of(array), Preprocessing(size=(48, 64, 64)))
    assert np.abs(grey).max() < 1e-4
    assert not change.any()
    assert (mask == 1).all()


@settings(max_examples=40, deadline=None)
@given(native=st.integers(17, 434), depth=st.integers(1, 128))
def test_depth_is_resized_with_half_pixel_centres(native: int, depth: int) -> None:
    """Against scipy's grid mode, which clamps at the ends."""
    array = np.random.default_rng(native).integers(0, 256, (native, 2, 3), np.uint8)
    size = (depth, 2, 3)
    (grey,) = preprocess(volume_of(array), Preprocessing(size=size, channels=("grey",)))
    standard = (array.astype(float) - array.mean()) / array.std()
    place = np.clip((np.arange(depth) + 0.5) * native / depth - 0.5, 0, native - 1)
    for y, x in np.ndindex(2, 3):
        expected = np.interp(place, np.arange(native), standard[:, y, x])
        np.testing.assert_allclose(grey[:, y, x], expected, atol=1e-4)


@pytest.mark.parametrize("depth", [18, 33, 72])
def test_depth_as_scipy_s_grid_mode_enlarges_it(depth: int) -> None:
    array = noise(18, 4, 5)[..., 0]
    (grey,) = preprocess(volume_of(array), Preprocessing(size=(depth, 4, 5), channels=("grey",)))
    standard = (array.astype(float) - array.mean()) / array.std()
    expected = zoom(standard, (depth / 18, 1, 1), order=1, mode="nearest", grid_mode=True)
    np.testing.assert_allclose(grey, expected, atol=1e-4)


def test_a_ramp_in_depth_stays_a_ramp() -> None:
    """Slices at the resized positions; the ends repeat the first and the last slice."""
    ramp = np.broadcast_to(4 * np.arange(60, dtype=np.uint8)[:, None, None], (60, 4, 4))
    (grey,) = preprocess(volume_of(ramp), Preprocessing(size=(48, 4, 4), channels=("grey",)))
    place = (np.arange(48) + 0.5) * 60 / 48 - 0.5
    expected = (4 * place - 4 * 29.5) / np.std(4 * np.arange(60))
    np.testing.assert_allclose(grey[:, 1, 2], expected, atol=1e-4)


def test_a_slice_is_averaged_where_it_shrinks() -> None:
    array = noise(3, 16, 24)[..., 0]
    (grey,) = preprocess(volume_of(array), Preprocessing(size=(3, 8, 6), channels=("grey",)))
    blocks = array.reshape(3, 8, 2, 6, 4).mean(axis=(2, 4))
    np.testing.assert_allclose(grey, (blocks - blocks.mean()) / blocks.std(), atol=1e-4)


def test_a_slice_is_interpolated_where_it_grows() -> None:
    array = noise(3, 10, 14)[..., 0]
    (grey,) = preprocess(volume_of(array), Preprocessing(size=(3, 25, 28), channels=("grey",)))
    larger = zoom(array.astype(float), (1, 2.5, 2), order=1, mode="nearest", grid_mode=True)
    np.testing.assert_allclose(grey, (larger - larger.mean()) / larger.std(), atol=1e-3)


# --- Change -----------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 9, 30])
def test_a_still_stack_does_not_change(depth: int) -> None:
    still = np.repeat(noise(1), depth, axis=0)
    _, change, _ = preprocess(volume_of(still), Preprocessing(size=(12, 32, 32)))
    assert np.abs(change).max() < 1e-6


def test_change_is_the_mean_step_to_both_neighbours_over_the_spread() -> None:
    levels = np.array([10, 40, 30, 30, 100], np.uint8)
    array = np.broadcast_to(levels[:, None, None], (5, 8, 8))
    (change,) = preprocess(volume_of(array), Preprocessing(size=(5, 8, 8), channels=("change",)))
    expected = np.array([30, (30 + 10) / 2, (10 + 0) / 2, (0 + 70) / 2, 70]) / levels.std()
    np.testing.assert_allclose(change, np.broadcast_to(expected[:, None, None], (5, 8, 8)), 1e-4)


def test_change_is_taken_between_slices_smoothed_by_one_pixel() -> None:
    array = noise(2, 40, 40)[..., 0].astype(np.uint8)
    (change,) = preprocess(volume_of(array), Preprocessing(size=(2, 40, 40), channels=("change",)))
    smooth = [gaussian_filter(plane.astype(float), 1.0) for plane in array]
    expected = np.abs(smooth[1] - smooth[0]) / array.std()
    inside = (slice(None), slice(8, -8), slice(8, -8))
    np.testing.assert_allclose(change[inside], np.stack([expected] * 2)[inside], atol=0.01)


@pytest.mark.parametrize("axes", FLIPS)
def test_a_mirrored_volume_gives_the_mirrored_input(axes: tuple[int, ...]) -> None:
    """The flips averaged at test time are those of the volume; time reversal is one of them."""
    mask = np.random.default_rng(1).random((20, 24)) > 0.5
    preprocessing = Preprocessing(size=(16, 32, 32))
    plain = preprocess(volume_of(noise(), mask), preprocessing)
    turned = mirrored(noise()[..., 0], axes)[..., None]
    plane_axes = tuple(axis for axis in axes if axis != -3)
    found = preprocess(volume_of(turned, mirrored(mask, plane_axes)), preprocessing)
    np.testing.assert_allclose(found, mirrored(plain, axes), atol=1e-4)


# --- Mask -------------------------------------------------------------------------------------


def test_the_mask_is_the_filled_outline_in_every_slice() -> None:
    mask = np.zeros((20, 24), bool)
    mask[5:15, 6:18] = True
    _, _, plane = preprocess(volume_of(noise(), mask), Preprocessing(size=(9, 20, 24)))
    np.testing.assert_array_equal(plane, np.broadcast_to(mask, (9, 20, 24)))
    _, _, larger = preprocess(volume_of(noise(), mask), Preprocessing(size=(12, 40, 48)))
    assert set(np.unique(larger)) >= {0.0, 1.0} and larger.min() >= 0 and larger.max() <= 1
    assert larger.mean() == pytest.approx(mask.mean(), abs=0.01)


# --- Options ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(48, 64), (48, 64, 64, 3), (0, 64, 64), (48, -1, 64), ()])
def test_bad_sizes(size: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"size is \(.*three positive extents \(z, y, x\)"):
        Preprocessing(size=size)


@pytest.mark.parametrize("channels", [(), ("gray",), ("grey", "red")])
def test_bad_channels(channels: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"channels are \(.*allowed are grey, change, mask"):
        Preprocessing(size=(48, 64, 64), channels=channels)


def test_json_gives_it_back() -> None:
    preprocessing = Preprocessing(size=(48, 64, 64), channels=("mask", "grey"))
    fields = json.loads(json.dumps(asdict(preprocessing)))
    assert Preprocessing.from_dict(fields) == preprocessing
