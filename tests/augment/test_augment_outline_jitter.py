"""OutlineJitter: what moves, grows and wobbles, by how much, and what never happens."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pulls import drawn_as
from scipy.ndimage import binary_dilation, binary_erosion, center_of_mass
from scipy.stats import kstest

from stallscan.augment import OutlineJitter
from stallscan.errors import OptionError

PLANE = (60, 70)
Y, X = np.indices(PLANE)


def disc(radius: float, y: float = 30, x: float = 34) -> Any:
    return np.hypot(Y - y, X - x) < radius


def redrawn(mask: Any, **drawn: Any) -> Any:
    """What these parameters make of a frame or a stack."""
    jitter = OutlineJitter(wobble_length=drawn.pop("wobble_length", 10), p=1)
    params = {"shift": [0.0, 0.0], "grow": 0.0, "wobble": 0.0, "noise_seed": 0, **drawn}
    stack = mask if mask.ndim > 2 else mask[None]
    found = jitter.replay(drawn_as(jitter, params, stack.shape), mask=stack)["mask"]
    return found if mask.ndim > 2 else found[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shift_limit": (2, 1)}, r"shift_limit is \(2, 1\): reversed"),
        ({"grow_limit": "1"}, "grow_limit is '1', allowed are a number or a pair"),
        ({"wobble_limit": -1}, "wobble_limit is -1"),
        ({"wobble_limit": (-1, 1)}, r"wobble_limit is \(-1, 1\), allowed are 0 to"),
        ({"wobble_length": 0}, "wobble_length is 0, allowed are 1 to"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=f"OutlineJitter.{message}"):
        OutlineJitter(**options)


def test_a_shift_of_whole_voxels_is_exact_and_beyond_the_border_the_mask_goes_on() -> None:
    mask = disc(9) | (X < 3)
    found = redrawn(mask, shift=[4, -2])
    expected = np.zeros_like(mask)
    expected[4:, :-2] = mask[:-4, 2:]
    np.testing.assert_array_equal(found[8:, :-2], expected[8:, :-2])
    found = redrawn(mask, shift=[0, 5])
    assert found[:, :8].all() and not found[:, 8:20].any()


@pytest.mark.parametrize("grow", [1, 2.5, 6])
def test_growing_and_shrinking_are_dilation_and_erosion_by_a_ball(grow: float) -> None:
    """Of what is drawn half a voxel beside the voxels: a corner's rounding differs at most."""
    mask = disc(14) | ((abs(Y - 30) < 5) & (X > 20) & (X < 60))
    reach = int(grow) + 1
    offsets = np.hypot(*np.indices((2 * reach + 1,) * 2) - reach)
    for sign, operate in ((1, binary_dilation), (-1, binary_erosion)):
        # A voxel is in where its centre lies beyond the outline by less than what was grown.
        expected = operate(mask, offsets < grow + (0.5 if sign > 0 else 0.5 + 1e-6))
        found = redrawn(mask, grow=sign * grow)
        assert (found != expected).mean() < 0.004


def test_fractions_of_a_voxel_move_and_grow_on_average() -> None:
    """Voxels round: the centre goes on by the shift, the radius by the growth over many of them."""
    rng = np.random.default_rng(0)
    shifts, gains = [], []
    for grow in np.linspace(-1.95, 1.95, 40):
        mask = disc(12 + rng.random(), 30 + rng.random(), 34 + rng.random())
        found = redrawn(mask, shift=[0.7, -0.4])
        shifts.append(np.subtract(center_of_mass(found), center_of_mass(mask)))
        area, before = (np.sqrt(each.sum() / np.pi) for each in (redrawn(mask, grow=grow), mask))
        gains.append(area - before)
    np.testing.assert_allclose(np.mean(shifts, axis=0), [0.7, -0.4], atol=0.2)
    slope = np.polyfit(np.linspace(-1.95, 1.95, 40), gains, 1)[0]
    assert abs(slope - 1) < 0.15 and abs(np.mean(gains)) < 0.05


def edges_of(bands: Any) -> Any:
    """``(n, 2, x)`` first and last row of a horizontal band in each column, outwards."""
    first = np.argmax(bands, axis=1)
    last = PLANE[0] - 1 - np.argmax(bands[:, ::-1], axis=1)
    return np.stack([-first, last], axis=1).astype(float)


def test_the_wobble_has_its_strength_its_length_and_differs_between_the_sides() -> None:
    """On a band: the standard deviation of its edges, 1/e at the length, no correlation across."""
    band = abs(Y - 30) < 9
    bands = np.array(
        [redrawn(band, wobble=1.5, wobble_length=8, noise_seed=seed) for seed in range(250)]
    )
    edges = edges_of(bands)
    edges -= edges_of(band[None])
    assert abs(edges.mean()) < 0.1
    spread = np.sqrt(np.square(edges).mean(axis=(0, 1)) - 1 / 12)  # but for rounding
    np.testing.assert_allclose(spread, 1.5, rtol=0.15)  # at the border too
    away = edges / 1.5
    assert abs(np.mean(away[..., :-8] * away[..., 8:]) - np.exp(-1)) < 0.08
    assert abs(np.mean(away[:, 0] * away[:, 1])) < 0.1


def test_every_frame_gets_the_same_hand_and_frames_may_differ() -> None:
    jitter = OutlineJitter(2, 2, (1, 1), p=1)
    first, second = disc(15), disc(8, 20, 20)
    stack = np.array([first, first, second, first, np.zeros(PLANE, bool), second])
    record = jitter.record(3, stack.shape)
    found = jitter.replay(record, mask=stack)["mask"]
    for frame, expected in zip(stack, found, strict=True):
        alone = jitter.replay(drawn_as(jitter, record["drawn"], (1, *PLANE)), mask=frame[None])
        np.testing.assert_array_equal(alone["mask"][0], expected)
    assert not found[4].any() and (found[0] != first).any()
    both = jitter.replay(record, mask=np.stack([stack, stack[::-1]], axis=-1))["mask"]
    np.testing.assert_array_equal(both[..., 0], found)
    np.testing.assert_array_equal(both[..., 1], found[::-1])


def test_labels_move_together_exactly_and_take_what_grows_beside_them() -> None:
    big = 2**60
    labels = np.where(disc(15), np.where(Y < 30, big + 1, big + 3), 0)
    for shift in ([0, 0], [3, -2], [0.4, 0.4]):
        found = redrawn(labels, shift=shift, grow=4)
        assert found.dtype == np.int64 and set(np.unique(found)) == {0, big + 1, big + 3}
        np.testing.assert_array_equal(found > 0, redrawn(labels > 0, shift=shift, grow=4))
        border = 30 + round(shift[0])
        assert (found[:border][found[:border] > 0] == big + 1).all()
        assert (found[border:][found[border:] > 0] == big + 3).all()


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "uint64", "float32"])
def test_no_frame_is_emptied_or_filled_with_what_was_not_there(dtype: str) -> None:
    """Shrunk away, its innermost voxel stays; shifted away, what is nearest to it."""
    stack = np.array([disc(6), disc(2), disc(0.5), abs(X - 30) < 1, ~disc(5)]).astype(dtype)
    for drawn in ({"grow": -40}, {"shift": [300, 300]}, {"grow": -3, "wobble": 4}):
        found = redrawn(stack, **drawn)
        assert found.dtype == stack.dtype
        assert found.any(axis=(1, 2)).all() and set(np.unique(found)) <= {0, 1}
    innermost = redrawn(stack, grow=-40)[0]
    assert innermost.sum() == 1 and innermost[30, 34]
    for whole in (np.zeros((2, *PLANE), dtype), np.ones((2, *PLANE), dtype)):
        np.testing.assert_array_equal(redrawn(whole, grow=-9, shift=[9, 9], wobble=3), whole)


def test_ranges_are_filled_evenly() -> None:
    jitter = OutlineJitter()
    rng = np.random.default_rng(0)
    drawn = [jitter.sample(rng, (1, *PLANE)) for _ in range(800)]
    for values, (low, high) in (
        (np.ravel([each["shift"] for each in drawn]), (-1, 1)),
        (np.array([each["grow"] for each in drawn]), (-1, 1)),
        (np.array([each["wobble"] for each in drawn]), (0, 0.5)),
    ):
        assert kstest(values, "uniform", (low, high - low)).pvalue > 1e-3
    assert abs(np.corrcoef(np.array([each["shift"] for each in drawn]).T)[0, 1]) < 0.1
    assert OutlineJitter(2, 3, 1).wobble_limit == (0, 1)
