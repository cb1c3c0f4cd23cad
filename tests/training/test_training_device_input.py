"""Preprocessing on a device: `Preprocessing` itself to the rounding of float32, for every size."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from stallscan.augment import Preprocessing
from stallscan.augment.evaluation import CHANNELS, to_grey
from stallscan.errors import OptionError
from stallscan.training import _device_input
from stallscan.training.device_augment import RawBatch, RawSample, on_device

CPU = torch.device("cpu")
ALL = Preprocessing(size=(8, 16, 16), channels=CHANNELS)


def noise(shape: tuple[int, ...], channels: int, seed: int = 0) -> RawSample:
    """Nothing is smooth in it: a weight that is wrong shows."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (*shape, channels), np.uint8)
    return RawSample(image, rng.integers(0, 2, shape[1:], np.uint8), None)


def check(sample: RawSample, pre: Preprocessing) -> None:
    image = sample.image if pre.is_colour else to_grey(sample.image)
    expected = pre(image=image, mask=sample.mask)["image"]
    found = on_device(RawBatch.pack([sample]), None, pre, CPU)[0].numpy()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("width", [1, 2, 7, 16, 17, 24, 31, 32, 90])
def test_planes_that_shrink_and_grow(width: int, channels: int) -> None:
    """By whole numbers or not, one axis or both, in both directions at once."""
    for height in (2, 9, 16, 21, 32, 61):
        check(noise((5, height, width), channels), ALL)


@pytest.mark.parametrize("depth", [1, 2, 3, 8, 11, 16, 33])
def test_depths_that_shrink_and_grow(depth: int) -> None:
    check(noise((depth, 14, 15), 3), ALL)
    check(noise((depth, 14, 15), 1), Preprocessing(size=(None, 12, 12), channels=CHANNELS))


def test_where_voxels_end_together_opencv_decides() -> None:
    """Planes of which one axis grows and one shrinks, at ratios that are no binary fractions."""
    for height, width in itertools.product((10, 12, 14), (20, 26, 33, 39, 52)):
        pre = Preprocessing(size=(3, 15, 20), channels=("red", "mask"))
        check(noise((3, height, width), 1), pre)


@pytest.mark.parametrize("channels", [(name,) for name in CHANNELS])
def test_each_channel_alone(channels: tuple[str, ...]) -> None:
    check(noise((6, 20, 13), 3), Preprocessing(size=(9, 16, 16), channels=channels))


def test_channels_in_the_order_asked_for() -> None:
    for channels in (("mask", "grey"), ("blue", "change", "red"), ("grey", "grey")):
        check(noise((6, 20, 13), 3), Preprocessing(size=(9, 16, 16), channels=channels))


def test_an_even_image_stays_even() -> None:
    image = np.full((4, 9, 9, 1), 100, np.uint8)
    sample = RawSample(image, np.ones((9, 9), np.uint8), None)
    found = on_device(RawBatch.pack([sample]), None, Preprocessing(size=(8, 16, 16)), CPU)[0]
    for channel, value in enumerate((0, 0, 1)):
        torch.testing.assert_close(found[channel], torch.full((8, 16, 16), float(value)))


def test_luma_is_opencvs_for_every_sixth_colour() -> None:
    greys = np.arange(0, 256, 6, np.uint8)
    colours = np.stack(np.meshgrid(greys, greys, greys, indexing="ij"), axis=-1)
    found = _device_input.to_grey(torch.tensor(colours).permute(3, 0, 1, 2).float())
    np.testing.assert_array_equal(found[0].numpy(), to_grey(colours))


def test_a_view_along_the_vessel_is_refused() -> None:
    batch = RawBatch.pack([noise((5, 20, 30), 1)])
    along = Preprocessing(size=(8, 16, 16), view="vessel")
    with pytest.raises(OptionError, match=r"Preprocessing.view is 'vessel', allowed on a device"):
        on_device(batch, None, along, CPU)
