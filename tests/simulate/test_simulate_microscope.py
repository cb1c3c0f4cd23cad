"""From light to grey levels: variance by the detector's law, streaks, gain, motion, black level."""

import numpy as np
import pytest
from scenes import microscope

from stallscan.simulate.microscope import Microscope, expose, sample_microscope


def flat(level: float, n_frames: int = 4) -> np.ndarray:
    return np.full((n_frames, 200, 300), level, np.float32)


def exposed(light: np.ndarray, session: Microscope, seed: int = 0) -> np.ndarray:
    return expose(light, session, np.random.default_rng(seed)).astype(float)


def test_without_noise_the_light_is_the_grey() -> None:
    light = np.random.default_rng(0).integers(0, 256, (4, 40, 60)).astype(np.float32)
    np.testing.assert_array_equal(exposed(light, microscope(4)), light)


@pytest.mark.parametrize("streak_px", [0.0, 1.2])
@pytest.mark.parametrize("level", [60.0, 150.0])
def test_variance_is_gain_times_signal_plus_that_of_the_dark(
    level: float, streak_px: float
) -> None:
    session = microscope(4, noise_gain=3.0, read_noise=6.0, streak_px=streak_px, background=10.0)
    grey = exposed(flat(level), session)
    assert grey.mean() == pytest.approx(level - 0.5, abs=0.5)  # truncated to whole levels
    assert grey.var() == pytest.approx(3.0 * (level + 10) + 36, rel=0.05)


@pytest.mark.parametrize("sigma", [0.0, 0.8, 1.5])
def test_noise_is_streaked_along_the_lines_only(sigma: float) -> None:
    """White noise smoothed by a Gaussian has the autocorrelation exp(-lag² / 4σ²)."""
    session = microscope(4, noise_gain=2.0, read_noise=8.0, streak_px=sigma)
    noise = exposed(flat(120.0), session) - 120
    noise -= noise.mean()
    for lag in (1, 2):
        expected = np.exp(-(lag**2) / (4 * sigma**2)) if sigma else 0.0
        along_x = (noise[:, :, lag:] * noise[:, :, :-lag]).mean() / noise.var()
        along_y = (noise[:, lag:] * noise[:, :-lag]).mean() / noise.var()
        assert along_x == pytest.approx(expected, abs=0.03)
        assert along_y == pytest.approx(0.0, abs=0.02)


def test_gain_and_black_level() -> None:
    gain = np.array([1.0, 0.5, 1.5, 1.0], np.float32)
    grey = exposed(flat(100.0), microscope(4, gain=gain, background=8.0, black_level=5.0))
    np.testing.assert_allclose(grey.mean(axis=(1, 2)), np.floor(108 * gain - 13))


def test_motion_moves_each_frame_by_itself() -> None:
    light = np.random.default_rng(0).integers(0, 256, (3, 40, 60)).astype(np.float32)
    jitter = np.array([[0, 0], [2, 0], [0, -3]], np.float32)
    grey = exposed(light, microscope(3, jitter_px=jitter))
    np.testing.assert_array_equal(grey[0], light[0])
    np.testing.assert_array_equal(grey[1, 2:], light[1, :-2])
    np.testing.assert_array_equal(grey[2, :, :-3], light[2, :, 3:])


def test_grey_levels_saturate() -> None:
    assert (exposed(flat(400.0), microscope(4)) == 255).all()
    assert (exposed(flat(10.0), microscope(4, black_level=30.0)) == 0).all()


def test_the_noise_is_decided_by_the_generator() -> None:
    session = microscope(4, noise_gain=3.0, read_noise=6.0)
    np.testing.assert_array_equal(exposed(flat(90), session, 1), exposed(flat(90), session, 1))
    assert (exposed(flat(90), session, 1) != exposed(flat(90), session, 2)).mean() > 0.8


def test_sessions_lie_in_the_ranges_of_real_ones() -> None:
    rng = np.random.default_rng(0)
    sessions = [sample_microscope(rng, 50) for _ in range(300)]
    for session in sessions:
        z_um, y_um, x_um = session.pitch_um
        assert y_um == x_um
        assert 0.75 <= y_um <= 1.7 and 0.8 <= z_um <= 2.2
        # 384 lines at 2–2.9 ms make a frame; a thinned stack skips slices of its 1 µm steps.
        assert 0.75 <= session.frame_s / z_um <= 1.1
        assert session.gain.shape == (50,) and session.jitter_px.shape == (50, 2)
        assert session.gain.min() >= 0.25 and session.gain.max() <= 2.0
    assert 0.4 < np.mean([session.pitch_um[1] == 1.0 for session in sessions]) < 0.6
    assert 0.3 < np.mean([(session.gain != 1).any() for session in sessions]) < 0.6
