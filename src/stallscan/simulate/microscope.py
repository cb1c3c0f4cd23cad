"""The microscope: from light to the grey levels of a lab's preprocessed video."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import gammainc, gammaln, ndtri, xlogy

from stallscan.simulate.settings import Settings

Float32 = NDArray[np.float32]

GAMMA_SHAPE = 3.0
"""Of the amplitude that a photomultiplier makes of one photon (FACTS: Gamma(3, a))."""
_N_LEVELS, _N_QUANTILES, _N_NORMAL = 512, 1024, 4096
_MOST_PHOTONS = 600.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Microscope:
    """How a session was imaged.

    Attributes:
        pitch_um: size of a scanned voxel ``(z, y, x)``, µm.
        slice_s: time from slice to slice.
        line_s: time of a line.
        line_share: part of a line's time in which a pixel collects light.
        axial_um: decay length of the axial point spread at the top of the stack, µm.
        axial_growth: its relative growth a µm of depth.
        lateral_um: half width of the lateral point spread, µm.
        photon_grey: mean grey levels of one photon.
        read_noise: standard deviation of the dark image, grey levels.
        row_noise: standard deviation of a line's offset, grey levels.
        streak_px: width of the detector's answer along the line, standard deviation.
        background: mean grey level of the tissue.
        haze: ``(zc, yc, xc)`` float32 relative light of the tissue on a coarse grid, about 1.
        black: grey level that the lab's low percentile takes off.
        gain: ``(z,)`` float32: depth, gain steps, dim frames.
        motion_px: ``(z, lines, 2)`` float32 shift ``(y, x)`` of each scanned line.
        zoom: pixels out for a scanned pixel, the lab's resampling.
    """

    pitch_um: tuple[float, float, float]
    slice_s: float
    line_s: float
    line_share: float
    axial_um: float
    axial_growth: float
    lateral_um: float
    photon_grey: float
    read_noise: float
    row_noise: float
    streak_px: float
    background: float
    haze: Float32
    black: float
    gain: Float32
    motion_px: Float32
    zoom: float

    @property
    def out_pitch_um(self) -> tuple[float, float, float]:
        """Size of a voxel of the video, µm."""
        z, y, x = self.pitch_um
        return z, y / self.zoom, x / self.zoom

    def line_times_s(
        self, frames: NDArray[np.int_], lines: NDArray[np.int_]
    ) -> NDArray[np.float64]:
        """``(2, z, y)`` when each scanned line begins and ceases to collect light, s."""
        begin = frames[:, None] * self.slice_s + lines * self.line_s
        return np.stack([begin, begin + self.line_s * self.line_share])


def sample_microscope(
    rng: np.random.Generator,
    shape: tuple[int, int, int],
    plasma_grey: float,
    settings: Settings,
) -> Microscope:
    """A session.

    Args:
        rng: the randomness.
        shape: ``(z, y, x)`` of the video.
        plasma_grey: grey level of plasma.
        settings: ranges.
    """
    n_frames = shape[0]
    resampled = rng.random() < settings.resampled_share.sample(rng)
    zoom = (settings.resampling if resampled else settings.zoom).sample(rng)
    pixel_um = settings.pixel_um.sample(rng)
    z_um = settings.z_step_um.sample(rng)
    n_lines = int(np.ceil(shape[1] / zoom))
    background = settings.background.sample(rng) * plasma_grey
    photon_grey = plasma_grey / settings.plasma_photons.sample(rng)
    read_noise = settings.read_noise.sample(rng)
    deviation = np.sqrt(4 / 3 * photon_grey * background + read_noise**2)
    attenuation_um = settings.attenuation_um.sample(rng)
    slice_s = settings.slice_s.sample(rng)
    depth_um = (np.arange(n_frames) - n_frames / 2) * z_um
    grid = (n_frames // 16 + 2, shape[1] // 48 + 2, shape[2] // 48 + 2)
    haze = 1 + settings.haze.sample(rng) * rng.standard_normal(grid)
    return Microscope(
        pitch_um=(z_um, pixel_um, pixel_um),
        slice_s=slice_s,
        line_s=slice_s / n_lines * 0.95,  # the rest is the flight back
        line_share=settings.line_share.sample(rng),
        # A two-sided exponential falls to half at ln 2 of its decay length on either side.
        axial_um=settings.axial_fwhm_um.sample(rng) / (2 * np.log(2)),
        axial_growth=settings.axial_growth.sample(rng),
        lateral_um=settings.lateral_fwhm_um.sample(rng) / 2,
        photon_grey=photon_grey,
        read_noise=read_noise,
        row_noise=settings.row_noise.sample(rng),
        streak_px=settings.streak_px.sample(rng),
        background=background,
        haze=np.clip(haze, 0.1, 3.0).astype(np.float32),
        black=max(background + settings.black_sigmas.sample(rng) * deviation, 0.0),
        gain=np.exp(-0.5 * depth_um / attenuation_um).astype(np.float32),
        motion_px=_sample_motion(rng, n_frames, n_lines, slice_s, settings),
        zoom=zoom,
    )


def _sample_motion(
    rng: np.random.Generator, n_frames: int, n_lines: int, slice_s: float, settings: Settings
) -> Float32:
    """Breathing at 1–2.5 Hz within the frames, drift, registration's rest, jitter of the lines."""
    time_s = (np.arange(n_frames)[:, None] + np.arange(n_lines) / n_lines) * slice_s
    shift = np.zeros((n_frames, n_lines, 2))
    breath = np.sin(2 * np.pi * (rng.uniform(1.0, 2.5) * time_s + rng.random()))
    shift += settings.breathing_px.sample(rng) * breath[..., None] * rng.normal(0, 0.7, 2)
    drift = np.cumsum(rng.standard_normal((n_frames, 2)), axis=0)
    drift *= settings.drift_px.sample(rng) / max(float(np.abs(drift).max()), 1.0)
    shift += drift[:, None]
    shift += settings.jitter_px.sample(rng) * rng.standard_normal((n_frames, 1, 2))
    shift[..., 1] += settings.line_jitter_px.sample(rng) * rng.standard_normal((n_frames, n_lines))
    return shift.astype(np.float32)


def expose(
    light: Float32,
    microscope: Microscope,
    rng: np.random.Generator,
    origin: tuple[int, int, int] = (0, 0, 0),
) -> Float32:
    """What the detector makes of the light: motion, photons, noise.

    The variance of a pixel is ``4/a · mean + σ²`` with photons Poisson and amplitudes Gamma(3, a).

    Args:
        light: ``(z, y, x)`` float32 light of the vessels, grey levels.
        microscope: the session.
        rng: draws the noise.
        origin: place of the first voxel in the scanned stack.

    Returns:
        ``(z, y, x)`` float32 grey levels above the lab's black, neither clipped nor resampled.
    """
    z0, y0, x0 = origin
    n, height, width = light.shape
    gain = microscope.gain[z0 : z0 + n]
    kernel, power = _streak(microscope.streak_px)
    # The detector's answer averages neighbours: fewer, brighter photons before it give the
    # variance after it.
    amplitude = microscope.photon_grey / power
    deviation = microscope.read_noise / np.sqrt(power)
    xs = np.arange(x0, x0 + width, dtype=np.float32)
    lines = np.arange(y0, y0 + height)
    known = np.clip(lines, 0, microscope.motion_px.shape[1] - 1)
    grey = np.empty_like(light)
    for z in range(n):
        shift = microscope.motion_px[z0 + z, known]
        map_x = (xs - x0)[None] + shift[:, 1:]
        map_y = np.repeat((lines - y0).astype(np.float32)[:, None] + shift[:, :1], width, axis=1)
        moved = _float32(
            cv2.remap(light[z], map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        )
        haze = _haze(microscope, z0 + z, (y0, x0), (height, width))
        # Illumination varies a little where the background varies much.
        np.multiply(moved, np.sqrt(haze), out=moved)
        moved += microscope.background * haze
        moved *= gain[z]
        random = rng.integers(0, 2**32, moved.shape, np.uint32)
        _detect(moved, random, _photon_table(), _normal_table(), amplitude, deviation)
        if kernel.size > 1:
            alone = np.ones((1, 1), np.float32)
            moved = _float32(cv2.sepFilter2D(moved, cv2.CV_32F, kernel, alone))
        if microscope.row_noise > 0:
            moved += microscope.row_noise * rng.standard_normal((height, 1), np.float32)
        grey[z] = moved
    grey -= microscope.black
    return grey


def _float32(image: object) -> Float32:
    """What OpenCV returns, by its type."""
    return np.asarray(image, np.float32)


def _streak(streak_px: float) -> tuple[Float32, float]:
    """``(1, k)`` bell along the line and the power that it leaves to white noise."""
    if streak_px < 0.2:
        return np.ones((1, 1), np.float32), 1.0
    radius = int(np.ceil(2.5 * streak_px))
    bell = _float32(cv2.getGaussianKernel(2 * radius + 1, streak_px, cv2.CV_32F))
    return bell.T, float(np.square(bell).sum())


def _haze(
    microscope: Microscope, z: int, origin: tuple[int, int], shape: tuple[int, int]
) -> Float32:
    """The coarse light of the tissue at a slice, on the pixels of a window."""
    zc, yc, _ = microscope.haze.shape
    depth = z / 16
    below = min(int(depth), zc - 2)
    part = depth - below
    plane = (1 - part) * microscope.haze[below] + part * microscope.haze[below + 1]
    n_lines = microscope.motion_px.shape[1]
    scale = (yc - 1) / n_lines
    move = np.array([[scale, 0, origin[1] * scale], [0, scale, origin[0] * scale]], np.float32)
    return _float32(
        cv2.warpAffine(
            plane,
            move,
            shape[::-1],
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT_101,
        )
    )


@functools.cache
def _photon_table() -> Float32:
    """``(512, 1024)`` quantiles of the sum of Gamma(3, 1/3) amplitudes of Poisson photons.

    Row i belongs to a mean of ``(i / 511)² · 600`` photons, column j to the share (j + ½) / 1024.
    Without photons the answer is exactly 0.
    """
    means = np.linspace(0, 1, _N_LEVELS) ** 2 * _MOST_PHOTONS
    photons = np.arange(1, 720)
    grid = np.linspace(0, 27, 800) ** 2  # photons; finer where they are few
    below = gammainc(GAMMA_SHAPE * photons[:, None], GAMMA_SHAPE * grid)
    # As scipy.stats has it, which takes longer to import than all else here.
    chance = np.exp(xlogy(photons, means[:, None]) - gammaln(photons + 1) - means[:, None])
    share = chance @ below + np.exp(-means)[:, None]
    quantiles = (np.arange(_N_QUANTILES) + 0.5) / _N_QUANTILES
    table = np.empty((_N_LEVELS, _N_QUANTILES), np.float32)
    for row, cumulative in zip(table, share, strict=True):
        row[:] = np.interp(quantiles, np.maximum.accumulate(cumulative), grid)
    return table


@functools.cache
def _normal_table() -> Float32:
    """``(4096,)`` quantiles of the normal distribution."""
    return _float32(ndtri((np.arange(_N_NORMAL) + 0.5) / _N_NORMAL))


@njit(cache=True, nogil=True)
def _detect(grey, random, photons, normal, amplitude, deviation):  # type: ignore[no-untyped-def]
    """Replace mean grey levels by detected ones, in place.

    Args:
        grey: ``(y, x)`` float32.
        random: ``(y, x)`` uint32, evenly distributed: 10 bits photons, 10 dither, 12 read noise.
        photons: `_photon_table`.
        normal: `_normal_table`.
        amplitude: grey levels a photon.
        deviation: of the read noise.
    """
    n_levels = len(photons)
    scale = np.float32((n_levels - 1) / np.sqrt(_MOST_PHOTONS))
    for y in range(grey.shape[0]):
        for x in range(grey.shape[1]):
            bits = random[y, x]
            mean = grey[y, x] / amplitude
            # Between two rows of the table the nearer one is the more probable.
            level = np.sqrt(max(mean, np.float32(0))) * scale
            row = int(level + np.float32(bits & 1023) * np.float32(1 / 1024))
            row = min(row, n_levels - 1)
            value = photons[row, (bits >> 10) & 1023]
            grey[y, x] = amplitude * value + deviation * normal[bits >> 20]
