"""Whole clips and ROIs of one seed agree, have a true truth, and their outline is found."""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import numpy as np
import pytest
from scenes import blood, straight_scene

from stallscan.roi import Verdict, Volume, find_roi, persistence_score
from stallscan.simulate import Truth, microscope, phantom_clip, phantom_roi, phantom_truth
from stallscan.simulate.phantom import render_grey
from stallscan.simulate.settings import PRESETS, Settings, load_settings
from stallscan.simulate.state import State
from stallscan.types import Box, Label


def roi_of(
    seed: int | tuple[int, ...], state: State | Label, settings: Settings = PRESETS["clogloss"]
) -> tuple[Volume, Truth]:
    """The ROI before the codec."""
    return phantom_roi(seed, state, settings, codec=False)


# --- One renderer, two ways out ---------------------------------------------------------------

WAYS = {
    "plain": [],
    "small pixels": ["zoom=1.5"],
    "large pixels": ["zoom=0.7"],
    "small gif": ["gif_share=1", "gif_scale=0.6"],
    "large gif": ["gif_share=1", "gif_scale=1.4"],
    "zoomed gif": ["zoom=1.3", "gif_share=1", "gif_scale=0.8"],
    "moving": ["drift_px=3", "jitter_px=0.5", "breathing_px=0.5", "line_jitter_px=0.2"],
    "flawed": [
        *("gain_steps_share=1", "dim_share=1", "duplicate_share=1", "black_edge_share=1"),
        *("mask_share=1", "mask_target_share=1", "specks=8", "halos=4", "outline_missing_share=1"),
    ],
}


@pytest.mark.parametrize("way", WAYS)
def test_without_noise_the_roi_is_the_box_of_the_clip(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pixel by pixel, but for the rounding of the resampling; a seed with 40 frames, two blocks."""
    monkeypatch.setattr(microscope, "_detect", lambda *_: None)
    settings = load_settings("clean", [*WAYS[way], "read_noise=1"])
    clip, truth = phantom_clip(3, State.STALLED, settings)
    volume, roi_truth = roi_of(3, State.STALLED, settings)
    assert truth == roi_truth
    assert clip.voxel_size_um == pytest.approx(volume.voxel_size_um)
    assert volume.voxel_size_um == pytest.approx(
        (truth.z_step_um, truth.pixel_um, truth.pixel_um), abs=1e-6
    )
    assert clip.array.dtype == volume.array.dtype == np.uint8
    crop = clip.array[volume.box.slices]
    assert crop.shape == volume.array.shape
    difference = np.abs(crop.astype(int) - volume.array)
    if "gif" in way or way == "flawed":  # whole steps of the palette, rims of cut polygons
        assert (difference > 1).mean() < 0.02
    else:
        assert difference.max() <= 1
    assert (difference > 0).mean() < 0.02
    assert volume.array.std() > 20


@pytest.mark.parametrize("preset", ["clogloss", "hard"])
def test_with_noise_they_differ_by_noise_alone(preset: str) -> None:
    clip, _ = phantom_clip((0, 4), State.FLOWING, PRESETS[preset])
    volume, _ = roi_of((0, 4), State.FLOWING, PRESETS[preset])
    inside = volume.mask & ~volume.line
    a = clip.array[volume.box.slices][:, inside, 0].astype(float)
    b = volume.array[:, inside, 0].astype(float)
    assert a.mean() == pytest.approx(b.mean(), rel=0.04)
    assert a.std() == pytest.approx(b.std(), rel=0.04)
    assert np.corrcoef(a.mean(axis=1), b.mean(axis=1))[0, 1] > 0.95  # slice by slice
    assert (a != b).mean() > 0.2  # the noise is drawn anew


@pytest.mark.parametrize("zoom", [0.6, 1.0, 1.5])
def test_a_zoomed_picture_has_everything_in_its_place(
    zoom: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A speck in line 200, column 50 of the scanned stack, in a box somewhere around it."""
    monkeypatch.setattr(microscope, "_detect", lambda *_: None)
    scene = straight_scene(blood(np.zeros(400), 0.0), "y", zoom=zoom)
    speck = np.array([[2, 200, 50, 0.5, 3.0, 180]], np.float32)
    tube = replace(scene.target, brightness=0.0)
    y, x = (np.array([200, 50]) + 0.5) * zoom - 0.5
    box = Box(0, int(y) - 17, int(x) - 14, 8, int(y) + 19, int(x) + 16)
    grey = render_grey(replace(scene, spots=speck, target=tube), box, np.random.default_rng(0))[2]
    ys, xs = np.mgrid[box.y0 : box.y1, box.x0 : box.x1]
    weight = grey / grey.sum(dtype=float)
    assert (weight * ys).sum() == pytest.approx(y, abs=0.1)
    assert (weight * xs).sum() == pytest.approx(x, abs=0.1)


# --- Shapes, box, outline ---------------------------------------------------------------------


@pytest.mark.parametrize("preset", PRESETS)
def test_a_clip_is_a_competition_s_video_with_its_outline(preset: str) -> None:
    settings = PRESETS[preset]
    if preset == "clogloss":
        settings = load_settings(preset, ["outline_missing_share=0", "outline_jump_share=0"])
    clip, truth = phantom_clip((9, 2), Label.FLOWING, settings)
    assert clip.array.shape[0] == truth.n_frames
    if "gif" not in truth.artefacts:
        assert clip.array.shape[1:] in ((384, 512, 3), (384, 418, 3))
    assert clip.voxel_size_um is not None and clip.source == "phantom"
    roi = find_roi(clip)
    assert roi.verdict is Verdict.OK
    box = (truth.roi_y0, truth.roi_x0, truth.roi_y1, truth.roi_x1)
    assert np.abs(np.subtract([*roi.box[1:3], *roi.box[4:]], box)).max() <= 2
    volume, _ = roi_of((9, 2), Label.FLOWING, settings)
    crop = roi.mask[volume.box.slices[1:]]
    assert (crop & volume.mask).sum() / (crop | volume.mask).sum() > 0.9


@pytest.mark.parametrize("preset", PRESETS)
def test_mask_and_line_of_a_roi_fit_its_picture(preset: str) -> None:
    for seed in range(4):
        volume, truth = roi_of((10, seed), State.STALLED, PRESETS[preset])
        assert volume.array.shape[:3] == volume.box.size
        assert volume.mask.shape == volume.line.shape == volume.array.shape[1:3]
        assert tuple(volume.box) == (
            *(0, truth.roi_y0, truth.roi_x0),
            *(truth.n_frames, truth.roi_y1, truth.roi_x1),
        )
        assert truth.roi_y0 >= 0 and truth.roi_x0 >= 0
        # The box is drawn tightly around the line.
        ys, xs = np.nonzero(volume.line)
        height, width = volume.line.shape
        assert (ys.min(), ys.max(), xs.min(), xs.max()) == (0, height - 1, 0, width - 1)
        assert not (volume.line & ~volume.mask).any()
        assert volume.mask.mean() > volume.line.mean()
        # Orange on the line of every frame in which it is drawn there; grey elsewhere.
        drawn = not {"outline_missing", "outline_jump"} & set(truth.artefacts)
        redness = volume.array[..., 0].astype(int) - volume.array[..., 2]
        if drawn:
            assert np.median(redness[:, volume.line]) > 120
            assert (np.median(redness[:, volume.line], axis=1) > 60).all()
        deep = volume.mask & ~volume.line
        if "gif" not in truth.artefacts and drawn:
            assert (redness[:, deep] != 0).mean() < 0.25  # the line's soft edge only


def test_rois_have_the_size_of_the_competition_s() -> None:
    truths = [phantom_truth((12, i), State.FLOWING) for i in range(100)]
    heights = [t.roi_y1 - t.roi_y0 for t in truths]
    widths = [t.roi_x1 - t.roi_x0 for t in truths]
    assert np.mean(heights) == pytest.approx(66, rel=0.15)
    assert np.mean(widths) == pytest.approx(67, rel=0.15)
    assert np.mean([t.n_frames for t in truths]) == pytest.approx(60, rel=0.15)
    assert min(heights) >= 20 and min(widths) >= 20


# --- Same seed, same bytes --------------------------------------------------------------------


def roi_bytes(index: int) -> bytes:
    """What a worker makes of an index."""
    volume, truth = roi_of((20, index), (State.FLOWING, State.STALLED)[index % 2])
    return volume.array.tobytes() + volume.mask.tobytes() + repr(truth.row()).encode()


def test_workers_make_the_bytes_of_this_process() -> None:
    expected = [roi_bytes(index) for index in range(4)]
    assert len(set(expected)) == 4
    for n_workers, method in ((1, "spawn"), (4, "fork")):
        with ProcessPoolExecutor(n_workers, mp_context=get_context(method)) as pool:
            assert list(pool.map(roi_bytes, range(4))) == expected


def test_same_seed_same_bytes_other_seed_other_bytes() -> None:
    first, again = (roi_of((1, 2), State.STALLED)[0] for _ in range(2))
    np.testing.assert_array_equal(first.array, again.array)
    np.testing.assert_array_equal(first.mask, again.mask)
    others = [roi_of(seed, State.STALLED)[0] for seed in ((1, 3), (2, 2))]
    assert len({volume.array.tobytes() for volume in [first, *others]}) == 3


def test_whole_clips_of_a_seed_have_the_same_bytes() -> None:
    settings = load_settings("hard", ["length_density=3e-4"])
    first, again = (phantom_clip((1, 2), State.STALLED, settings)[0] for _ in range(2))
    np.testing.assert_array_equal(first.array, again.array)


def test_presets_differ() -> None:
    volumes = [roi_of(3, State.STALLED, settings)[0] for settings in PRESETS.values()]
    assert len({volume.array.tobytes() for volume in volumes}) == len(PRESETS)


def test_presets_differ_in_noise() -> None:
    """Grey of neighbouring pixels differs more where there are few photons."""
    rough = {}
    for preset in ("clean", "hard"):
        values = []
        for seed in range(6):
            volume, _ = roi_of((4, seed), State.STALLED, PRESETS[preset])
            grey = volume.array[..., 1][:, volume.mask & ~volume.line].astype(float)
            values.append(np.abs(np.diff(grey, axis=0)).mean() / grey.std())
        rough[preset] = np.median(values)
    assert rough["hard"] > 1.3 * rough["clean"]


# --- Truth ------------------------------------------------------------------------------------


def test_truth_is_had_without_rendering() -> None:
    for state in State:
        alone, rendered = phantom_truth(7, state), roi_of(7, state)[1]
        # NaN is not equal to itself: by their words.
        assert repr(alone) == repr(rendered)
        for name in ("centreline_px", "cells_um", "motion_um", "focus"):
            np.testing.assert_array_equal(getattr(alone, name), getattr(rendered, name))


def test_a_label_is_as_good_as_a_state() -> None:
    for label, state in ((Label.FLOWING, State.FLOWING), (Label.STALLED, State.STALLED)):
        assert repr(phantom_truth(3, label)) == repr(phantom_truth(3, state))


@pytest.mark.parametrize("gif", [[], ["gif_share=1", "gif_scale=0.7"], ["zoom=1.4"]])
def test_the_centreline_is_where_the_vessel_shines(gif: list[str]) -> None:
    """In focus the centreline is brighter than what is 6 px beside it."""
    settings = load_settings("clean", [*gif, "length_density=2e-4", "penetrating=0"])
    brighter = []
    for seed in range(4):
        volume, truth = roi_of((14, seed), State.FLOWING, settings)
        z, y, x = np.round(truth.centreline_px - (0, truth.roi_y0, truth.roi_x0)).astype(int).T
        inside = (z >= 0) & (z < truth.n_frames)
        grey = volume.array[..., 1].astype(float)
        _n, height, width = grey.shape
        zs, ys, xs = (a[inside] for a in (z, y, x))
        on = grey[zs, ys, xs].mean()
        beside = [
            grey[zs, np.clip(ys + dy, 4, height - 5), np.clip(xs + dx, 4, width - 5)].mean()
            for dy, dx in ((7, 0), (-7, 0), (0, 7), (0, -7))
        ]
        brighter.append(on / np.median(beside))
    assert np.median(brighter) > 1.3


def test_persistence_alone_tells_most_stalls() -> None:
    """The baseline of the field: stopped cells stay where they are from slice to slice."""
    scores = {
        state: [persistence_score(roi_of((5, i), state, PRESETS["clean"])[0]) for i in range(12)]
        for state in (State.FLOWING, State.STALLED)
    }
    pairs = np.subtract.outer(scores[State.STALLED], scores[State.FLOWING])
    assert (pairs > 0).mean() > 0.7  # the AUC, 0.86 of 140
