"""The drawn outline: a buffer of 8–13 px, the same on every frame, inside the frame, and found."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from stallscan.roi import Verdict, find_roi
from stallscan.simulate.outline import Outline, draw, sample_outline

SHAPE = (384, 512)


def curve(seed: int) -> np.ndarray:
    """A smooth centreline ``(n, 2)`` ``(y, x)`` well inside the frame."""
    rng = np.random.default_rng(seed)
    t = np.linspace(0, 1, 90)
    bend = rng.uniform(-40, 40)
    y = 190 + 60 * t + bend * np.sin(np.pi * t)
    return np.stack([y, 200 + 70 * t], axis=1).astype(np.float32)


def outline_of(seed: int) -> Outline:
    outline = sample_outline(np.random.default_rng(seed), curve(seed), SHAPE)
    assert outline is not None
    return outline


@pytest.mark.parametrize("seed", range(15))
def test_the_line_keeps_its_distance_from_the_centreline(seed: int) -> None:
    outline = outline_of(seed)
    distance, _ = cKDTree(curve(seed)[:, ::-1]).query(outline.contour_px)
    assert 7.5 <= np.median(distance) <= 13.5
    assert distance.min() >= 6.5  # smoothing cuts the corners


def test_some_outlines_are_closed_towards_a_hull() -> None:
    """Of a narrow horseshoe most outlines leave the bay open; some fill it."""
    angle = np.linspace(0, np.pi, 80)
    arch = np.column_stack([120 - 22 * np.sin(angle), 100 + 22 * np.cos(angle)])
    legs = np.linspace(120, 160, 40)
    left = np.column_stack([legs, np.full(40, 78.0)])[::-1]
    right = np.column_stack([legs, np.full(40, 122.0)])
    line = np.concatenate([right[::-1], arch, left[::-1]]).astype(np.float32)
    filled = []
    for seed in range(60):
        outline = sample_outline(np.random.default_rng(seed), line, SHAPE)
        assert outline is not None
        filled.append(outline.filled(SHAPE)[140, 100])  # in the middle of the bay
    assert 0.1 < np.mean(filled) < 0.4


def test_buffers_colours_and_widths_vary() -> None:
    outlines = [outline_of(seed) for seed in range(40)]
    trees = [cKDTree(curve(seed)[:, ::-1]) for seed in range(40)]
    buffers = [
        np.median(tree.query(outline.contour_px)[0])
        for tree, outline in zip(trees, outlines, strict=True)
    ]
    assert min(buffers) < 9.5 and max(buffers) > 11.5
    widths = [outline.thickness_px for outline in outlines]
    assert 2.8 <= min(widths) < 3.0 and 3.6 < max(widths) <= 3.8
    reds, greens, blues = np.array([outline.color for outline in outlines]).T
    assert reds.min() >= 232 and greens.min() >= 94 and greens.max() <= 112 and blues.max() <= 25
    assert len(set(blues)) > 10


def test_every_frame_has_the_same_line_and_the_rest_is_untouched() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (5, *SHAPE), np.uint8)
    outline = outline_of(1)
    coverage = outline.coverage(SHAPE)
    rgb = draw(grey, coverage, outline.color)
    assert (coverage == 1).sum() > 200
    assert (rgb[:, coverage == 1] == outline.color).all()
    np.testing.assert_array_equal(
        rgb[:, coverage == 0], np.repeat(grey[:, coverage == 0, None], 3, axis=2)
    )
    # Half covered pixels are mixed by their coverage.
    ys, xs = np.nonzero((coverage > 0.3) & (coverage < 0.7))
    weight = coverage[ys, xs, None]
    mixed = weight * np.array(outline.color) + (1 - weight) * grey[:, ys, xs, None]
    np.testing.assert_allclose(rgb[:, ys, xs], mixed, atol=0.51)


def test_the_filled_outline_holds_line_and_centreline() -> None:
    for seed in range(5):
        outline = outline_of(seed)
        filled = outline.filled(SHAPE)
        assert filled[outline.coverage(SHAPE) >= 0.5].all()
        ys, xs = np.round(curve(seed)).astype(int).T
        assert filled[ys, xs].all()
        assert not filled[0, 0]


@pytest.mark.parametrize("place", [(6, 250), (378, 250), (190, 6), (190, 505)])
def test_an_outline_that_would_leave_the_frame_is_refused(place: tuple[int, int]) -> None:
    line = np.array([place, np.add(place, 3)], np.float32)
    assert sample_outline(np.random.default_rng(0), line, SHAPE) is None


@pytest.mark.parametrize("seed", range(10))
def test_drawn_on_noise_it_is_found_where_it_was_drawn(seed: int) -> None:
    grey = np.random.default_rng(seed).integers(0, 120, (3, *SHAPE), np.uint8)
    outline = outline_of(seed)
    coverage = outline.coverage(SHAPE)
    roi = find_roi(draw(grey, coverage, outline.color))
    assert roi.verdict is Verdict.OK
    ys, xs = np.nonzero(coverage >= 0.5)
    edges = np.array([ys.min(), xs.min(), ys.max() + 1, xs.max() + 1])
    assert np.abs(edges - [*roi.box[1:3], *roi.box[4:]]).max() <= 1
    filled = outline.filled(SHAPE)
    assert (roi.mask & filled).sum() / (roi.mask | filled).sum() > 0.9
