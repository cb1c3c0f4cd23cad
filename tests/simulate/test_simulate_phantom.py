"""Whole clips and ROIs of one seed agree, have a true truth, and their outline is found."""

import numpy as np
import pytest

from stallscan.roi import FrameFlag, Verdict, Volume, find_roi, persistence_score
from stallscan.simulate import Truth, phantom_clip, phantom_roi, sample_scene
from stallscan.simulate.phantom import phantom_truth
from stallscan.types import Label
from stallscan.video import Clip

SEEDS = {(0, 0, 26): Label.STALLED, 4: Label.FLOWING}


@pytest.fixture(scope="module", params=SEEDS, ids=str)
def both(request: pytest.FixtureRequest) -> tuple[Clip, Truth, Volume, Truth]:
    seed = request.param
    return *phantom_clip(seed, SEEDS[seed]), *phantom_roi(seed, SEEDS[seed])


def test_clip_and_roi_of_a_seed_have_one_truth(both: tuple[Clip, Truth, Volume, Truth]) -> None:
    clip, truth, volume, roi_truth = both
    assert truth == roi_truth
    assert truth.n_frames == clip.n_frames == volume.n_frames
    assert tuple(volume.box) == (
        *(0, truth.roi_y0, truth.roi_x0),
        *(truth.n_frames, truth.roi_y1, truth.roi_x1),
    )
    assert clip.voxel_size_um == volume.voxel_size_um
    assert volume.voxel_size_um == pytest.approx(
        (truth.z_step_um, truth.pixel_um, truth.pixel_um), abs=1e-4
    )


def test_the_outline_of_the_clip_is_found(both: tuple[Clip, Truth, Volume, Truth]) -> None:
    clip, _, volume, _ = both
    roi = find_roi(clip)
    assert roi.verdict is Verdict.OK
    assert set(roi.flags) <= {FrameFlag.DIM, FrameFlag.GAIN}  # which the phantom's detector has
    assert np.abs(np.subtract(roi.box, volume.box)).max() <= 2
    crop = roi.mask[volume.box.slices[1:]]
    assert (crop & volume.mask).sum() / (crop | volume.mask).sum() > 0.9


def test_the_roi_is_the_clip_s_box_but_for_noise(both: tuple[Clip, Truth, Volume, Truth]) -> None:
    clip, _, volume, _ = both
    crop = clip.array[volume.box.slices].astype(float)
    inside = volume.mask & ~volume.line
    a, b = crop[:, inside, 0], volume.array[:, inside, 0].astype(float)
    assert a.mean() == pytest.approx(b.mean(), rel=0.03)
    assert np.corrcoef(a.mean(axis=1), b.mean(axis=1))[0, 1] > 0.98  # slice by slice
    assert np.corrcoef(a.mean(axis=0), b.mean(axis=0))[0, 1] > 0.95  # pixel by pixel
    assert (a != b).mean() > 0.2  # the noise is drawn anew
    # The noise never shows through the line's core.
    core = (np.ptp(volume.array, axis=0) <= 1).all(axis=2) & volume.line
    assert core.sum() > 50
    np.testing.assert_allclose(crop[:, core], volume.array[:, core], atol=2)


def test_same_seed_same_bytes_other_seed_other_bytes() -> None:
    first, again = (phantom_roi((1, 2), Label.STALLED)[0] for _ in range(2))
    np.testing.assert_array_equal(first.array, again.array)
    np.testing.assert_array_equal(first.mask, again.mask)
    others = [phantom_roi(seed, Label.STALLED)[0] for seed in ((1, 3), (2, 2))]
    assert len({volume.array.tobytes() for volume in [first, *others]}) == 3


def test_truth_is_had_without_rendering() -> None:
    for label in Label:
        assert phantom_truth(7, label) == phantom_roi(7, label)[1]


@pytest.mark.parametrize("seed", range(8))
def test_truth_says_what_the_scene_is(seed: int) -> None:
    for label in Label:
        scene = sample_scene(np.random.default_rng(seed), label)
        truth, target = phantom_truth(seed, label), scene.tubes[0]
        assert truth.stalled == label
        assert truth.kind == target.blood.kind.value
        assert truth.speed_um_s == pytest.approx(target.blood.speed_um_s, abs=1e-3)
        assert truth.diameter_um == pytest.approx(2 * target.vessel.radius_um, abs=1e-3)
        assert truth.stalled_share > 0.55 if label is Label.STALLED else truth.stalled_share == 0


def test_persistence_alone_tells_most_stalls() -> None:
    """The baseline of the field: stopped cells stay where they are from slice to slice."""
    scores = {
        label: [persistence_score(phantom_roi((5, i), label)[0]) for i in range(30)]
        for label in Label
    }
    pairs = np.subtract.outer(scores[Label.STALLED], scores[Label.FLOWING])
    assert (pairs > 0).mean() > 0.65  # the AUC, 0.76 of 160
