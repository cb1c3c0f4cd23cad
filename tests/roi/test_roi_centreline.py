"""The middle of an outline."""

import cv2
import numpy as np
import pytest

from stallscan.errors import OptionError
from stallscan.roi.centreline import centreline
from stallscan.types import BoolArray


def tube(corners: list[tuple[float, float]], radius: int, size: tuple[int, int]) -> BoolArray:
    """A line through ``(y, x)`` corners, buffered."""
    drawn = np.zeros(size, np.uint8)
    points = np.round(np.array(corners)[:, ::-1]).astype(np.int32)
    cv2.polylines(drawn, [points], False, 1, 1)
    return cv2.distanceTransform(1 - drawn, cv2.DIST_L2, 5) <= radius


def arc_corners() -> list[tuple[float, float]]:
    angles = np.linspace(np.pi, 1.8 * np.pi, 40)
    return [(60 + 40 * np.sin(a), 60 + 40 * np.cos(a)) for a in angles]


SHAPES = {
    "straight": ([(20, 15), (20, 85)], 9),
    "slanted": ([(15, 15), (70, 90)], 10),
    "bent": ([(15, 20), (60, 45), (55, 100)], 9),
    "arc": (arc_corners(), 8),
}


def drawn(name: str) -> tuple[BoolArray, list[tuple[float, float]], int]:
    corners, radius = SHAPES[name]
    return tube(corners, radius, (100, 120)), corners, radius


def far_from(points: np.ndarray, corners: list[tuple[float, float]]) -> np.ndarray:
    """Distance of each point to the line through the corners."""
    ends = np.array(corners)
    begin, along = ends[:-1], np.diff(ends, axis=0)
    where = ((points[:, None] - begin) * along).sum(-1) / (along**2).sum(-1)
    nearest = begin + np.clip(where, 0, 1)[..., None] * along
    return np.linalg.norm(points[:, None] - nearest, axis=-1).min(axis=1)


@pytest.mark.parametrize("name", SHAPES)
def test_it_is_the_line_that_was_buffered(name: str) -> None:
    mask, corners, radius = drawn(name)
    found = centreline(mask)
    inner = found[radius : len(found) - radius]
    assert far_from(inner, corners).max() < 2.5
    # Of the buffered line both ends are reached, and its tips are gone on to.
    for end in (corners[0], corners[-1]):
        assert np.linalg.norm(found - end, axis=1).min() < 2.5
    length = np.linalg.norm(np.diff(np.array(corners), axis=0), axis=1).sum()
    assert len(found) - 1 == pytest.approx(length + 2 * radius, rel=0.06)


@pytest.mark.parametrize("name", SHAPES)
def test_points_are_a_pixel_apart_and_inside(name: str) -> None:
    mask, _, _ = drawn(name)
    found = centreline(mask)
    assert found.dtype == np.float64
    # Linear between the points of a smooth line: where it bends a chord is shorter.
    steps = np.linalg.norm(np.diff(found, axis=0), axis=1)
    assert steps == pytest.approx(1.0, abs=0.06)
    ys, xs = np.round(found).astype(int).T
    assert mask[ys, xs].all()


@pytest.mark.parametrize("turn", ["up-down", "left-right", "transposed"])
@pytest.mark.parametrize("name", SHAPES)
def test_a_mirrored_outline_has_the_mirrored_middle(name: str, turn: str) -> None:
    mask, _, radius = drawn(name)
    height, width = mask.shape
    found = centreline(mask)
    if turn == "up-down":
        other, expected = mask[::-1], np.stack([height - 1 - found[:, 0], found[:, 1]], 1)
    elif turn == "left-right":
        other, expected = mask[:, ::-1], np.stack([found[:, 0], width - 1 - found[:, 1]], 1)
    else:
        other, expected = mask.T, found[:, ::-1]
    again = centreline(np.ascontiguousarray(other))
    # Which end comes first means nothing, and in the round of a tip any pixel may be the farthest.
    inner = slice(radius + 2, -radius - 2)
    distance = np.linalg.norm(again[inner, None] - expected[None], axis=-1)
    assert distance.min(axis=1).max() < 1.5
    assert len(again) == pytest.approx(len(found), abs=2)


def test_the_largest_of_several_areas_counts() -> None:
    mask, _, _ = drawn("straight")
    whole = mask.copy()
    whole[80:90, 100:110] = True
    np.testing.assert_array_equal(centreline(whole), centreline(mask))


def test_an_area_that_reaches_the_edge_of_the_frame() -> None:
    found = centreline(np.ones((20, 80), bool))
    assert np.abs(found[20:-20, 0] - 9.5).max() < 1


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 2), (1, 5)])
def test_areas_of_few_pixels(size: tuple[int, int]) -> None:
    mask = np.zeros((9, 9), bool)
    mask[3 : 3 + size[0], 4 : 4 + size[1]] = True
    found = centreline(mask)
    assert len(found) >= 2 and np.isfinite(found).all()
    assert np.linalg.norm(found.mean(axis=0) - np.argwhere(mask).mean(axis=0)) < 1


def test_an_empty_outline_is_refused() -> None:
    with pytest.raises(OptionError, match=r"mask \(5, 7\) is empty; give a filled outline"):
        centreline(np.zeros((5, 7), bool))
