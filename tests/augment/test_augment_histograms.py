"""Histograms: spread as OpenCV spreads them, matched at the percentiles of a profile."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pixel_volumes import WHITE, check_pure, drawn, every_dtype, every_shape, in_greys, noise_volume

from stallscan.augment import HistogramMatching, HistogramNormalize
from stallscan.augment._transform import Pixel
from stallscan.errors import OptionError

KINDS: list[Pixel] = [HistogramNormalize((0.2, 1)), HistogramMatching()]
WHOLE = {"blend": 1.0}
DARK = (0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 30, 60, 200)


def smooth_volume(dtype: str = "uint8", seed: int = 0) -> NDArray[Any]:
    """Dim and skewed, as a volume of vessels is."""
    share = np.random.default_rng(seed).gamma(2, 0.08, (6, 40, 41, 3))
    whole = np.clip(share, 0, 1) * WHITE[dtype]
    return (whole if dtype == "float32" else np.rint(whole)).astype(dtype)


@every_dtype
@every_shape
@pytest.mark.parametrize("transform", KINDS)
def test_they_are_pure(dtype: str, shape: tuple[int, ...], transform: Pixel) -> None:
    check_pure(transform, noise_volume(shape, dtype))


@pytest.mark.parametrize("transform", [*KINDS, HistogramMatching((DARK,), 1)])
def test_a_picture_is_the_same_in_every_dtype(transform: Pixel) -> None:
    bytes_ = smooth_volume()
    words, floats = bytes_.astype(np.uint16) * 257, bytes_ / np.float32(255)
    params = drawn(transform, bytes_.shape)
    found = [in_greys(transform.apply(form, params)) for form in (bytes_, words, floats)]
    np.testing.assert_allclose(found[1], found[2], atol=0.003)
    np.testing.assert_allclose(found[0], found[2], atol=0.501)


@pytest.mark.parametrize("transform", [HistogramNormalize(), HistogramMatching(blend_ratio=1)])
@every_dtype
def test_one_rising_curve_for_all_frames_and_channels(transform: Pixel, dtype: str) -> None:
    volume = smooth_volume(dtype)
    volume[3] = volume[3] // 2 if dtype != "float32" else volume[3] / 2  # a dim frame
    found = transform.apply(volume, drawn(transform, volume.shape))
    order = np.argsort(volume, axis=None, kind="stable")
    before, after = volume.reshape(-1)[order], found.reshape(-1)[order].astype(np.float64)
    steps = np.diff(after)
    assert (steps >= -1e-6).all()
    assert (steps[np.diff(before) == 0] == 0).all()
    assert in_greys(found)[3].mean() < 0.75 * in_greys(found)[2].mean()


# Spread


@pytest.mark.parametrize("shape", [(6, 40, 41), (5, 9, 11, 3)])
def test_spread_as_opencv_does(shape: tuple[int, ...]) -> None:
    volume = smooth_volume().reshape(-1)[: np.prod(shape)].reshape(shape)
    expected = cv2.equalizeHist(volume.reshape(len(volume), -1)).reshape(shape)
    np.testing.assert_array_equal(HistogramNormalize().apply(volume, WHOLE), expected)


@every_dtype
def test_all_levels_are_alike_frequent(dtype: str) -> None:
    found = in_greys(HistogramNormalize().apply(smooth_volume(dtype), WHOLE))
    for level in range(10, 250, 20):
        assert (found <= level).mean() == pytest.approx(level / 255, abs=0.025)
    assert (found.min(), found.max()) == pytest.approx((0, 255), abs=1)


def test_a_blend_lies_between() -> None:
    volume = smooth_volume("float32")
    spread = HistogramNormalize().apply(volume, WHOLE)
    found = HistogramNormalize().apply(volume, {"blend": 0.3})
    np.testing.assert_allclose(found, 0.7 * volume + 0.3 * spread, atol=1e-6)


@every_dtype
def test_a_volume_of_one_level_stays(dtype: str) -> None:
    volume = np.full((3, 4, 5), WHITE[dtype] * 2 // 5, dtype)
    for transform in (HistogramNormalize(), HistogramMatching((DARK,), 1)):
        found = transform.apply(volume, drawn(transform, volume.shape))
        assert np.ptp(found) == 0
    np.testing.assert_array_equal(HistogramNormalize().apply(volume, WHOLE), volume)


# Matched


def test_a_profile_is_what_numpy_takes_for_percentiles() -> None:
    volume, percentiles = smooth_volume(), HistogramMatching.percentiles
    assert percentiles[0] == 0 and percentiles[-1] == 100 and len(percentiles) == 15
    expected = np.percentile(volume, percentiles, method="inverted_cdf")
    profile = HistogramMatching.profile(volume)
    assert profile == tuple(expected)
    for n in (1, 7, 13, 50, 333):
        few = noise_volume((1, 1, n), "uint8", n)
        expected = np.percentile(few, percentiles, method="inverted_cdf")
        assert HistogramMatching.profile(few) == tuple(expected)
    assert HistogramMatching.profile(volume.astype(np.uint16) * 257) == profile
    assert HistogramMatching.profile(volume / np.float32(255)) == profile
    assert HistogramMatching.profile(np.zeros((1, 1, 1), np.uint8)) == (0,) * 15


@every_dtype
def test_matched_to_itself_a_volume_stays(dtype: str) -> None:
    for volume in (smooth_volume(dtype), noise_volume((3, 5, 7), dtype)):
        transform = HistogramMatching((HistogramMatching.profile(volume),), 1)
        found = transform.apply(volume, {"reference": 0, "blend": 1.0})
        np.testing.assert_array_equal(found, volume)


@every_dtype
def test_a_matched_volume_has_the_profile_of_the_reference(dtype: str) -> None:
    references = tuple(HistogramMatching.profile(smooth_volume(seed=s) // 2 + 40) for s in (1, 2))
    transform = HistogramMatching((DARK, *references))
    for number, reference in enumerate((DARK, *references)):
        found = transform.apply(smooth_volume(dtype), {"reference": number, "blend": 1.0})
        np.testing.assert_allclose(HistogramMatching.profile(found), reference, atol=1.01)


def test_percentages_that_share_a_level_share_the_middle_of_the_references() -> None:
    volume = np.zeros((1, 10, 10), np.uint8)
    volume[0, 5:] = 100  # 0 to 50 % are 0, the rest 100
    reference = tuple(range(0, 150, 10))
    found = HistogramMatching((reference,), 1).apply(volume, {"reference": 0, "blend": 1.0})
    assert HistogramMatching.percentiles[7] == 50
    assert set(found[0, :5].flat) == {35} and set(found[0, 5:].flat) == {110}


def test_references_are_drawn_alike_often() -> None:
    rng = np.random.default_rng(0)
    transform = HistogramMatching((DARK,) * 3, (0.25, 0.5))
    params = [transform.sample(rng, (1, 1, 1)) for _ in range(600)]
    assert all(150 < n < 250 for n in np.bincount([each["reference"] for each in params]))
    blends = [each["blend"] for each in params]
    assert 0.25 <= min(blends) < 0.26 and 0.49 < max(blends) <= 0.5


def test_without_references_the_levels_become_even() -> None:
    found = HistogramMatching(blend_ratio=1, p=1)(image=smooth_volume(), rng=0)["image"]
    even = 2.55 * np.array(HistogramMatching.percentiles)
    np.testing.assert_allclose(HistogramMatching.profile(found), even, atol=10)


# Bad arguments

OPTIONS: list[tuple[type, dict[str, Any], str]] = [
    (HistogramNormalize, {"blend_ratio": 1.5}, "blend_ratio is 1.5, allowed are 0 to 1"),
    (HistogramNormalize, {"blend_ratio": (1, 0.5)}, r"blend_ratio is \(1, 0.5\): reversed"),
    (HistogramMatching, {"blend_ratio": -0.1}, "blend_ratio is -0.1, allowed are 0 to 1"),
    (HistogramMatching, {"references": ()}, r"references is \(\), allowed are profiles, one at"),
    (HistogramMatching, {"references": 128}, "references is 128, allowed are profiles.*and None"),
    (HistogramMatching, {"references": DARK}, "references has 0, allowed are 15 grey levels"),
    (HistogramMatching, {"references": (DARK[:9],)}, r"references has \(0, 2.*allowed are 15"),
    (HistogramMatching, {"references": (DARK[::-1],)}, r"references has \(200, .*none below"),
    (HistogramMatching, {"references": ((*DARK[:14], 256),)}, "references has .*0 to 255"),
    (HistogramMatching, {"references": ((float("nan"), *DARK[1:]),)}, r"references has \(nan"),
    (HistogramMatching, {"references": ("a" * 15,)}, "references has 'aaa"),
]


@pytest.mark.parametrize(("kind", "options", "message"), OPTIONS)
def test_wrong_options_are_named(kind: type, options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=f"{kind.__name__}.{message}"):
        kind(**options)


def test_no_volume_has_no_profile() -> None:
    with pytest.raises(OptionError, match=r"HistogramMatching.profile's volume has shape \(3, 4\)"):
        HistogramMatching.profile(np.zeros((3, 4), np.uint8))
    with pytest.raises(OptionError, match=r"HistogramMatching: float32 images lie in \[0, 1\]"):
        HistogramMatching.profile(np.full((3, 4, 5), 2, np.float32))
