"""Small drawn clips that many tests need."""

from __future__ import annotations

import cv2
import numpy as np

from stallscan.types import UInt8Array


def draw_clip(seed: int = 0, n_frames: int = 8, outline: bool = True) -> UInt8Array:
    """``(z, 96, 128, 3)``: noise, a bright vessel with dark gaps, an orange ellipse around it."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 60, (n_frames, 96, 128), np.uint8)
    x, y = int(rng.integers(45, 80)), int(rng.integers(40, 55))
    along = np.deg2rad(20)
    reach = np.array([np.cos(along), np.sin(along)]) * 18
    frames = np.empty((n_frames, 96, 128, 3), np.uint8)
    for frame, grey in zip(frames, noise, strict=True):
        vessel = np.zeros_like(grey)
        ends = np.round(np.array([x, y]) + np.outer([-1, 1], reach)).astype(int)
        cv2.line(vessel, ends[0].tolist(), ends[1].tolist(), 150, 5)
        cell = np.round(np.array([x, y]) + reach * rng.uniform(-1, 1)).astype(int)
        cv2.circle(vessel, cell.tolist(), 2, 40, -1)
        frame[...] = cv2.add(grey, vessel)[..., None]
        if outline:
            cv2.ellipse(frame, (x, y), (24, 16), 20, 0, 360, (240, 104, 17), 3, cv2.LINE_AA)
    return frames
