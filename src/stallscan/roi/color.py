"""The orange rule: which pixels of a frame belong to a drawn line."""

from __future__ import annotations

import cv2
import numpy as np

from stallscan.types import BoolArray, UInt8Array

MIN_RED_MINUS_BLUE = 60
"""Grey levels. Lines of 2–4 px drawn in (255,102,0) to (196,100,14) keep at least 98 % of their
pixels above it after H.264 up to crf 36; grey frames stay below 50 even in GIF palettes."""

HUE_RANGE = (0.1, 0.75)
"""Allowed (G−B)/(R−B): 0 is red, 1 yellow; the drawn oranges lie at 0.28–0.47."""


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
