"""Volume → network input: shapes, grey, change, outline and colours, half-pixel resizing."""

import json
import re
from dataclasses import asdict
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, zoom

from stallscan.augment import FLIPS, Preprocessing, mirrored, preprocess
from stallscan.augment.evaluation import (
    CHANNELS,
    COLOURS,
    IMAGENET_MEAN,
    IMAGENET_STD,
    to_grey,
)
from stallscan.models.published import MEAN, STD
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
    "channels",
    [
        ("grey",),
        ("mask", "grey"),
        ("change", "mask", "grey"),
        ("grey", "change"),
        COLOURS,
        ("blue", "mask", "green", "change", "red", "grey"),
    ],
)
def test_channels_come_in_the_order_asked_for(channels: tuple[str, ...]) -> None:
    rng = np.random.default_rng(0)
    volume = volume_of(noise(channels=3), mask=rng.random((20, 24)) > 0.5)
    whole = preprocess(volume, Preprocessing(size=(16, 32, 32), channels=CHANNELS))
    assert all((a != b).any() for a, b in combinations(whole, 2))
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
    preprocessing = Preprocessing(size=(16, 32, 32), channels=CHANNELS)
    array = noise(channels=3)
    plain = preprocess(volume_of(array, mask), preprocessing)
    turned = np.moveaxis(mirrored(np.moveaxis(array, 3, 0), axes), 0, 3)
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


# --- Colours ----------------------------------------------------------------------------------


def test_colours_are_on_the_scale_of_imagenets() -> None:
    """Black and white as torchvision's normalisation has them; no statistics of the stack."""
    array = np.zeros((3, 4, 5, 3), np.uint8)
    array[..., 0], array[1] = 255, (0, 51, 255)
    found = preprocess(volume_of(array), Preprocessing(size=(3, 4, 5), channels=COLOURS))
    black = [-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225]
    outer = [0.515 / 0.229, black[1], black[2]]
    middle = [black[0], (0.2 - 0.456) / 0.224, 0.594 / 0.225]
    expected = np.stack([outer, middle, outer], axis=1)[:, :, None, None]
    np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), rtol=1e-5)


def test_the_scale_is_the_one_that_pretrained_weights_expect() -> None:
    assert (IMAGENET_MEAN, IMAGENET_STD) == (MEAN, STD)


@pytest.mark.parametrize("native", [(9, 20, 24), (60, 66, 67), (1, 40, 30), (5, 32, 40)])
def test_colours_are_resized_as_the_grey_is(native: tuple[int, int, int]) -> None:
    """Where grey says what a resized colour is, but for a factor and an offset."""
    channels, size = ("grey", *COLOURS), (16, 32, 48)
    array = noise(*native)
    grey, *colours = preprocess(volume_of(array), Preprocessing(size=size, channels=channels))
    alone = Preprocessing(size=(native[0], *size[1:]), channels=("red",))
    (flat,) = preprocess(volume_of(array), alone)  # its statistics are those grey is free of
    for colour, mean, std in zip(colours, MEAN, STD, strict=True):
        level = grey * (flat.std() * STD[0]) + flat.mean() * STD[0] + MEAN[0]
        np.testing.assert_allclose(colour, (level - mean) / std, atol=1e-4)


def test_one_channel_serves_as_all_three_colours() -> None:
    preprocessing = Preprocessing(size=(12, 32, 30), channels=COLOURS)
    one = preprocess(volume_of(noise()), preprocessing)
    three = preprocess(volume_of(np.repeat(noise(), 3, axis=3)), preprocessing)
    np.testing.assert_array_equal(one, three)
    np.testing.assert_array_equal(preprocessing(image=noise()[..., 0])["image"], three)


def test_the_drawn_line_shows_in_the_colours() -> None:
    array = np.full((4, 16, 16, 3), 60, np.uint8)
    array[:, 3, 3:13] = (240, 104, 17)
    red, _, blue = preprocess(volume_of(array), Preprocessing(size=(4, 16, 16), channels=COLOURS))
    assert (red[:, 3, 5] > red[:, 10, 5]).all() and (blue[:, 3, 5] < blue[:, 10, 5]).all()


@pytest.mark.parametrize(
    ("channels", "is_colour"),
    [(("grey", "change", "mask"), False), (("mask",), False), (("mask", "blue"), True)],
)
def test_whether_colours_are_asked_for(channels: tuple[str, ...], is_colour: bool) -> None:
    assert Preprocessing(size=(4, 8, 8), channels=channels).is_colour is is_colour


# --- What is not resized ----------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 9, 60])
def test_a_stack_keeps_its_own_depth(depth: int) -> None:
    volume = volume_of(noise(depth, channels=3))
    found = preprocess(volume, Preprocessing(size=(None, 32, 40), channels=CHANNELS))
    assert found.shape == (len(CHANNELS), depth, 32, 40)
    asked_for = Preprocessing(size=(depth, 32, 40), channels=CHANNELS)
    np.testing.assert_array_equal(found, preprocess(volume, asked_for))


@pytest.mark.parametrize("depth", [None, 9])
def test_nothing_is_resized_where_the_size_is_right(
    depth: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cv2.resize", None)
    array, mask = noise(channels=3), np.eye(20, 24, dtype=bool)
    found = preprocess(
        volume_of(array, mask), Preprocessing(size=(depth, 20, 24), channels=("mask", "green"))
    )
    np.testing.assert_array_equal(found[0], np.broadcast_to(mask, (9, 20, 24)))
    np.testing.assert_allclose(found[1], (array[..., 1] / 255 - MEAN[1]) / STD[1], atol=1e-5)
    array[:], mask[:] = 0, 0  # the input is no view of them
    assert found[0].sum() == 9 * 20 and found[1].std() > 0


# --- Options ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "size",
    [
        (48, 64),
        (48, 64, 64, 3),
        (0, 64, 64),
        (48, -1, 64),
        (48, 64.0, 64),
        (48, "64", 64),
        (),
        (None, 64),
        (None, 64, 0),
        (48, None, 64),
        (None, 64, None),
        (None, 48, 64, 64),
    ],
)
def test_bad_sizes(size: tuple[int | None, ...]) -> None:
    with pytest.raises(
        ValueError,
        match=rf"size is {re.escape(str(size))}.*three positive extents \(z, y, x\) in whole "
        "numbers, None for z where a stack keeps its own depth",
    ):
        Preprocessing(size=size)


@pytest.mark.parametrize("channels", [(), ("gray",), ("grey", "orange")])
def test_bad_channels(channels: tuple[str, ...]) -> None:
    with pytest.raises(
        ValueError,
        match=rf"channels are {re.escape(str(channels))}.*allowed are grey, change, mask, red, "
        "green, blue",
    ):
        Preprocessing(size=(48, 64, 64), channels=channels)


@pytest.mark.parametrize("size", [(48, 64, 64), (None, 160, 160)])
def test_json_gives_it_back(size: tuple[int | None, int, int]) -> None:
    preprocessing = Preprocessing(size=size, channels=("mask", "grey", "red"))
    fields = json.loads(json.dumps(asdict(preprocessing)))
    assert Preprocessing.from_dict(fields) == preprocessing


def test_fields_of_an_earlier_model_still_say_the_same() -> None:
    fields = {"size": [48, 64, 64], "channels": ["grey", "change", "mask"]}
    assert Preprocessing.from_dict(fields) == Preprocessing(size=(48, 64, 64))
