"""Every defect that the truth names is in the picture, and none that it does not name."""

from dataclasses import replace

import numpy as np
import pytest
from scenes import HEIGHT, WIDTH, blood, straight_scene

from stallscan.simulate import defects, sample_scene
from stallscan.simulate.defects import Defects, mask_target, sample_defects
from stallscan.simulate.outline import Outline
from stallscan.simulate.phantom import render, whole
from stallscan.simulate.scene import Scene, flawless
from stallscan.simulate.settings import load_settings
from stallscan.simulate.state import State
from stallscan.simulate.truth import view_of
from stallscan.types import Box

N_FRAMES = 20
SHAPE = (N_FRAMES, HEIGHT, 256)
CONTOUR = np.array([[60, 100], [120, 100], [120, 180], [60, 180]], np.float32)
OUTLINE = Outline(contour_px=CONTOUR, color=(240, 104, 17), thickness_px=3)
SHARES = (
    *("gain_steps_share", "dim_share", "duplicate_share", "black_edge_share", "mask_share"),
    *("mask_target_share", "outline_missing_share", "outline_jump_share"),
)


def draw(seed: int, *changes: str) -> Defects:
    """Only those that are asked for."""
    settings = load_settings("clean", changes)
    return sample_defects(np.random.default_rng(seed), SHAPE, OUTLINE, settings)


def picture(flaws: Defects) -> np.ndarray:
    """``(z, y, x, 3)`` of a plain vessel with background, without noise to speak of."""
    scene = straight_scene(
        blood(np.zeros(400), 0.0), "y", n_frames=N_FRAMES, background=60.0, photon_grey=0.2
    )
    scene = replace(scene, shape=(N_FRAMES, HEIGHT, WIDTH), defects=flaws, outline=OUTLINE)
    return render(scene, whole(scene), np.random.default_rng(0))


def orange(frames: np.ndarray) -> np.ndarray:
    """``(z, y, x)`` bool."""
    return frames[..., 0].astype(int) - frames[..., 2] > 60


def test_without_shares_nothing_is_wrong() -> None:
    flaws = draw(0)
    assert flaws.words == () and flaws.elsewhere is None
    assert not flaws.edges and not flaws.masks and not flaws.duplicated.any()
    assert (flaws.gain == 1).all() and (flaws.drawn == 1).all()
    assert flaws.black(Box(0, 0, 0, *SHAPE)) is None
    frames = picture(flaws)
    assert frames[..., 0].min() > 30
    assert len({plane.tobytes() for plane in orange(frames)}) == 1


WORDS = {
    "gain_steps": "gain_steps_share=1",
    "dim_frames": "dim_share=1",
    "duplicated_frames": "duplicate_share=1",
    "black_edge": "black_edge_share=1",
    "mask": "mask_share=1",
    "mask_on_target": "mask_target_share=1",
    "outline_missing": "outline_missing_share=1",
    "outline_jump": "outline_jump_share=1",
}


@pytest.mark.parametrize("word", WORDS)
def test_words_name_what_there_is(word: str) -> None:
    for seed in range(5):
        flaws = draw(seed, WORDS[word])
        assert flaws.words == (word,)
        assert (flaws.gain != 1).any() == (word in ("gain_steps", "dim_frames"))
        assert flaws.duplicated.any() == (word == "duplicated_frames")
        assert bool(flaws.edges) == (word == "black_edge")
        assert bool(flaws.masks) == word.startswith("mask")
        assert (flaws.drawn == 0).any() == (word == "outline_missing")
        assert (flaws.drawn == 2).any() == (word == "outline_jump")


@pytest.mark.parametrize("share", SHARES)
def test_a_share_is_how_often(share: str) -> None:
    found = np.mean([bool(draw(seed, f"{share}=0.3").words) for seed in range(300)])
    assert found == pytest.approx(0.3, abs=0.08)


def test_gain_steps_change_whole_blocks_of_frames() -> None:
    for seed in range(5):
        flaws = draw(seed, "gain_steps_share=1", "gain_step=1.5")
        steps = flaws.gain[1:] / flaws.gain[:-1]
        assert 1 <= np.count_nonzero(steps != 1) <= 3
        grey = picture(flaws)[..., 2][:, 200:, :30].mean(axis=(1, 2))
        expected = np.clip(60 * flaws.gain, 0, 255)
        np.testing.assert_allclose(grey, expected, atol=1.5)


def test_dim_frames_are_dimmer_than_their_neighbours() -> None:
    flaws = draw(1, "dim_share=1", "dim_gain=0.4")
    dim = flaws.gain < 1
    assert 1 <= dim.sum() <= 3
    grey = picture(flaws)[..., 2][:, 200:, :30].mean(axis=(1, 2))
    assert grey[dim].max() < 0.5 * grey[~dim].min()


def test_duplicated_frames_are_the_frame_before() -> None:
    flaws = draw(0, "duplicate_share=1")
    frames = picture(flaws)
    same = np.array([(a == b).all() for a, b in zip(frames[1:], frames[:-1], strict=True)])
    np.testing.assert_array_equal(same, flaws.duplicated[1:])
    assert not flaws.duplicated[0]


@pytest.mark.parametrize("seed", range(6))
def test_black_edges_are_wavy_and_as_wide_as_asked_for(seed: int) -> None:
    flaws = draw(seed, "black_edge_share=1", "black_edge_px=8")
    sides = {edge.side for edge in flaws.edges}
    assert sides and sides <= {"left", "top"}
    black = flaws.black(Box(0, 0, 0, *SHAPE))
    assert black is not None
    for side in sides:
        lines = black[:, 100:] if side == "left" else black[:, :, 100:].swapaxes(1, 2)
        widths = lines[:, :, :60].sum(axis=2)  # of each line in each frame
        assert widths.mean() == pytest.approx(8, rel=0.25)
        assert widths.std(axis=1).mean() > 0.5  # it waves
        assert widths.std(axis=0).mean() > 0.3  # and moves from frame to frame
    assert not black[:, 100:, 100:].any()
    frames = picture(flaws)
    grey = frames.max(axis=3)
    off_line = ~orange(frames)
    covered = black[:, :, :WIDTH] & off_line
    assert (grey[covered] <= 1).mean() > 0.97
    assert grey[~black[:, :, :WIDTH] & off_line].min() > 20


def test_masks_are_black_in_their_frames() -> None:
    n_black = 0
    for seed in range(8):
        flaws = draw(seed, "mask_share=1")
        black = flaws.black(Box(0, 0, 0, N_FRAMES, HEIGHT, WIDTH))
        assert black is not None
        frames = picture(flaws)
        covered = black & ~orange(frames)
        if covered.any():
            assert (frames.max(axis=3)[covered] <= 1).mean() > 0.9  # but for the rim of the line
            n_black += 1
        (mask,) = flaws.masks
        assert not black[: mask.first].any() and not black[mask.last :].any()
    assert n_black >= 1


def test_black_of_a_part_is_the_part_of_the_black() -> None:
    flaws = draw(3, "black_edge_share=1", "mask_share=1", "mask_target_share=1")
    whole_black = flaws.black(Box(0, 0, 0, *SHAPE))
    box = Box(2, 90, 50, 15, 190, 130)
    part = flaws.black(box)
    assert whole_black is not None and part is not None
    # A polygon that the frame cuts may differ by pixels of its rim.
    assert (part != whole_black[box.slices]).mean() < 0.005
    assert 0.1 < part.mean() < 0.95


@pytest.mark.parametrize("share", [0.3, 0.7, 1.0])
def test_masks_on_the_target_cover_their_share_of_the_outline(share: float) -> None:
    inside = OUTLINE.filled(SHAPE[1:])
    found = []
    for seed in range(12):
        mask = mask_target(np.random.default_rng(seed), N_FRAMES, OUTLINE, share)
        black = replace(defects.none(N_FRAMES), masks=(mask,)).black(Box(0, 0, 0, *SHAPE))
        assert black is not None
        found.append(black[mask.first : mask.last][0][inside].mean())
    if share == 1.0:
        assert min(found) == 1.0
    else:
        assert np.mean(found) == pytest.approx(share, abs=0.12)


@pytest.mark.parametrize("state", [State.FLOWING, State.STALLED])
def test_a_mask_over_all_of_the_target_makes_it_undecidable(state: State) -> None:
    for seed in range(4):
        scene = sample_scene(np.random.default_rng(seed), state)
        assert scene.truth().state is state
        mask = mask_target(np.random.default_rng(0), scene.shape[0], scene.outline, 1.0)
        hidden = replace(scene, defects=replace(scene.defects, masks=(mask,)))
        truth = hidden.truth()
        assert truth.state is State.UNDECIDABLE and truth.stalled is None
        assert truth.visible_share == 0 and truth.n_focus == 0


def test_missing_outlines_are_missing_in_their_frames() -> None:
    flaws = draw(2, "outline_missing_share=1")
    missing = flaws.drawn == 0
    assert 1 <= missing.sum() <= N_FRAMES // 4
    assert np.count_nonzero(np.diff(missing.astype(int))) <= 2  # frames in a row
    shown = orange(picture(flaws)).any(axis=(1, 2))
    np.testing.assert_array_equal(shown, ~missing)


def test_a_jumped_outline_is_elsewhere_from_then_on_and_the_same() -> None:
    for seed in range(5):
        flaws = draw(seed, "outline_jump_share=1")
        assert flaws.elsewhere is not None
        assert (np.diff(flaws.drawn.astype(int)) >= 0).all()
        jumped = flaws.drawn == 2
        assert N_FRAMES // 3 <= np.flatnonzero(jumped)[0] < N_FRAMES
        move = flaws.elsewhere.contour_px - OUTLINE.contour_px
        assert np.ptp(move, axis=0).max() < 1e-3
        low, high = flaws.elsewhere.contour_px.min(axis=0), flaws.elsewhere.contour_px.max(axis=0)
        assert (low >= 0).all() and (high <= SHAPE[:0:-1]).all()
        room = replace(flaws, elsewhere=replace(OUTLINE, contour_px=OUTLINE.contour_px - (40, 60)))
        lines = orange(picture(room))
        ys, xs = np.nonzero(lines[0])
        np.testing.assert_array_equal(lines[np.flatnonzero(jumped)[0]][ys - 60, xs - 40], True)
        np.testing.assert_array_equal(lines[:, ys, xs].all(axis=1), ~jumped)


def test_a_jump_without_room_does_not_happen() -> None:
    large = replace(OUTLINE, contour_px=np.array([[3, 3], [252, 3], [252, 380]], np.float32))
    settings = load_settings("clean", ["outline_jump_share=1"])
    flaws = sample_defects(np.random.default_rng(0), SHAPE, large, settings)
    assert flaws.words == () and flaws.elsewhere is None and (flaws.drawn == 1).all()


def test_truth_names_the_defects_of_the_scene() -> None:
    settings = load_settings("clogloss", ["black_edge_share=1", "gain_steps_share=1"])
    scene = sample_scene(np.random.default_rng(0), State.FLOWING, settings)
    assert {"black_edge", "gain_steps"} <= set(scene.truth().artefacts)
    assert flawless(scene).truth().artefacts == ()


def test_dim_frames_are_not_seen() -> None:
    scene: Scene = straight_scene(blood(np.zeros(400), 0.0), "y", read_noise=8.0)
    dim = replace(scene.defects, gain=np.array([1, 1, 1, 1, 0.01, 1, 1, 1], np.float32))
    tube = scene.target
    found = view_of(tube.vessel, tube.brightness, scene.microscope, dim, scene.shape)
    np.testing.assert_array_equal(np.flatnonzero(found.focus), [2, 3, 5, 6])
