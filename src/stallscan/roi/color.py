"""Which pixels of a frame belong to a drawn line: orange by rule, any other colour by hue."""

from __future__ import annotations

import cv2
import numpy as np

from stallscan.types import BoolArray, Color, UInt8Array

MIN_RED_MINUS_BLUE = 60
"""Grey levels. Lines of 2–4 px drawn in (255,102,0) to (196,100,14) keep at least 98 % of their
pixels above it after H.264 up to crf 36; grey frames stay below 50 even in GIF palettes."""

HUE_RANGE = (0.1, 0.75)
"""Allowed (G−B)/(R−B): 0 is red, 1 yellow; the drawn oranges lie at 0.28–0.47."""

MAX_HUE_OFFSET_DEG = 25.0
"""For other colours: as wide as the range of orange hues, 6° to 45°, within a degree of 2 × 20."""


def line_mask(frame: UInt8Array, color: Color | None = None) -> BoolArray:
    """Pixels of a line in the given colour, None for orange.

    Args:
        frame: ``(y, x, 3)`` uint8 RGB.
        color: nominal colour of the line; judged by hue, for codecs change the rest.

    Returns:
        ``(y, x)`` bool.
    """
    return orange_mask(frame) if color is None else _hue_mask(frame, color)


def orange_mask(frame: UInt8Array) -> BoolArray:
    """Pixels of an orange line.

    Judged by R−B and hue alone: B has no lower bound, because codecs take it down to 0, and the
    brightness has none, because the line is blended with what lies below it.

    Args:
        frame: ``(y, x, 3)`` uint8 RGB.

    Returns:
        ``(y, x)`` bool.
    """
    red, blue = cv2.extractChannel(frame, 0), cv2.extractChannel(frame, 2)
    mask: BoolArray = cv2.subtract(red, blue) > MIN_RED_MINUS_BLUE
    # Few pixels get here, so the hue may take its time.
    candidates = np.flatnonzero(mask)
    r, g, b = frame.reshape(-1, 3)[candidates].astype(np.int16).T
    low, high = HUE_RANGE
    hue = (g - b) / (r - b)
    mask.flat[candidates[(hue < low) | (hue > high)]] = False
    return mask


def _hue_mask(frame: UInt8Array, color: Color) -> BoolArray:
    red, green, blue = cv2.split(frame)
    highest, lowest = cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue)
    mask: BoolArray = cv2.subtract(highest, lowest) > MIN_RED_MINUS_BLUE
    candidates = np.flatnonzero(mask)
    if candidates.size:
        pixels = frame.reshape(-1, 3)[candidates]
        off_deg = np.abs(_hue_deg(pixels) - _hue_deg(np.array([color], np.uint8)))
        far = np.minimum(off_deg, 360 - off_deg) > MAX_HUE_OFFSET_DEG
        mask.flat[candidates[far]] = False
    return mask


def _hue_deg(pixels: UInt8Array) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """``(n, 3)`` RGB → ``(n,)`` hue, 0–360."""
    hsv = cv2.cvtColor(pixels[None].astype(np.float32) / 255, cv2.COLOR_RGB2HSV)
    return np.asarray(hsv[0, :, 0], dtype=np.float32)
