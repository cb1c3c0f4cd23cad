"""The raster is slow: every line is drawn when the beam passes it, and the blood moves meanwhile.

A vessel along y, pixel size p, line time τ, train of period L moving at v: line y of frame z is
passed at t = zT + yτ and shows the train at s = yp - vt = y(p - vτ) - vzT. So the stripes have the
period L / (p - vτ) lines (as Doppler has it), and move by vT / (p - vτ) lines from frame to frame.
"""

from dataclasses import replace

import numpy as np
import pytest
from scenes import FRAME_S, HEIGHT, LINE_S, PLASMA, straight_scene, train, wave
from scipy.optimize import minimize_scalar

from stallscan.simulate import sample_scene
from stallscan.simulate.blood import TABLE_STEP_UM
from stallscan.simulate.phantom import _light
from stallscan.simulate.scene import Scene, visible_s
from stallscan.types import Box, Label

MIDDLE = 48


def render(scene: Scene) -> np.ndarray:
    return _light(scene, Box(0, 0, 0, *scene.shape))


def wave_number(profile: np.ndarray, low: float = 0.0, high: float = 0.5) -> float:
    """Cycles per sample of a sinusoid, from the peak of its spectrum."""
    window = np.hanning(len(profile))
    signal = window * (profile - np.average(profile, weights=window))
    index = np.arange(len(profile))

    def power(cycles: float) -> float:
        return -abs(np.sum(signal * np.exp(-2j * np.pi * cycles * index)))

    grid = np.arange(low, high, 0.2 / len(profile))
    best = grid[np.argmin([power(cycles) for cycles in grid])]
    found = minimize_scalar(power, bounds=(best - 1e-3, best + 1e-3), method="bounded")
    return float(found.x)


# --- Vessel along y ---------------------------------------------------------------------------

PITCHES = (1.0, 1.5)
SPEEDS = (0.0, 100.0, -100.0, 250.0, -400.0, 600.0, -1000.0, 1200.0)


@pytest.mark.parametrize("pixel_um", PITCHES)
@pytest.mark.parametrize("speed_um_s", SPEEDS)
def test_stripes_along_y_have_the_doppler_period(speed_um_s: float, pixel_um: float) -> None:
    period_um = 16.0
    light = render(straight_scene(wave(period_um, speed_um_s), "y", pixel_um=pixel_um))
    expected = abs(pixel_um - speed_um_s * LINE_S) / period_um
    found = wave_number(light[4, 20:-20, MIDDLE])
    assert found == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("step_um", [1.0, 3.0])
@pytest.mark.parametrize("speed_um_s", [0.0, 150.0, -900.0])
def test_every_line_shows_the_blood_of_its_moment(speed_um_s: float, step_um: float) -> None:
    """Along the axis the light is plasma times (1 - darkness), frame by frame and line by line."""
    period_um, pixel_um = 20.0, 1.0
    light = render(
        straight_scene(wave(period_um, speed_um_s), "y", pixel_um=pixel_um, step_um=step_um)
    )
    frame, line = 4, np.arange(10, HEIGHT - 10)
    expected = np.zeros(len(line))
    for part in (0.0, 0.5):  # the blood at the beginning and in the middle of the line's time
        place = line * pixel_um - speed_um_s * (frame * FRAME_S + (line + part) * LINE_S)
        expected += PLASMA * (0.5 - 0.5 * np.cos(2 * np.pi * place / period_um)) / 2
    # The table has a sample every 0.25 µm: 4 % of the amplitude at most.
    np.testing.assert_allclose(light[frame, line, MIDDLE], expected, atol=0.05 * PLASMA)


def test_cells_at_the_raster_s_speed_never_end() -> None:
    """At p/τ (427 µm/s) the beam rides on one cell: a frame shows one grey from top to bottom."""
    light = render(straight_scene(wave(20.0, 1.0 / LINE_S), "y"))
    profile = light[4, 10:-10, MIDDLE]
    assert np.ptp(profile) < 0.05 * PLASMA
    # Other frames see another cell (T v = 384 µm is 19.2 periods).
    means = [light[z, 10:-10, MIDDLE].mean() for z in (3, 4, 5)]
    assert np.ptp(means) > 0.2 * PLASMA * 0.5


def test_the_phase_moves_from_frame_to_frame() -> None:
    """v T is a quarter period here: a quarter of the stripes a frame, back where it was after 4."""
    period_um = 20.0
    light = render(straight_scene(wave(period_um, (3 + 0.25) * period_um / FRAME_S), "y"))
    # Off the plane of the vessel the tube is thinner, but its axis stays inside it.
    axis = [light[z, 10:-10, MIDDLE].astype(float) for z in (3, 4, 5)]
    half = [row - row.mean() for row in axis]
    assert abs(np.corrcoef(half[0], half[1])[0, 1]) < 0.1
    assert np.corrcoef(half[0], half[2])[0, 1] < -0.95


# --- Vessel along x ---------------------------------------------------------------------------


@pytest.mark.parametrize("speed_um_s", [0.0, 300.0, -700.0])
def test_stripes_along_x_keep_their_period_and_lean(speed_um_s: float) -> None:
    """Within a line the train is as it is; from line to line it has moved by v τ."""
    period_um = 16.0
    light = render(straight_scene(wave(period_um, speed_um_s), "x"))
    inside = slice(4, -4)
    rows = [light[4, y, inside].astype(float) for y in (MIDDLE - 1, MIDDLE, MIDDLE + 1)]
    for row in rows:
        assert wave_number(row) == pytest.approx(1 / period_um, rel=0.05)
    index = np.arange(len(rows[0]))
    carrier = np.hanning(len(index)) * np.exp(-2j * np.pi * index / period_um)
    phases = [np.angle(np.sum((row - row.mean()) * carrier)) for row in rows]
    shifts_um = -np.diff(phases) * period_um / (2 * np.pi)
    # The table has a sample every 0.25 µm, so a single shift is right to about as much.
    assert np.mean(shifts_um) == pytest.approx(speed_um_s * LINE_S, abs=0.1)


# --- A single cell ----------------------------------------------------------------------------


def one_cell(speed_um_s: float) -> np.ndarray:
    """Light along y of a train with a 6 µm cell every 60 µm."""
    s_um = np.arange(0, 240, TABLE_STEP_UM)
    cells = (np.mod(s_um - 30, 60) < 6).astype(float)
    return render(straight_scene(train(cells, speed_um_s), "y"))[..., MIDDLE]


def dark_runs(profile: np.ndarray) -> np.ndarray:
    edges = np.flatnonzero(np.diff(np.r_[0, profile < 0.5 * PLASMA, 0]))
    return edges[1::2] - edges[::2]


def test_a_stall_shows_whole_cells_at_the_same_place_in_every_slice() -> None:
    lines = one_cell(0.0)[3:6, 10:-10]
    np.testing.assert_array_equal(lines[0] < 0.5 * PLASMA, lines[1] < 0.5 * PLASMA)
    np.testing.assert_array_equal(lines[1] < 0.5 * PLASMA, lines[2] < 0.5 * PLASMA)
    assert set(dark_runs(lines[1])) == {6}


def test_flow_shows_bars_of_one_or_two_lines() -> None:
    """Against the raster at 1 mm/s a 6 µm cell lasts 6 / (1 + 2.3) = 1.8 lines."""
    runs = dark_runs(one_cell(-1000.0)[4, 10:-10])
    assert len(runs) > 10
    assert runs.max() <= 2


# --- Sampled scenes ---------------------------------------------------------------------------


def target_alone(seed: int, label: Label) -> tuple[Scene, np.ndarray]:
    """The scene of a seed without other vessels and specks; darkness of its blood, NaN outside."""
    scene = sample_scene(np.random.default_rng(seed), label)
    (target, *_), empty = scene.tubes, np.zeros((0, 5), np.float32)
    alone = replace(scene, tubes=(target,), specks=empty)
    plasma = replace(target, blood=replace(target.blood, cells=np.zeros(4, np.float32)))
    light, bright = render(alone), render(replace(alone, tubes=(plasma,)))
    lumen = bright > 0.9 * target.brightness
    return scene, np.where(lumen, 1 - light / np.maximum(bright, 1), np.nan)


def test_darkness_stays_in_a_stall_and_not_in_flow() -> None:
    """Mean change of the darkness from slice to slice, relative to that of a shuffled lumen."""
    found: dict[Label, list[float]] = {Label.FLOWING: [], Label.STALLED: []}
    for seed in range(12):
        for label in Label:
            scene, darkness = target_alone(seed, label)
            if np.isfinite(scene.tubes[0].blood.stall_s[0]) or scene.tubes[0].blood.kind == "creep":
                continue
            both = np.isfinite(darkness[1:]) & np.isfinite(darkness[:-1])
            before, after = darkness[:-1][both], darkness[1:][both]
            shuffled = np.random.default_rng(0).permutation(after)
            change, chance = np.abs(after - before).mean(), np.abs(shuffled - before).mean()
            found[label].append(float(change / chance))
            if label is Label.STALLED:
                assert np.nanmax(darkness) > 0.6
    assert len(found[Label.STALLED]) > 6 and len(found[Label.FLOWING]) > 6
    assert max(found[Label.STALLED]) < 0.4
    assert np.median(found[Label.FLOWING]) > 0.7
    assert min(found[Label.FLOWING]) > max(found[Label.STALLED])


def test_visible_time_holds_all_light_of_the_target() -> None:
    for seed in range(6):
        scene, darkness = target_alone(seed, Label.FLOWING)
        frames = np.flatnonzero(np.isfinite(darkness).any(axis=(1, 2)))
        begin, end = visible_s(scene.tubes[0].vessel, scene.microscope, scene.shape[0])
        assert begin <= frames[0] * scene.microscope.frame_s
        assert frames[-1] * scene.microscope.frame_s <= end


@pytest.mark.parametrize("seed", [3, 4])
def test_a_box_of_the_scene_is_cut_from_the_whole(seed: int) -> None:
    """Where and when a line is passed does not depend on what is rendered around it."""
    scene = sample_scene(np.random.default_rng(seed), Label.FLOWING)
    scene = replace(scene, shape=(20, *scene.shape[1:]))
    box = Box(0, 150, 200, 20, 230, 290)
    inside = scene.specks[:, 0] < 20
    scene = replace(scene, specks=scene.specks[inside])
    np.testing.assert_allclose(_light(scene, box), render(scene)[box.slices], atol=0.01)
