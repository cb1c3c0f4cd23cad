"""The rule on hand-made motion at its borders, what is seen of a vessel, and the truth's tables."""

import json
from dataclasses import replace

import numpy as np
import pytest
import scenes

from stallscan.simulate import defects
from stallscan.simulate.defects import HandMask
from stallscan.simulate.phantom import phantom_truth
from stallscan.simulate.settings import PRESETS
from stallscan.simulate.state import State
from stallscan.simulate.truth import (
    MIN_SLICES,
    MOVING_UM,
    STILL_UM,
    VISIBLE_SHARE,
    View,
    cells_in,
    decide,
    motion_um,
    view_of,
)
from stallscan.types import Label

STAND, DRIFT, FLOW = 0.0, 0.5, 100.0


def seen(n: int, share: float = 1.0) -> View:
    return View(focus=np.ones(n, bool), share=share)


# --- The rule ---------------------------------------------------------------------------------

RULE = {
    "all stand": ([STAND] * 10, State.STALLED),
    "half stand": ([STAND] * 5 + [FLOW] * 5, State.STALLED),
    "less than half stand": ([STAND] * 4 + [FLOW] * 6, State.FLOWING),
    "half of an odd number": ([STAND] * 5 + [FLOW] * 4, State.STALLED),
    "not half of an odd number": ([STAND] * 4 + [FLOW] * 5, State.FLOWING),
    "all flow": ([FLOW] * 10, State.FLOWING),
    "backwards": ([-FLOW] * 10, State.FLOWING),
    "stand and tremble": ([0.9 * STILL_UM, -0.9 * STILL_UM] * 5, State.STALLED),
    "just too much": ([1.1 * STILL_UM, -1.1 * STILL_UM] * 5, State.UNDECIDABLE),
    "all drift": ([DRIFT] * 10, State.UNDECIDABLE),
    "drift backwards": ([-DRIFT] * 10, State.UNDECIDABLE),
    "just below": ([0.99 * MOVING_UM] * 10, State.UNDECIDABLE),
    "just enough": ([MOVING_UM] * 10, State.FLOWING),
    "half drift": ([DRIFT] * 5 + [FLOW] * 5, State.UNDECIDABLE),
    "less than half drift": ([DRIFT] * 4 + [FLOW] * 6, State.FLOWING),
    "stand and drift": ([STAND] * 3 + [DRIFT] * 3 + [FLOW] * 4, State.UNDECIDABLE),
    "half stand, rest drifts": ([STAND] * 5 + [DRIFT] * 5, State.STALLED),
}


@pytest.mark.parametrize("case", RULE)
def test_the_rule(case: str) -> None:
    motion, expected = RULE[case]
    state, still = decide(seen(len(motion)), np.array(motion))
    assert state is expected
    assert still == pytest.approx(np.mean(np.abs(motion) < STILL_UM))


def test_the_bounds_are_those_that_are_stated() -> None:
    assert MOVING_UM == 1.0
    assert STILL_UM < 0.1
    assert 0 < VISIBLE_SHARE < 1 and MIN_SLICES >= 2


def test_only_slices_in_focus_count() -> None:
    focus = (np.arange(12) >= 3) & (np.arange(12) < 3 + MIN_SLICES)
    stands = np.where(focus, STAND, FLOW)
    assert decide(View(focus=focus, share=1.0), stands) == (State.STALLED, 1.0)
    assert decide(View(focus=focus, share=1.0), FLOW - stands) == (State.FLOWING, 0.0)


@pytest.mark.parametrize("speed", [STAND, FLOW])
@pytest.mark.parametrize(
    ("n_seen", "share", "enough"),
    [
        (MIN_SLICES, VISIBLE_SHARE, True),
        (MIN_SLICES - 1, 1.0, False),
        (10, VISIBLE_SHARE - 0.01, False),
        (0, 1.0, False),
    ],
)
def test_what_is_hardly_seen_is_undecidable(
    n_seen: int, share: float, enough: bool, speed: float
) -> None:
    view = View(focus=np.arange(10) < n_seen, share=share)
    assert view.enough == enough
    state, _ = decide(view, np.full(10, speed))
    assert (state is not State.UNDECIDABLE) == enough


def test_states_and_labels() -> None:
    assert State.of(Label.STALLED) is State.STALLED and State.of(Label.FLOWING) is State.FLOWING
    assert State.of(State.UNDECIDABLE) is State.UNDECIDABLE
    assert State.STALLED.label is Label.STALLED
    assert State.UNDECIDABLE.label is None
    with pytest.raises(ValueError, match="asleep"):
        State.of("asleep")  # type: ignore[arg-type]


# --- What is seen -----------------------------------------------------------------------------


def view(covered: defects.Defects | None = None, *, radius_um: float = 2.5, **changes: object):
    session = scenes.microscope(8, **{"read_noise": 1.0, **changes})
    vessel = scenes.straight_vessel("y", radius_um=radius_um)
    shape = (8, scenes.HEIGHT, scenes.WIDTH)
    return view_of(vessel, scenes.PLASMA, session, covered or defects.none(8), shape)


def masked(x0: int, y0: int, x1: int, y1: int, first: int = 0, last: int = 8) -> defects.Defects:
    corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float32)
    mask = HandMask(corners_px=corners, first=first, last=last)
    return replace(defects.none(8), masks=(mask,))


def test_focus_is_where_the_slice_cuts_the_lumen() -> None:
    """The vessel lies in slice 4 and is 5 µm wide: slices 2 to 6 cut it."""
    found = view()
    np.testing.assert_array_equal(np.flatnonzero(found.focus), [2, 3, 4, 5, 6])
    assert found.share == 1.0
    np.testing.assert_array_equal(np.flatnonzero(view(radius_um=1.5).focus), [3, 4, 5])
    pitch = (2.0, 1.0, 1.0)  # at 2 µm a slice, slice 2
    np.testing.assert_array_equal(np.flatnonzero(view(pitch_um=pitch).focus), [1, 2, 3])


def test_masks_cover_what_they_cover() -> None:
    half = view(masked(0, 0, 95, 191))
    assert half.share == pytest.approx(0.5, abs=0.01) and half.focus.sum() == 5
    assert view(masked(0, 0, 40, 383)).share == 1.0  # beside it
    assert not view(masked(0, 0, 95, 383)).enough
    part = view(masked(0, 0, 95, 383, 0, 4))
    np.testing.assert_array_equal(np.flatnonzero(part.focus), [4, 5, 6])
    assert part.share == 1.0


def test_a_piece_of_five_micrometres_makes_a_slice_one_in_focus() -> None:
    assert view(masked(0, 0, 95, 377)).focus.sum() == 5  # 6 µm are left
    assert view(masked(0, 0, 95, 380)).focus.sum() == 0  # 3 µm


def test_too_dim_is_not_seen() -> None:
    assert view().enough
    assert not view(read_noise=3 * scenes.PLASMA).enough
    assert not view(gain=np.full(8, 0.005, np.float32)).enough
    dim = np.ones(8, np.float32)
    dim[3:5] = 0.002
    np.testing.assert_array_equal(
        np.flatnonzero(view(replace(defects.none(8), gain=dim)).focus), [2, 5, 6]
    )


def test_outside_of_the_frame_is_not_seen() -> None:
    session = scenes.microscope(8)
    vessel = scenes.straight_vessel("y")
    found = view_of(vessel, scenes.PLASMA, session, defects.none(8), (8, 96, scenes.WIDTH))
    assert found.share == pytest.approx(0.25, abs=0.01)


def test_motion_is_the_net_motion_within_each_slice() -> None:
    blood = scenes.blood(np.zeros(400), -20.0)
    session = scenes.microscope(8)
    np.testing.assert_allclose(motion_um(blood, session, 8), -20.0 * scenes.SLICE_S)
    standing = replace(blood, stall_s=(2 * scenes.SLICE_S, 5 * scenes.SLICE_S))
    np.testing.assert_allclose(
        motion_um(standing, session, 8) / scenes.SLICE_S, [-20, -20, 0, 0, 0, -20, -20, -20]
    )


# --- Cells ------------------------------------------------------------------------------------


def test_cells_are_listed_where_the_blood_has_brought_them() -> None:
    places = np.array([[10.0, 6.0], [30.0, 7.0], [95.0, 5.0]])
    table = replace(scenes.cells(np.zeros(400)), places_um=places)  # 100 µm
    blood = scenes.blood(np.zeros(400), 100.0, cells=table)
    np.testing.assert_allclose(cells_in(blood, 50.0), [[10, 6], [30, 7]])
    moved = replace(blood, phase_um=12.0)
    np.testing.assert_allclose(cells_in(moved, 50.0), [[7, 5], [22, 6], [42, 7]])
    np.testing.assert_allclose(cells_in(replace(blood, phase_um=-225.0), 50.0), [[5, 7]])


@pytest.mark.parametrize("state", [State.FLOWING, State.STALLED])
def test_where_a_cell_is_listed_the_table_is_dark(state: State) -> None:
    from stallscan.simulate.scene import sample_scene

    n_cells = 0
    for seed in range(60):
        scene = sample_scene(np.random.default_rng((3, seed)), state, PRESETS["clean"])
        cells = scene.target.blood.cells
        for place, length in scene.truth().cells_um:
            shift = scene.target.blood.displacement_um(np.zeros(1))[0]
            index = round((place - shift) / 0.25) % len(cells.darkness)
            assert cells.darkness[index] > 0.1, (seed, scene.target.blood.kind, place)
            assert 4 <= length <= 18.01
            n_cells += 1
    assert n_cells > 100


# --- The truth of sampled scenes --------------------------------------------------------------


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("state", State)
def test_the_state_is_the_one_that_was_asked_for(preset: str, state: State) -> None:
    truths = [phantom_truth((11, seed), state, PRESETS[preset]) for seed in range(30)]
    assert {truth.state for truth in truths} == {state}
    for truth in truths:
        enough = truth.visible_share >= VISIBLE_SHARE and truth.n_focus >= MIN_SLICES
        assert enough or state is State.UNDECIDABLE
        if state is State.STALLED:
            assert truth.still_share >= 0.5 and truth.stalled == 1
        if state is State.FLOWING:
            assert truth.still_share < 0.5 and truth.stalled == 0
        if state is State.UNDECIDABLE:
            assert truth.stalled is None
    if state is State.UNDECIDABLE:  # some drift, some cannot be seen
        drifting = np.mean([truth.kind == "drift" for truth in truths])
        assert 0.1 < drifting < 0.9


def test_row_and_details_are_what_the_tables_hold() -> None:
    for seed, state in enumerate(State):
        truth = phantom_truth((5, seed), state, PRESETS["hard"])
        row = truth.row()
        assert row["state"] == state.value
        assert row["stalled"] == {"flowing": 0, "stalled": 1, "undecidable": ""}[state.value]
        assert row["artefacts"] == ";".join(truth.artefacts)
        for name in ("kind", "n_frames", "roi_y0", "roi_x0", "roi_y1", "roi_x1", "n_focus"):
            assert row[name] == getattr(truth, name)
        for name in ("speed_um_s", "diameter_um", "pixel_um", "slice_s", "visible_share", "crf"):
            assert row[name] == pytest.approx(getattr(truth, name), abs=1e-4)
        assert {"onset_s", "release_s", "still_share", "length_um", "z_step_um"} <= set(row)
        assert all(isinstance(value, int | float | str) for value in row.values())
        details = json.loads(json.dumps(truth.details()))
        assert set(details) == {"centreline_px", "cells_um", "motion_um", "focus"}
        np.testing.assert_allclose(details["centreline_px"], truth.centreline_px, atol=0.006)
        np.testing.assert_allclose(details["motion_um"], truth.motion_um, atol=6e-4)
        assert len(details["motion_um"]) == len(details["focus"]) == truth.n_frames
        assert sum(details["focus"]) == truth.n_focus


def test_onset_and_release_frame_the_standing_slices() -> None:
    """-inf and inf: it stood before and after the stack; NaN: it never stood."""
    n_partial = 0
    for seed in range(80):
        truth = phantom_truth((6, seed), State.STALLED, PRESETS["hard"])
        begin = np.arange(truth.n_frames) * truth.slice_s
        stands = (begin >= truth.onset_s - 1e-6) & (begin + truth.slice_s <= truth.release_s + 1e-6)
        np.testing.assert_array_equal(np.abs(truth.motion_um[stands]) < STILL_UM, True)
        assert (np.abs(truth.motion_um[~stands]) >= STILL_UM).all()
        n_partial += bool(np.isfinite([truth.onset_s, truth.release_s]).any())
    assert 8 < n_partial < 45
    flows = [phantom_truth((6, seed), State.FLOWING, PRESETS["clean"]) for seed in range(5)]
    assert np.isnan([truth.onset_s for truth in flows]).all()


def test_the_centreline_lies_inside_the_box_of_the_outline() -> None:
    for seed in range(25):
        truth = phantom_truth((8, seed), State.FLOWING, PRESETS["randomised"])
        y, x = truth.centreline_px[:, 1:].T
        assert y.min() > truth.roi_y0 and y.max() < truth.roi_y1
        assert x.min() > truth.roi_x0 and x.max() < truth.roi_x1
