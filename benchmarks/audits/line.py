"""The drawn line: colour of its core and thickness."""

from __future__ import annotations

import cv2
import numpy as np

from stallscan.roi.color import orange_mask
from stallscan.types import UInt8Array


def line_statistics(rgb: UInt8Array) -> dict[str, float]:
    """Percentiles of the core's colour, and the thickness, over all frames with a line.

    The core is what is left of the orange pixels after an erosion by a cross of 3 px; the thickness
    is the number of orange pixels over the length of the line, the mean of its inner and outer
    contour; about 0.3 px more than the width at half height, for orange that is blended with grey
    counts down to a third.

    Args:
        rgb: ``(z, y, x, 3)``.
    """
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    core, thickness = [np.empty((0, 3), np.uint8)], []
    for frame in rgb:
        mask = orange_mask(frame).astype(np.uint8)
        contours, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        if len(contours) < 2:
            continue
        lengths = sorted((cv2.arcLength(contour, True) for contour in contours), reverse=True)
        thickness.append(mask.sum() / (sum(lengths[:2]) / 2))
        core.append(frame[cv2.erode(mask, cross) > 0])
    colors = np.concatenate(core)
    found = {
        f"line {channel} p{percentile}": float(np.percentile(colors[:, index], percentile))
        if len(colors)
        else np.nan
        for index, channel in enumerate("RGB")
        for percentile in (10, 50, 90)
    }
    found["line thickness, px"] = float(np.median(thickness)) if thickness else np.nan
    return found
