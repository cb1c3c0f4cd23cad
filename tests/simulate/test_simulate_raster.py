"""The raster is slow: every line is drawn when the beam passes it, and the blood moves meanwhile.

A vessel along y, pixel size p, line time τ, train of period L moving at v: line y of frame z is
passed at t = zT + yτ and shows the train at s = yp - vt = y(p - vτ) - vzT. So the stripes have the
period L / (p - vτ) lines (as Doppler has it), and move by vT / (p - vτ) lines from frame to frame.
"""

import functools

import numpy as np
import pytest
from scenes import HEIGHT, LINE_S, PLASMA, SLICE_S, blood, straight_scene, wave
from scipy.optimize import minimize_scalar

from stallscan.simulate import sample_scene
from stallscan.simulate.blood import TABLE_STEP_UM, train
from stallscan.simulate.phantom import light_of
from stallscan.simulate.scene import Scene
from stallscan.simulate.settings import PRESETS, load_settings
from stallscan.simulate.state import State
from stallscan.types import Box

MIDDLE = 48


def render(scene: Scene) -> np.ndarray:
    return light_of(scene, Box(0, 0, 0, *scene.shape))


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


@pytest.mark.parametrize("pixel_um", [1.0, 0.75])
@pytest.mark.parametrize("speed_um_s", [0.0, 100.0, -100.0, 250.0, -400.0, 600.0, -1000.0, 1200.0])
def test_stripes_along_y_have_the_doppler_period(speed_um_s: float, pixel_um: float) -> None:
    period_um = 16.0
    pitch = (1.0, pixel_um, pixel_um)
    scene = straight_scene(wave(period_um, speed_um_s), "y", pitch_um=pitch)
    light = render(scene)
    expected = abs(pixel_um - speed_um_s * LINE_S) / period_um
    found = wave_number(light[4, 20:-20, round(MIDDLE / pixel_um)])
    assert found == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("line_share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("speed_um_s", [0.0, 150.0, -900.0])
def test_every_line_shows_the_blood_of_its_moment(speed_um_s: float, line_share: float) -> None:
    """On the axis the light follows plasma and darkness, frame by frame and line by line.

    Of the cosine the average over the line's time leaves sinc(vτ share / L).
    """
    period_um = 20.0
    light = render(straight_scene(wave(period_um, speed_um_s), "y", line_share=line_share))
    frame, line = 4, np.arange(10, HEIGHT - 10)
    middle_s = frame * SLICE_S + (line + line_share / 2) * LINE_S
    place = line - speed_um_s * middle_s
    blur = np.sinc(speed_um_s * LINE_S * line_share / period_um)
    expected = -blur * np.cos(2 * np.pi * place / period_um)
    found = light[frame, line, MIDDLE].astype(float)
    # Grey is linear in the darkness: compare up to offset and scale of the optics. The table has a
    # sample every 0.25 µm.
    slope, offset = np.polyfit(expected, found, 1)
    np.testing.assert_allclose(found, offset + slope * expected, atol=0.02 * PLASMA)
    assert slope == pytest.approx(standing_slope(), rel=0.03)


@functools.cache
def standing_slope() -> float:
    profile = render(straight_scene(wave(20.0, 0.0), "y"))[4, 10:-10, MIDDLE]
    return float(np.ptp(profile) / 2)


def test_cells_at_the_raster_s_speed_never_end() -> None:
    """At p/τ (427 µm/s) the beam rides on one cell: a frame shows one grey from top to bottom."""
    light = render(straight_scene(wave(20.0, 1.0 / LINE_S), "y"))
    assert np.ptp(light[4, 10:-10, MIDDLE]) < 0.05 * PLASMA
    # Other frames see another cell (T v = 384 µm is 19.2 periods).
    means = [light[z, 10:-10, MIDDLE].mean() for z in (3, 4, 5)]
    assert np.ptp(means) > 0.1 * PLASMA


def test_the_phase_moves_from_frame_to_frame() -> None:
    """v T is a quarter period here: a quarter of the stripes a frame, back where it was after 4."""
    period_um = 20.0
    light = render(straight_scene(wave(period_um, (3 + 0.25) * period_um / SLICE_S), "y"))
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
    assert np.mean(shifts_um) == pytest.approx(speed_um_s * LINE_S, abs=0.05)
    if speed_um_s == 0:  # the cells' round side is the same above and below
        assert shifts_um[0] == pytest.approx(-shifts_um[1], abs=0.02)


# --- A single cell ----------------------------------------------------------------------------


def one_cell(speed_um_s: float, **changes: float) -> np.ndarray:
    """Light along y of a train with a 6 µm cell every 60 µm."""
    s_um = np.arange(0, 240, TABLE_STEP_UM)
    cells = (np.mod(s_um - 30, 60) < 6).astype(float)
    return render(straight_scene(blood(cells, speed_um_s), "y", **changes))[..., MIDDLE]


def dark_runs(profile: np.ndarray) -> np.ndarray:
    middle = (profile.min() + profile.max()) / 2
    edges = np.flatnonzero(np.diff(np.r_[0, profile < middle, 0]))
    return edges[1::2] - edges[::2]


def test_a_stall_shows_whole_cells_at_the_same_place_in_every_slice() -> None:
    lines = one_cell(0.0)[3:6, 10:-10]
    np.testing.assert_allclose(lines[0], lines[2], rtol=1e-4)  # as far above as below
    dark = lines < (lines.min(axis=1) + lines.max(axis=1))[:, None] / 2
    np.testing.assert_array_equal(dark[0], dark[1])
    assert set(dark_runs(lines[1])) <= {5, 6}


def test_flow_shows_bars_of_one_or_two_lines() -> None:
    """Against the raster at 1 mm/s a 6 µm cell lasts 6 / (1 + 2.3) = 1.8 lines."""
    runs = dark_runs(one_cell(-1000.0)[4, 10:-10])
    assert len(runs) > 10
    assert runs.max() <= 2


# --- Decorrelation follows speed --------------------------------------------------------------

N_TRAINS = 8


@functools.cache
def patterns(speed_um_s: float, line_share: float = 0.0) -> np.ndarray:
    """``(train, slice, y)`` light on the axis of a vessel along y, slices 2–6; eight trains."""
    settings, found = PRESETS["clogloss"], []
    for seed in range(N_TRAINS):
        cells = train(np.random.default_rng(seed), 2048.0, 65.0, settings)
        moving = blood(np.zeros(4), speed_um_s, cells=cells)
        light = render(straight_scene(moving, "y", step_um=2.0, line_share=line_share))
        found.append(light[2:7, 10:-10, MIDDLE])
    return np.array(found, float)


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Mean over the trains of the correlation along the last axis."""
    a, b = a - a.mean(axis=-1, keepdims=True), b - b.mean(axis=-1, keepdims=True)
    norm = np.sqrt((a**2).sum(axis=-1) * (b**2).sum(axis=-1))
    return float(((a * b).sum(axis=-1) / norm).mean())


def test_creeping_blood_decorrelates_between_slices_as_it_creeps() -> None:
    """0–20 µm/s: the faster, the less two consecutive slices have in common."""
    speeds = (0.0, 0.5, 1.0, 2.0, 4.0, 7.0)
    found = [np.mean([correlation(patterns(sign * v)[:, 1:], patterns(sign * v)[:, :-1])
                      for sign in (-1, 1)]) for v in speeds]  # fmt: skip
    assert found[0] > 0.99
    assert (np.diff(found) < -0.02).all()
    assert found[-1] < 0.3
    # Farther than a cell is long, and nothing is left but chance.
    fast = [correlation(patterns(v)[:, 1:], patterns(v)[:, :-1]) for v in (10.0, 14.0, 20.0)]
    assert np.abs(fast).max() < 0.3


def test_stalled_blood_never_decorrelates() -> None:
    stalled = patterns(0.0)
    found = [correlation(stalled[:, lag:], stalled[:, : 5 - lag]) for lag in (1, 2, 3, 4)]
    assert min(found) > 0.99
    creeping = patterns(1.0)
    slow = [correlation(creeping[:, lag:], creeping[:, : 5 - lag]) for lag in (1, 2, 3, 4)]
    assert (np.diff(slow) < -0.05).all()


def test_flow_decorrelates_between_lines_as_it_flows() -> None:
    """0.15–8 mm/s, against the raster: neighbouring lines have ever less in common."""
    speeds = (0.0, 150.0, 400.0, 800.0, 1500.0, 2500.0)
    found = [correlation(patterns(-v)[..., 1:], patterns(-v)[..., :-1]) for v in speeds]
    assert found[0] > 0.8
    assert (np.diff(found) < -0.03).all()
    assert found[-1] < 0.3
    for speed in (4000.0, 8000.0):
        assert abs(correlation(patterns(-speed)[..., 1:], patterns(-speed)[..., :-1])) < 0.3
    # And between slices nothing stays, at any of these speeds.
    for speed in speeds[1:]:
        assert abs(correlation(patterns(-speed)[:, 1:], patterns(-speed)[:, :-1])) < 0.2


def test_fast_flow_blurs_to_uniform_when_the_whole_line_collects_light() -> None:
    contrast = [patterns(-v, 1.0).std(axis=-1).mean() for v in (0.0, 500.0, 2000.0, 4000.0, 8000.0)]
    assert (np.diff(contrast) < 0).all()
    assert contrast[-1] < 0.5 * contrast[0]  # cells are irregular: 18 µm hold one or two
    # With a short exposure it stays sharp however fast it flows.
    assert patterns(-8000.0, 0.0).std(axis=-1).mean() > 0.85 * contrast[0]


# --- Out of focus -----------------------------------------------------------------------------

PLAIN = blood(np.zeros(400), 0.0)


def in_depth(axial_um: float, radius_um: float = 2.5, z_um: float = 0.25) -> np.ndarray:
    """Light on the axis of a plain vessel by slice, 0.25 µm apart, relative to its maximum."""
    n = 240
    scene = straight_scene(
        PLAIN, "x", n_frames=n, radius_um=radius_um, axial_um=axial_um, pitch_um=(z_um, 1.0, 1.0)
    )
    light = render(scene)[:, MIDDLE, MIDDLE].astype(float)
    return light / light.max()


@pytest.mark.parametrize("axial_um", [1.0, 2.0])
def test_light_out_of_focus_falls_as_a_two_sided_exponential(axial_um: float) -> None:
    """Above the lumen it falls to 1/e in one decay length; the vessel lies in slice 16 here."""
    light = in_depth(axial_um)
    height = (np.arange(len(light)) * 0.25) - 4.0
    outside = (height > 3.0) & (height < 3.0 + 2 * axial_um)
    slope, _ = np.polyfit(height[outside], np.log(light[outside]), 1)
    assert slope == pytest.approx(-1 / axial_um, rel=0.02)
    assert light.argmax() == 16
    # Inside the lumen: one minus both tails.
    inside = np.abs(height) < 2.5
    expected = 1 - np.exp(-2.75 / axial_um) * np.cosh(height[inside] / axial_um)
    np.testing.assert_allclose(light[inside], expected / expected.max(), atol=0.02)


def test_a_capillary_in_plane_is_visible_in_8_to_12_slices() -> None:
    """In the middle of the preset's axial widths, slices of 1 µm, above a tenth of its light."""
    settings = PRESETS["clogloss"]
    fwhm = (settings.axial_fwhm_um.low + settings.axial_fwhm_um.high) / 2
    axial_um = fwhm / (2 * np.log(2))
    below = in_depth(axial_um)[16::4]  # the vessel lies in the first of them
    n_slices = 2 * np.count_nonzero(below > 0.1) - 1
    assert 8 <= n_slices <= 12


def test_deeper_is_broader() -> None:
    """Axial spread grows with depth: light one decay length above the vessel."""
    deep = straight_scene(PLAIN, "x", axial_growth=0.1)
    flat = straight_scene(PLAIN, "x", axial_growth=0.0)
    for scene, decay in ((deep, 2.0 * 1.4), (flat, 2.0)):  # 4 µm deep: 1.4 times as broad
        light = render(scene)[:, MIDDLE, MIDDLE]
        above = 0.5 * (np.exp(-0.25 / decay) - np.exp(-5.75 / decay))  # 3 µm above the axis
        expected = above / (1 - np.exp(-2.75 / decay))
        assert light[7] / light[4] == pytest.approx(expected, rel=0.02)


# --- Sampled scenes ---------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [3, 4])
@pytest.mark.parametrize("change", ["zoom=1", "zoom=1.5"])
def test_a_box_of_the_scene_is_cut_from_the_whole(seed: int, change: str) -> None:
    """Where and when a line is passed does not depend on what is rendered around it."""
    settings = load_settings("clogloss", [change])
    scene = sample_scene(np.random.default_rng(seed), State.FLOWING, settings)
    box = Box(8, 120, 150, 20, 200, 230)
    around = Box(8, 90, 100, 20, 230, 300)
    cut = light_of(scene, around)[:, 30:110, 50:130]
    np.testing.assert_allclose(light_of(scene, box), cut, atol=0.02)
    assert cut.max() > 50
