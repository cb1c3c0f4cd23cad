"""From light to grey levels: variance by the detector's law, streaks, gain, motion, black level."""

import numpy as np
import pytest
from scenes import microscope

from stallscan.simulate.microscope import Microscope, expose, sample_microscope
from stallscan.simulate.settings import PRESETS, Range, load_settings

SHAPE = (4, 200, 300)


def flat(level: float) -> np.ndarray:
    return np.full(SHAPE, level, np.float32)


def session(**changes: object) -> Microscope:
    return microscope(4, n_lines=200, **changes)


def exposed(light: np.ndarray, scope: Microscope, seed: int = 0) -> np.ndarray:
    return expose(light, scope, np.random.default_rng(seed)).astype(float)


# --- Photons ----------------------------------------------------------------------------------


@pytest.mark.parametrize("streak_px", [0.0, 0.7, 1.5])
@pytest.mark.parametrize("level", [2.0, 20.0, 60.0, 150.0, 400.0])
def test_variance_is_that_of_photons_with_gamma_amplitudes_and_of_the_dark(
    level: float, streak_px: float
) -> None:
    """FACTS: var = 4/a · mean + σ². Gamma(3, a) has the mean 3/a, so 4/a is 4/3 of a photon's."""
    photon_grey, read_noise = 5.0, 4.0
    scope = session(photon_grey=photon_grey, read_noise=read_noise, streak_px=streak_px)
    grey = exposed(flat(level), scope)
    inner = grey[..., 8:-8]
    expected = 4 / 3 * photon_grey * level + read_noise**2
    assert inner.var() == pytest.approx(expected, rel=0.04)
    # Of the mean a hundredth may be lost in the table.
    assert inner.mean() == pytest.approx(level, rel=0.01, abs=0.1)


def test_few_photons_are_skewed_many_are_not() -> None:
    skews = []
    for photon_grey in (50.0, 0.5):
        noise = exposed(flat(100.0), session(photon_grey=photon_grey)) - 100
        skews.append(float((noise**3).mean() / noise.std() ** 3))
    # Of n photons: E[A³] / (E[A²] √n E[A²]^½), A ~ Gamma(3): 60/27 / (12/9)^1.5 / √2.
    assert skews[0] == pytest.approx(60 / 27 / (4 / 3) ** 1.5 / np.sqrt(2), rel=0.06)
    assert abs(skews[1]) < 0.15


def test_without_light_and_read_noise_it_is_dark() -> None:
    assert (exposed(flat(0.0), session(photon_grey=20.0)) == 0).all()


@pytest.mark.parametrize("streak_px", [0.0, 0.8, 1.5])
def test_noise_is_streaked_along_the_lines_only(streak_px: float) -> None:
    """White noise smoothed by a Gaussian has the autocorrelation exp(-lag² / 4σ²)."""
    scope = session(photon_grey=2.0, read_noise=8.0, streak_px=streak_px)
    noise = exposed(flat(120.0), scope) - 120
    noise = noise[..., 8:-8] - noise[..., 8:-8].mean()
    for lag in (1, 2, 3):
        expected = np.exp(-(lag**2) / (4 * streak_px**2)) if streak_px else 0.0
        along_x = (noise[:, :, lag:] * noise[:, :, :-lag]).mean() / noise.var()
        along_y = (noise[:, lag:] * noise[:, :-lag]).mean() / noise.var()
        along_z = (noise[1:] * noise[:-1]).mean() / noise.var()
        assert along_x == pytest.approx(expected, abs=0.03)
        assert along_y == pytest.approx(0.0, abs=0.02)
        assert along_z == pytest.approx(0.0, abs=0.02)


def test_lines_have_offsets_of_their_own() -> None:
    grey = exposed(flat(100.0), session(photon_grey=0.1, row_noise=3.0))
    assert grey.mean(axis=2).std() == pytest.approx(3.0, rel=0.1)
    assert (grey - grey.mean(axis=2, keepdims=True)).std() < 4
    assert abs(np.corrcoef(grey.mean(axis=2)[0], grey.mean(axis=2)[1])[0, 1]) < 0.2


# --- Grey levels ------------------------------------------------------------------------------


def quiet(**changes: object) -> Microscope:
    """About 500 photons at a grey level of 100: noise of 5 levels, averaged away below."""
    return session(photon_grey=0.2, **changes)


def test_gain_multiplies_light_and_tissue_and_black_is_taken_off() -> None:
    gain = np.array([1.0, 0.5, 1.1, 0.25], np.float32)
    grey = exposed(flat(90.0), quiet(gain=gain, background=10.0, black=5.0))
    np.testing.assert_allclose(grey.mean(axis=(1, 2)), 100 * gain - 5, atol=0.3)


def test_haze_varies_the_tissue_much_and_the_illumination_little() -> None:
    haze = np.ones((2, 10, 12), np.float32)
    haze[:, :, 6:] = 1.44
    tissue = exposed(flat(0.0), quiet(background=50.0, haze=haze)).mean(axis=(0, 1))
    light = exposed(flat(50.0), quiet(haze=haze)).mean(axis=(0, 1))
    assert tissue[150:].max() / tissue[:100].mean() == pytest.approx(1.44, rel=0.02)
    assert light[150:].max() / light[:100].mean() == pytest.approx(1.2, rel=0.02)


# --- Motion -----------------------------------------------------------------------------------


def picture() -> np.ndarray:
    """Smooth in both directions."""
    y, x = np.mgrid[:200, :300]
    plane = 60 + 20 * np.sin(x / 9) + 20 * np.cos(y / 7)
    return np.repeat(plane[None].astype(np.float32), 4, axis=0)


@pytest.mark.parametrize("shift", [(2.0, 0.0), (0.0, -3.0), (1.0, 4.0), (0.5, 0.5)])
def test_motion_moves_the_picture_by_the_shift(shift: tuple[float, float]) -> None:
    motion = np.zeros((4, 200, 2), np.float32)
    motion[1] = shift
    grey = exposed(picture(), quiet(motion_px=motion))
    dy, dx = shift
    y, x = np.mgrid[:200, :300]
    there = 60 + 20 * np.sin((x + dx) / 9) + 20 * np.cos((y + dy) / 7)
    inside = (slice(10, -10), slice(10, -10))
    assert (
        np.abs(grey[1][inside] - there[inside]).mean()
        < 1.1 * np.abs(grey[0][inside] - picture()[0][inside]).mean()
    )
    slope = np.polyfit((there - picture()[0])[inside].ravel(),
                       (grey[1] - picture()[1])[inside].ravel(), 1)[0]  # fmt: skip
    assert slope == pytest.approx(1.0, abs=0.03)


def test_every_line_moves_by_itself() -> None:
    motion = np.zeros((4, 200, 2), np.float32)
    motion[:, 50:100, 1] = 5.0
    grey = exposed(picture(), quiet(motion_px=motion)).mean(axis=0)
    moved = np.roll(picture()[0], -5, axis=1)
    for lines, expected in ((slice(0, 50), picture()[0]), (slice(50, 100), moved)):
        assert np.corrcoef(grey[lines, :-9].mean(0), expected[lines, :-9].mean(0))[0, 1] > 0.99


def test_a_part_of_the_stack_has_the_motion_gain_and_haze_of_its_place() -> None:
    """The frames from the second on, from line 60 and column 40."""
    gain = np.array([1, 1, 0.5, 0.7], np.float32)
    motion = np.zeros((4, 200, 2), np.float32)
    motion[2, :, 1] = 6.0
    motion[3, 70:, 0] = 3.0
    haze = np.random.default_rng(0).uniform(0.5, 1.5, (2, 10, 12)).astype(np.float32)
    scope = session(photon_grey=0.15, gain=gain, motion_px=motion, haze=haze, background=30.0)
    whole = exposed(picture(), scope)[2:, 60:140, 40:200]
    part = expose(
        picture()[2:, 60:140, 40:200].copy(), scope, np.random.default_rng(1), (2, 60, 40)
    ).astype(float)
    inside = (slice(None), slice(10, -10), slice(10, -10))
    difference = (whole - part)[inside]
    assert abs(difference.mean()) < 0.3
    # Neighbours are averaged, and what is left is noise.
    blocks = difference[:, :60, :140].reshape(2, 6, 10, 14, 10).mean(axis=(2, 4))
    assert np.abs(blocks).max() < 3.0
    assert np.corrcoef(whole[inside].ravel(), part[inside].ravel())[0, 1] > 0.95


def test_the_noise_is_decided_by_the_generator() -> None:
    scope = session(photon_grey=3.0, read_noise=6.0)
    np.testing.assert_array_equal(exposed(flat(90), scope, 1), exposed(flat(90), scope, 1))
    assert (exposed(flat(90), scope, 1) != exposed(flat(90), scope, 2)).mean() > 0.8


# --- Sessions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", PRESETS)
def test_sessions_lie_in_the_ranges_of_the_preset(preset: str) -> None:
    settings, rng = PRESETS[preset], np.random.default_rng(0)

    def holds(value: float, allowed: Range) -> bool:
        return allowed.low - 1e-6 <= value <= allowed.high + 1e-6

    zooms = []
    for _ in range(80):
        scope = sample_microscope(rng, (50, 384, 512), 200.0, settings)
        z_um, y_um, x_um = scope.pitch_um
        assert y_um == x_um and holds(y_um, settings.pixel_um) and holds(z_um, settings.z_step_um)
        assert holds(scope.slice_s, settings.slice_s)
        assert holds(scope.axial_um * 2 * np.log(2), settings.axial_fwhm_um)
        assert holds(2 * scope.lateral_um, settings.lateral_fwhm_um)
        assert holds(200 / scope.photon_grey, settings.plasma_photons)
        assert holds(scope.background / 200, settings.background)
        assert holds(scope.read_noise, settings.read_noise)
        assert holds(scope.zoom, settings.resampling) or scope.zoom == 1
        assert scope.out_pitch_um == pytest.approx((z_um, y_um / scope.zoom, y_um / scope.zoom))
        # All lines of a frame fit into its time.
        n_lines = scope.motion_px.shape[1]
        assert n_lines == np.ceil(384 / scope.zoom)
        assert 0.9 < n_lines * scope.line_s / scope.slice_s < 1
        assert scope.gain.shape == (50,) and scope.motion_px.shape == (50, n_lines, 2)
        assert scope.black >= 0
        assert (np.diff(scope.gain) < 0).all()  # deeper is darker
        zooms.append(scope.zoom)
    share = settings.resampled_share.low
    assert np.mean(np.array(zooms) != 1) == pytest.approx(share, abs=0.16)


def test_a_session_without_motion_stands_still_and_one_with_motion_moves() -> None:
    rng = np.random.default_rng(0)
    still = sample_microscope(rng, (50, 384, 512), 200.0, PRESETS["clean"])
    assert not still.motion_px.any()
    one_at_a_time = {"jitter_px": 1.0, "line_jitter_px": 1.0, "breathing_px": 2.0, "drift_px": 9.0}
    for name, amount in one_at_a_time.items():
        settings = load_settings("clean", [f"{name}={amount}"])
        sessions = [sample_microscope(rng, (50, 384, 512), 200.0, settings) for _ in range(8)]
        motion = max((s.motion_px for s in sessions), key=lambda shift: np.abs(shift).max())
        assert np.abs(motion).max() > 0.3 * amount, name
        within, between = np.diff(motion, axis=1), np.diff(motion.mean(axis=1), axis=0)
        if name in ("jitter_px", "drift_px"):
            assert np.abs(within).max() < 1e-5, name  # a frame moves as a whole
            assert np.abs(between).max() > 0.1, name
        else:
            assert np.abs(within).max() > 0.01, name
        if name == "drift_px":
            assert np.abs(motion).max() <= 9.0 + 1e-5
        if name == "line_jitter_px":
            assert not motion[..., 0].any()


def test_when_a_line_collects_light() -> None:
    scope = microscope(8, line_share=0.25)
    begin, end = scope.line_times_s(np.array([2, 3]), np.array([0, 100]))
    np.testing.assert_allclose(
        begin, 0.9 * np.array([[2], [3]]) + scope.line_s * np.array([0, 100])
    )
    np.testing.assert_allclose(end - begin, scope.line_s / 4)
