"""The vessel straightened, and what physics says of it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from sklearn.metrics import roc_auc_score

from stallscan.errors import OptionError
from stallscan.explain import kymograph
from stallscan.explain.physics import Physics, disagreement, physics_of
from stallscan.roi.volume import Volume
from stallscan.simulate import PRESETS, phantom_roi
from stallscan.types import Box, Label


def drawn(speed: float, *, across: int = 30, focus: slice = slice(0, 24)) -> Volume:
    """A horizontal vessel, off the outline's middle, whose cells move by ``speed`` px a slice."""
    depth, height, width = 24, 60, 100
    rng = np.random.default_rng(1)
    pattern = rng.random(1000) < 0.06
    pattern = 1 - np.clip(gaussian_filter(pattern.astype(float), 2.0) * 6, 0, 0.9)
    stack = np.zeros((depth, height, width))
    for z in range(depth)[focus]:
        begin = round(speed * z) % 800
        stack[z, across - 2 : across + 3, 8:92] = 180 * pattern[begin : begin + 84]
    stack = gaussian_filter(stack, (0, 0.7, 0.7)) + rng.normal(10, 4, stack.shape)
    mask = np.zeros((height, width), bool)
    mask[20:46, 4:96] = True
    line = mask.copy()
    line[22:44, 6:94] = False
    array = np.clip(stack, 0, 255).astype(np.uint8)
    array[:, line] = 140
    return Volume(
        array=array[..., None],
        mask=mask,
        line=line,
        box=Box(0, 0, 0, depth, height, width),
        source="drawn",
    )


def test_standing_cells_are_bands_and_moving_ones_are_not() -> None:
    standing, moving = kymograph(drawn(0)), kymograph(drawn(37))
    assert standing.intensity.shape == (24, len(standing.line_px)) == standing.contrast.shape
    assert standing.persistence > 0.8 and moving.persistence < 0.2
    inner = standing.intensity[:, 15:-15]
    assert inner.std(axis=0).mean() < 0.2 * inner.std(axis=1).mean()


@pytest.mark.parametrize("across", [27, 33, 38])
def test_the_course_keeps_to_the_vessel_and_not_to_the_middle(across: int) -> None:
    found = kymograph(drawn(5, across=across))
    inner = (found.line_px[:, 1] > 20) & (found.line_px[:, 1] < 80)
    assert np.abs(found.line_px[inner, 0] - across).max() < 2


def test_slices_out_of_focus_do_not_count() -> None:
    found = kymograph(drawn(0, focus=slice(6, 14)))
    assert set(np.flatnonzero(found.focus)) <= set(range(5, 15))
    assert found.focus[8:12].all()
    assert found.persistence > 0.6
    assert found.contrast[18:].max() < 0.1 * found.contrast[8:12].max()


def test_nothing_to_see_says_nothing() -> None:
    volume = drawn(0)
    empty = Volume(
        array=np.zeros_like(volume.array),
        mask=volume.mask,
        line=volume.line,
        box=volume.box,
        source="dark",
    )
    assert kymograph(empty).persistence == 0
    assert not kymograph(empty).focus.any()


def test_an_empty_outline_is_refused() -> None:
    volume = drawn(0)
    without = Volume(
        array=volume.array,
        mask=np.zeros_like(volume.mask),
        line=volume.line,
        box=volume.box,
        source="x",
    )
    with pytest.raises(OptionError, match="is empty; give a filled outline"):
        kymograph(without)


def test_it_tells_stalls_of_the_phantom_apart() -> None:
    scores = [
        kymograph(phantom_roi((71, k), Label(k % 2), PRESETS["clean"])[0]).persistence
        for k in range(24)
    ]
    assert roc_auc_score([k % 2 for k in range(24)], scores) > 0.95


def test_words_and_doubts() -> None:
    assert [physics_of(value) for value in (0.1, 0.6, 0.9)] == [
        Physics.MOVES,
        Physics.UNSURE,
        Physics.STANDS,
    ]
    assert "moves" in disagreement(1, Physics.MOVES) and "stands" in disagreement(0, Physics.STANDS)
    for stalled, physics in ((1, Physics.STANDS), (0, Physics.MOVES), (1, Physics.UNSURE)):
        assert disagreement(stalled, physics) == ""
