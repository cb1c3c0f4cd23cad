"""The microscope: from light to the grey levels of a lab's preprocessed video."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from stallscan.types import UInt8Array

Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Microscope:
    """How a session was imaged.

    Attributes:
        pitch_um: voxel size ``(z, y, x)``, µm.
        frame_s: duration of a frame; a line takes frame_s / height (2–2.6 ms at 384 lines).
        axial_um: how much farther than its radius a tube is seen along z, µm.
        noise_gain: variance per grey level of signal: 4 / a of the PMT's Gamma(3, a) amplitudes.
        read_noise: standard deviation of the dark image, grey levels.
        streak_px: correlation of the noise along x, px.
        blur_px: smoothing of the finished frame by resampling and codecs, standard deviation in px.
        background: mean grey level of the tissue.
        black_level: what the lab's low percentile takes off, grey levels.
        gain: per frame ``(z,)`` factor: gain steps, dim frames.
        jitter_px: per frame ``(z, 2)`` shift ``(y, x)``: what registration leaves of motion.
    """

    pitch_um: tuple[float, float, float]
    frame_s: float
    axial_um: float
    noise_gain: float
    read_noise: float
    streak_px: float
    blur_px: float
    background: float
    black_level: float
    gain: Float32
    jitter_px: Float32


def sample_microscope(rng: np.random.Generator, n_frames: int) -> Microscope:
    """A session: sampling, noise and defects drawn from the ranges of real ones."""
    # Half of the clips at the source's 1 µm; the others resampled or thinned, as labs and GIFs do.
    pixel_um = 1.0 if rng.random() < 0.5 else float(rng.uniform(0.75, 1.7))
    z_um = 1.0 if rng.random() < 0.6 else float(rng.uniform(0.8, 2.2))
    gain = np.ones(n_frames, np.float32)
    if rng.random() < 0.3:  # steps between blocks of frames
        for edge in rng.integers(0, n_frames, rng.integers(1, 4)):
            gain[edge:] *= rng.uniform(0.5, 1.6)
    if rng.random() < 0.2:  # single dim frames
        gain[rng.integers(0, n_frames, rng.integers(1, 4))] *= rng.uniform(0.3, 0.7)
    read_noise = float(rng.uniform(3, 12))
    jitter = rng.uniform(0.0, 0.7) * rng.standard_normal((n_frames, 2))
    if rng.random() < 0.15:  # a breath that registration missed
        jitter[rng.integers(0, n_frames)] += rng.uniform(-4, 4, 2)
    return Microscope(
        pitch_um=(z_um, pixel_um, pixel_um),
        frame_s=float(rng.uniform(0.75, 1.1)) * z_um,
        axial_um=float(rng.uniform(1.2, 3.6)),
        noise_gain=float(np.exp(rng.uniform(np.log(2.0), np.log(16.0)))),
        read_noise=read_noise,
        streak_px=float(rng.uniform(0.0, 1.5)),
        blur_px=0.0 if rng.random() < 0.5 else float(rng.uniform(0.3, 0.9)),
        background=float(rng.uniform(2, 15)),
        black_level=float(rng.uniform(0.0, 1.5)) * read_noise,
        gain=np.clip(gain, 0.25, 2.0),
        jitter_px=jitter.astype(np.float32),
    )


def expose(light: Float32, microscope: Microscope, rng: np.random.Generator) -> UInt8Array:
    """Turn light into grey levels.

    Motion, gain, detector noise correlated along the line, then the lab's black level.

    Args:
        light: ``(z, y, x)`` float32 noise-free grey levels.
        microscope: the session; its per-frame values must match the depth of ``light``.
        rng: draws the noise.

    Returns:
        ``(z, y, x)`` uint8.
    """
    grey = np.empty_like(light)
    for z, (dy, dx) in enumerate(microscope.jitter_px):
        move = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
        cv2.warpAffine(
            light[z],
            move,
            light.shape[:0:-1],
            dst=grey[z],
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT,
        )
    grey += microscope.background
    grey *= microscope.gain[:, None, None]
    noise = rng.standard_normal(grey.shape, np.float32)
    if microscope.streak_px > 0.3:
        radius = int(np.ceil(3 * microscope.streak_px))
        bell = cv2.getGaussianKernel(2 * radius + 1, microscope.streak_px, cv2.CV_32F)
        kernel = bell / np.sqrt(np.square(bell).sum())  # keeps the variance
        flat = noise.reshape(-1, grey.shape[2])  # (z * y, x): lines
        streaked = cv2.sepFilter2D(flat, cv2.CV_32F, kernel, np.ones((1, 1), np.float32))
        noise = np.asarray(streaked, np.float32).reshape(grey.shape)
    # Spread sqrt(gain * signal + dark variance).
    grey += noise * np.sqrt(microscope.noise_gain * grey + microscope.read_noise**2)
    grey -= microscope.background + microscope.black_level
    if microscope.blur_px > 0:
        for plane in grey:
            cv2.GaussianBlur(plane, (0, 0), microscope.blur_px, dst=plane)
    return np.clip(grey, 0, 255, out=grey).astype(np.uint8)
