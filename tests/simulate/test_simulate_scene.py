"""Scenes: the state decides the target's blood and nothing else; frame counts as in the table."""

from dataclasses import fields

import numpy as np
import pytest
from scipy.stats import ks_2samp

from stallscan.simulate import Scene, sample_scene
from stallscan.simulate.blood import STALL_KINDS, Kind
from stallscan.simulate.settings import PRESETS, load_settings
from stallscan.simulate.state import State

DECIDED = (State.FLOWING, State.STALLED)
N_SCENES = 100


@pytest.fixture(scope="module")
def many() -> dict[State, list[Scene]]:
    """Scenes of either state, of seeds of their own."""
    return {
        state: [sample_scene(np.random.default_rng((17, k, i)), state) for i in range(N_SCENES)]
        for k, state in enumerate(DECIDED)
    }


def test_frame_counts_are_the_competition_s(many: dict[State, list[Scene]]) -> None:
    counts = [s.shape[0] for state in DECIDED for s in many[state]]
    assert np.median(counts) == pytest.approx(56, rel=0.1)
    np.testing.assert_allclose(np.quantile(counts, [0.05, 0.95]), [34, 94], rtol=0.15)
    assert min(counts) >= 17 and max(counts) <= 434


def test_frames_are_384_lines_of_mostly_512_pixels(many: dict[State, list[Scene]]) -> None:
    shapes = [s.shape[1:] for state in DECIDED for s in many[state]]
    assert set(shapes) <= {(384, 512), (384, 418)}
    assert shapes.count((384, 512)) > 0.95 * len(shapes)


@pytest.mark.parametrize("seed", range(4))
def test_of_one_seed_the_state_changes_the_blood_alone(seed: int) -> None:
    flowing, stalled = (sample_scene(np.random.default_rng(seed), state) for state in DECIDED)
    assert flowing.shape == stalled.shape and flowing.recording == stalled.recording
    for field in fields(flowing.microscope):
        values = [getattr(s.microscope, field.name) for s in (flowing, stalled)]
        np.testing.assert_array_equal(*values)
    np.testing.assert_array_equal(flowing.outline.contour_px, stalled.outline.contour_px)
    assert flowing.outline.color == stalled.outline.color
    assert flowing.defects.words == stalled.defects.words
    np.testing.assert_array_equal(flowing.defects.gain, stalled.defects.gain)
    vessels = [s.target.vessel for s in (flowing, stalled)]
    np.testing.assert_array_equal(vessels[0].points_um, vessels[1].points_um)
    assert vessels[0].radius_um == vessels[1].radius_um
    assert flowing.target.brightness == stalled.target.brightness
    assert stalled.target.blood.kind in STALL_KINDS


def neighbours(s: Scene) -> np.ndarray:
    assert s.surroundings is not None
    return np.setdiff1d(np.arange(len(s.surroundings.train)), s.surroundings.target)


TRACES = {
    "frames": lambda s: s.shape[0],
    "brightness of the target": lambda s: s.target.brightness,
    "brightness of the others": lambda s: s.surroundings.brightness.mean(),
    "length": lambda s: s.target.vessel.length_um,
    "radius": lambda s: s.target.vessel.radius_um,
    "depth": lambda s: s.target.vessel.points_um[:, 0].mean() / s.shape[0],
    "rise": lambda s: np.ptp(s.target.vessel.points_um[:, 0]),
    "others": lambda s: len(s.surroundings.train),
    "spots": lambda s: len(s.spots) / s.shape[0],
    "photons": lambda s: s.microscope.photon_grey,
    "pixel": lambda s: s.microscope.pitch_um[1],
    "axial": lambda s: s.microscope.axial_um,
    "defects": lambda s: len(s.defects.words),
    "slices in focus": lambda s: s.view().focus.sum(),
    "visible share": lambda s: s.view().share,
    "area of the outline": lambda s: np.ptp(s.outline.contour_px, axis=0).prod(),
    "place": lambda s: s.outline.contour_px[:, 0].mean(),
    "quality": lambda s: s.recording.crf,
}


@pytest.mark.parametrize("trace", TRACES)
def test_nothing_else_gives_the_state_away(many: dict[State, list[Scene]], trace: str) -> None:
    flowing, stalled = ([TRACES[trace](s) for s in many[state]] for state in DECIDED)
    assert ks_2samp(flowing, stalled).pvalue > 0.002


def test_the_target_is_a_capillary_that_is_seen_and_the_outline_goes_around_it(
    many: dict[State, list[Scene]],
) -> None:
    for s in many[State.STALLED][:50]:
        assert 3 <= 2 * s.target.vessel.radius_um <= 7
        assert s.view().enough
        points = s.target.vessel.points_um / s.microscope.out_pitch_um
        coverage = s.outline.coverage(s.shape[1:])
        frame = np.ones(coverage.shape, bool)
        frame[2:-2, 2:-2] = False
        assert not coverage[frame].any()
        ys, xs = np.round(points[:, 1:]).astype(int).T
        assert s.outline.filled(s.shape[1:])[ys, xs].all()


def test_kinds_come_in_the_shares_of_the_settings(many: dict[State, list[Scene]]) -> None:
    """Of 100 each; partial stalls are flowing vessels that stand for a while, too."""
    flowing = [s.target.blood for s in many[State.FLOWING]]
    stalled = [s.target.blood for s in many[State.STALLED]]
    for kind, share in ((Kind.CREEP, 0.053), (Kind.PLASMA, 0.044), (Kind.FAST, 0.044)):
        assert np.mean([b.kind is kind for b in flowing]) == pytest.approx(share, abs=0.06)
    for bloods in (flowing, stalled):
        partial = np.mean([np.isfinite(b.stall_s[0]) for b in bloods])
        assert 0.02 < partial < 0.25  # 0.12 on average
    assert {b.kind for b in stalled} == set(STALL_KINDS)


@pytest.mark.parametrize("kind", ["creep", "reversal", "plasma", "fast"])
def test_a_share_of_one_makes_all_of_a_kind(kind: str) -> None:
    settings = load_settings("clean", [f"{kind}_share=1"])
    for seed in range(4):
        scene = sample_scene(np.random.default_rng(seed), State.FLOWING, settings)
        assert scene.target.blood.kind == kind
        if kind == "reversal":
            turn = scene.target.blood.reversal_s / scene.microscope.slice_s
            focus = np.flatnonzero(scene.view().focus)
            assert focus[0] <= turn <= focus[-1] + 1
            turns = np.ptp(np.sign(scene.truth().motion_um[focus])) == 2
            assert turns or not focus[0] + 1 <= turn <= focus[-1]


def test_partial_stalls_begin_or_end_while_the_target_is_in_focus() -> None:
    settings = load_settings("clean", ["partial_share=1"])
    for state, low, high in ((State.STALLED, 0.5, 1.0), (State.FLOWING, 0.01, 0.5)):
        ends = []
        for seed in range(12):
            scene = sample_scene(np.random.default_rng(seed), state, settings)
            if not np.isfinite(scene.target.blood.stall_s[0]):
                assert state is State.FLOWING and scene.view().focus.sum() < 5
                continue
            truth = scene.truth()
            assert low <= truth.still_share < high
            stands = np.abs(truth.motion_um[truth.focus]) < 0.05
            assert np.count_nonzero(np.diff(stands.astype(int))) == 1
            ends.append(bool(stands[0]))
        assert len(set(ends)) == 2  # onsets and releases


def test_undecidable_targets_are_hidden_or_drift() -> None:
    scenes = [
        sample_scene(np.random.default_rng((2, i)), State.UNDECIDABLE, PRESETS["clogloss"])
        for i in range(40)
    ]
    hidden = [not s.view().enough for s in scenes]
    assert 0.25 < np.mean(hidden) < 0.75
    for scene, is_hidden in zip(scenes, hidden, strict=True):
        assert is_hidden or scene.target.blood.kind is Kind.DRIFT
    covered = ["mask_on_target" in s.defects.words for s in scenes]
    assert 0.05 < np.mean(covered) < 0.5
    # What hides it tells nothing of the blood behind.
    moves = [s.target.blood.speed_um_s != 0 for s, h in zip(scenes, hidden, strict=True) if h]
    assert 0.2 < np.mean(moves) < 0.8


def test_neighbours_flow_in_either_direction_and_now_and_then_stand(
    many: dict[State, list[Scene]],
) -> None:
    pace = np.concatenate([s.surroundings.pace[neighbours(s)] for s in many[State.FLOWING][:40]])
    train = np.concatenate([s.surroundings.train for s in many[State.FLOWING][:40]])
    assert 0.45 < (pace > 0).mean() < 0.55
    assert np.abs(pace).min() >= 0.4 and np.abs(pace).max() <= 1.8
    assert 0.005 < (train >= 5).mean() < 0.02
    for s in many[State.FLOWING][:5]:
        speeds = [b.speed_um_s for b in s.surroundings.trains]
        assert all(speeds[:5]) and not any(speeds[5:])


def test_same_seed_same_scene_other_seed_other_scene() -> None:
    first, again, other = (
        sample_scene(np.random.default_rng(seed), State.FLOWING) for seed in (1, 1, 2)
    )
    assert repr(first.truth()) == repr(again.truth()) != repr(other.truth())
    for name in ("train", "pace", "phase_um", "brightness"):
        values = [getattr(s.surroundings, name) for s in (first, again)]
        np.testing.assert_array_equal(*values)
    np.testing.assert_array_equal(first.spots, again.spots)
    assert first.target.brightness != other.target.brightness
