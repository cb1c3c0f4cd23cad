"""The view along a vessel."""

import cv2
import numpy as np
import pytest

from stallscan.augment import Preprocessing, preprocess
from stallscan.augment.evaluation import CHANNELS
from stallscan.augment.straighten import straightening
from stallscan.errors import OptionError
from stallscan.roi import Volume
from stallscan.types import BoolArray, Box


def curved(radius: int = 10) -> tuple[np.ndarray, BoolArray]:
    """``(100, 120)`` uint8 with a vessel 5 px wide, and its outline."""
    angles = np.linspace(np.pi, 1.8 * np.pi, 40)
    points = np.stack([60 + 40 * np.cos(angles), 60 + 40 * np.sin(angles)], axis=1)
    vessel = np.zeros((100, 120), np.uint8)
    cv2.polylines(vessel, [np.round(points).astype(np.int32)], False, 200, 5)
    thin = np.zeros((100, 120), np.uint8)
    cv2.polylines(thin, [np.round(points).astype(np.int32)], False, 1, 1)
    return vessel, cv2.distanceTransform(1 - thin, cv2.DIST_L2, 5) <= radius


def volume_of(array: np.ndarray, mask: BoolArray) -> Volume:
    array = array if array.ndim == 4 else array[..., None]
    box = Box(0, 0, 0, *array.shape[:3])
    return Volume(array=array, mask=mask, line=np.zeros_like(mask), box=box, source="drawn")


def noise(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, shape, np.uint8)


def test_a_bent_vessel_becomes_straight() -> None:
    vessel, mask = curved()
    straight = straightening(mask, (96, 16), 1.25)(vessel[None])[0]
    assert straight.shape == (96, 16) and straight.dtype == np.float32
    across = straight[20:-20].mean(axis=0)
    assert across[7:9].min() > 180 and across[[0, 1, 2, 13, 14, 15]].max() < 5
    # In every row, not on average alone.
    assert straight[20:-20, 7:9].min() > 150


def test_the_scale_is_the_same_along_and_across() -> None:
    view = straightening(np.ones((21, 60), bool), (64, 16), 1.5)
    assert (view.spacing_px, view.fine) == (1.5, 1)
    along = np.hypot(np.diff(view.x, axis=0), np.diff(view.y, axis=0))
    across = np.hypot(np.diff(view.x, axis=1), np.diff(view.y, axis=1))
    assert np.median(along) == pytest.approx(1.5, rel=0.02)
    np.testing.assert_allclose(across, 1.5, rtol=1e-3)


def test_what_is_too_long_is_seen_whole_at_a_coarser_scale() -> None:
    mask = np.zeros((30, 320), bool)
    mask[5:25, 5:315] = True
    view = straightening(mask, (64, 16), 1.25)
    assert view.spacing_px == pytest.approx(310 / 64, rel=0.05)
    assert view.x.min() < 8 and view.x.max() > 311
    assert view.fine == 4  # averaged, not skipped
    stripes = np.zeros((1, 30, 320), np.uint8)
    stripes[..., ::2] = 200
    seen = view(stripes)[0, 2:-2, 8]
    assert seen == pytest.approx(100, abs=25)


def test_a_constant_stack_stays_constant_inside_and_nothing_lies_outside() -> None:
    mask = np.ones((20, 70), bool)
    straight = straightening(mask, (96, 32), 1.25)(np.full((2, 20, 70), 90, np.uint8))
    assert straight[:, 30:66, 12:20] == pytest.approx(90, abs=1e-3)
    assert not straight[:, :8].any() and not straight[:, :, :4].any()  # beyond the ROI


def test_every_channel_is_seen_in_the_same_way() -> None:
    _, mask = curved()
    array = np.repeat(noise((12, 100, 120, 1)), 3, axis=3)
    array[..., 1] = 255 - array[..., 0]
    preprocessing = Preprocessing(size=(12, 80, 16), channels=CHANNELS, view="vessel")
    made = dict(zip(CHANNELS, preprocess(volume_of(array, mask), preprocessing), strict=True))
    assert all(plane.shape == (12, 80, 16) for plane in made.values())
    view = straightening(mask, (80, 16), 1.25)
    grey = view(np.stack([cv2.cvtColor(a, cv2.COLOR_RGB2GRAY) for a in array]))
    np.testing.assert_allclose(made["grey"], (grey - grey.mean()) / grey.std(), atol=1e-4)
    np.testing.assert_allclose(made["mask"], view(mask[None].astype(np.uint8)).repeat(12, 0))
    for place, colour in enumerate(("red", "green", "blue")):
        plain = view(array[..., place])
        np.testing.assert_allclose(np.corrcoef(made[colour].ravel(), plain.ravel())[0, 1], 1)
    assert made["mask"][:, 30:50, 4:12].min() == 1 and made["mask"][:, 30:50].max() == 1
    assert made["mask"][:, 40, 0].max() < 1


def test_depth_is_resized_as_in_the_box() -> None:
    _, mask = curved()
    array = noise((31, 100, 120))
    native = preprocess(
        volume_of(array, mask),
        Preprocessing(size=(None, 64, 16), channels=("change",), view="vessel"),
    )
    assert native.shape == (1, 31, 64, 16)
    still = preprocess(
        volume_of(np.repeat(array[:1], 31, 0), mask),
        Preprocessing(size=(48, 64, 16), channels=("change",), view="vessel"),
    )
    assert still.shape == (1, 48, 64, 16) and not still.any()


def test_an_augmented_outline_is_that_of_most_slices() -> None:
    _, mask = curved()
    array = noise((9, 100, 120))
    masks = np.repeat(mask[None], 9, 0).astype(np.uint8)
    preprocessing = Preprocessing(size=(9, 64, 16), channels=("grey",), view="vessel")
    expected = preprocessing(image=array, mask=mask)["image"]
    masks[:4] = 0  # lost in four of nine
    np.testing.assert_array_equal(preprocessing(image=array, mask=masks)["image"], expected)


def test_it_comes_back_from_json() -> None:
    preprocessing = Preprocessing(size=(None, 64, 16), view="vessel", spacing_px=2.0)
    assert (
        Preprocessing.from_dict(
            {
                "size": [None, 64, 16],
                "channels": ["grey", "change", "mask"],
                "view": "vessel",
                "spacing_px": 2.0,
            }
        )
        == preprocessing
    )
    assert Preprocessing.from_dict({"size": [8, 64, 16]}).view == "box"  # written before


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"view": "fisheye"}, "view is 'fisheye', allowed are 'box' and 'vessel'"),
        ({"spacing_px": 0.1}, "spacing_px is 0.1, allowed are 0.25 to 16"),
        ({"spacing_px": float("nan")}, "spacing_px is nan, allowed are 0.25 to 16"),
    ],
)
def test_what_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Preprocessing(size=(8, 64, 16), **fields)  # type: ignore[arg-type]


def test_an_outline_is_needed() -> None:
    preprocessing = Preprocessing(size=(8, 64, 16), channels=("grey",), view="vessel")
    with pytest.raises(OptionError, match="the vessel's view needs mask="):
        preprocessing(image=noise((8, 30, 40)))
    with pytest.raises(OptionError, match="is empty; give a filled outline"):
        preprocessing(image=noise((8, 30, 40)), mask=np.zeros((30, 40), bool))
