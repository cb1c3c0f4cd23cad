"""Frames in motion while they are taken."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from stallscan.augment import _checks
from stallscan.augment._checks import Range
from stallscan.augment._filters import Floats, by_channels, draw_odd, odd_pair, rounded
from stallscan.augment._transform import Params, Pixel, Shape
from stallscan.augment._values import ends
from stallscan.errors import OptionError


@dataclass(frozen=True)
class MotionBlur(Pixel):
    """Draw the frames out along a line of random length and direction.

    As a camera does that exposes all voxels of a moving frame at once. A laser scan takes line
    after line: there motion shifts and bends frames and does not blur them (see RandomShift); this
    is for averaged frames. The line has its middle on the voxel, so that nothing moves. Borders
    reflect.

    Attributes:
        blur_limit: length of the line in voxels, odd, a pair or n for (n, n).
        always_apply: whatever p says.
        p: probability.
        angle_limit: degrees from x towards y, a pair, or n for (−n, n).
        each_frame: whether each frame gets a line of its own.

    Example:
        >>> moved = MotionBlur((3, 7), p=0.2)
    """

    blur_limit: Range = (3, 7)
    always_apply: bool = False
    p: float = 0.5
    angle_limit: Range = field(default=(0, 180), kw_only=True)
    each_frame: bool = field(default=False, kw_only=True)

    def check(self) -> None:
        """See `Transform.check`."""
        self._set(
            blur_limit=odd_pair("MotionBlur.blur_limit", self.blur_limit, 255),
            angle_limit=_checks.pair("MotionBlur.angle_limit", self.angle_limit, -360, 360),
        )
        _checks.one_of("MotionBlur.each_frame", self.each_frame, (False, True))

    def does_nothing(self) -> str | None:
        """See `Transform.does_nothing`."""
        return "blur_limit is (1, 1)" if ends(self.blur_limit) == (1, 1) else None

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """Length and angle of the line, or of one for each frame."""
        lines = range(shape[0] if self.each_frame else 1)
        return {
            "lengths": [draw_odd(rng, self.blur_limit) for _ in lines],
            "angles_deg": [float(rng.uniform(*ends(self.angle_limit))) for _ in lines],
        }

    def apply(self, volume: NDArray[Any], params: Params) -> NDArray[Any]:
        """See `Transform.apply`."""
        lines = list(zip(params["lengths"], params["angles_deg"], strict=True))
        if len(lines) not in (1, len(volume)):
            raise OptionError(
                f"MotionBlur has drawn lines for {len(lines)} frames, the image has {len(volume)}"
            )
        kernels = [line(*one) for one in lines] * (len(volume) if len(lines) == 1 else 1)
        whole = volume.dtype == np.uint8  # OpenCV rounds these itself
        source = np.ascontiguousarray(volume, None if whole else np.float32)
        found = np.empty_like(source)
        for frame, kernel, target in zip(source, kernels, found, strict=True):
            by_channels(functools.partial(_filter, kernel), frame, target)
        return found if whole else rounded(found, volume)


def _filter(kernel: Floats, plane: NDArray[Any], out: NDArray[Any]) -> None:
    cv2.filter2D(plane, -1, kernel, dst=out, borderType=cv2.BORDER_REFLECT)


def line(length: int, angle_deg: float) -> Floats:
    """A line through the middle of a square: points one voxel apart, shared by their neighbours."""
    angle = math.radians(angle_deg)
    reach = length // 2
    kernel = np.zeros((length + 1, length + 1))
    for step in range(-reach, reach + 1):
        y, x = (round(step * part, 9) + reach for part in (math.sin(angle), math.cos(angle)))
        row, column = math.floor(y), math.floor(x)
        down, right = y - row, x - column
        kernel[row : row + 2, column : column + 2] += np.outer([1 - down, down], [1 - right, right])
    kernel = kernel[:length, :length]  # what is beyond was never more than 0
    return np.asarray(kernel / length, np.float32)
