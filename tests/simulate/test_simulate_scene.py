"""Scenes: the label decides the target's blood and nothing else; frame counts as in the table."""

from dataclasses import fields

import numpy as np
import pytest
from scipy.stats import ks_2samp

from stallscan.simulate import Scene, sample_scene, scene
from stallscan.simulate.blood import STALL_KINDS, Kind
from stallscan.types import Label


@pytest.fixture(scope="module")
def many() -> dict[Label, list[Scene]]:
    """250 scenes of either label, of seeds of their own, without the field (which is slow)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scene, "_field", lambda *_: [])
        return {
            label: [sample_scene(np.random.default_rng((label, i)), label) for i in range(250)]
            for label in Label
        }


def test_frame_counts_have_the_competition_s_quantiles(many: dict[Label, list[Scene]]) -> None:
    counts = [s.shape[0] for label in Label for s in many[label]]
    assert np.median(counts) == pytest.approx(56, rel=0.1)
    np.testing.assert_allclose(np.quantile(counts, [0.05, 0.95]), [34, 94], rtol=0.1)
    assert min(counts) >= 16 and max(counts) <= 160


def test_frames_are_384_lines_of_mostly_512_pixels(many: dict[Label, list[Scene]]) -> None:
    shapes = [s.shape[1:] for label in Label for s in many[label]]
    assert set(shapes) <= {(384, 512), (384, 418)}
    assert shapes.count((384, 512)) > 0.96 * len(shapes)


@pytest.mark.parametrize("seed", range(5))
def test_of_one_seed_the_label_changes_the_blood_alone(seed: int) -> None:
    flowing, stalled = (sample_scene(np.random.default_rng(seed), label) for label in Label)
    assert flowing.shape == stalled.shape
    for field in fields(flowing.microscope):
        values = [getattr(s.microscope, field.name) for s in (flowing, stalled)]
        np.testing.assert_array_equal(*values)
    np.testing.assert_array_equal(flowing.outline.contour_px, stalled.outline.contour_px)
    assert flowing.outline.color == stalled.outline.color
    vessels = [s.tubes[0].vessel for s in (flowing, stalled)]
    np.testing.assert_array_equal(vessels[0].points_um, vessels[1].points_um)
    assert vessels[0].radius_um == vessels[1].radius_um
    assert flowing.tubes[0].blood.kind in (Kind.FLOW, Kind.CREEP)
    assert stalled.tubes[0].blood.kind in STALL_KINDS


TRACES = {
    "frames": lambda s: s.shape[0],
    "brightness of the target": lambda s: s.tubes[0].brightness,
    "brightness of its branches": lambda s: s.tubes[-1].brightness,
    "contrast to its branches": lambda s: s.tubes[0].brightness / s.tubes[-1].brightness,
    "length": lambda s: s.tubes[0].vessel.length_um,
    "radius": lambda s: s.tubes[0].vessel.radius_um,
    "depth": lambda s: s.tubes[0].vessel.points_um[:, 0].mean() / s.shape[0],
    "branches": lambda s: len(s.tubes),
    "specks": lambda s: len(s.specks) / s.shape[0],
    "noise": lambda s: s.microscope.noise_gain,
    "speed of the branches": lambda s: abs(s.tubes[-1].blood.speed_um_s),
    "area of the outline": lambda s: np.ptp(s.outline.contour_px, axis=0).prod(),
}


@pytest.mark.parametrize("trace", TRACES)
def test_nothing_else_gives_the_label_away(many: dict[Label, list[Scene]], trace: str) -> None:
    flowing, stalled = ([TRACES[trace](s) for s in many[label]] for label in Label)
    assert ks_2samp(flowing, stalled).pvalue > 0.01


def test_the_target_lies_in_the_stack_and_the_outline_in_the_frame(
    many: dict[Label, list[Scene]],
) -> None:
    for s in many[Label.STALLED][:60]:
        points = s.tubes[0].vessel.points_um / s.microscope.pitch_um
        assert (points >= -1e-3).all()
        assert (points <= np.array(s.shape) + 1e-3).all()
        coverage = s.outline.coverage(s.shape[1:])
        frame = np.ones(coverage.shape, bool)
        frame[2:-2, 2:-2] = False
        assert coverage[frame].max() < 0.5
        frame[1:-1, 1:-1] = False
        assert not coverage[frame].any()
        # The line goes around the target's projection.
        ys, xs = np.round(points[:, 1:]).astype(int).T
        assert s.outline.filled(s.shape[1:])[ys, xs].all()


def test_shares_of_creeping_and_partial(many: dict[Label, list[Scene]]) -> None:
    creeping = np.mean([s.tubes[0].blood.kind is Kind.CREEP for s in many[Label.FLOWING]])
    partial = np.mean([np.isfinite(s.tubes[0].blood.stall_s[0]) for s in many[Label.STALLED]])
    assert 0.03 < creeping < 0.14
    assert 0.06 < partial < 0.19


def test_same_seed_same_scene_other_seed_other_scene() -> None:
    first, again, other = (
        sample_scene(np.random.default_rng(seed), Label.FLOWING) for seed in (1, 1, 2)
    )
    assert len(first.tubes) == len(again.tubes) > 20
    for a, b in zip(first.tubes, again.tubes, strict=True):
        np.testing.assert_array_equal(a.vessel.points_um, b.vessel.points_um)
        np.testing.assert_array_equal(a.blood.cells, b.blood.cells)
        assert (a.brightness, a.blood.speed_um_s) == (b.brightness, b.blood.speed_um_s)
    np.testing.assert_array_equal(first.specks, again.specks)
    assert first.tubes[0].brightness != other.tubes[0].brightness
