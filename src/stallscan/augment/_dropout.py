"""Transforms that cut the same voxels out of images and, if asked, of masks."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stallscan.augment import _checks
from stallscan.augment._transform import Params, Pixel
from stallscan.errors import OptionError


class Dropout(Pixel):
    """A transform whose options `fill_value` and `mask_fill_value` say what its holes hold."""

    fill_value: float
    mask_fill_value: float | None

    def check_fills(self) -> None:
        """Refuse what no image and no mask can hold."""
        name = type(self).__name__
        _checks.number(f"{name}.fill_value", self.fill_value, -3.4e38, 3.4e38)
        if self.mask_fill_value is not None:
            _checks.number(f"{name}.mask_fill_value", self.mask_fill_value, -(2**63), 2**64 - 1)

    @abstractmethod
    def cut(self, target: NDArray[Any], params: Params, fill: NDArray[Any]) -> None:
        """Fill the holes of an image or a mask in place.

        Args:
            target: ``(z, y, x)`` or ``(z, y, x, c)``, contiguous.
            params: what was drawn.
            fill: one value of the target's dtype.
        """

    def apply(self, volume: NDArray[Any], params: Params) -> NDArray[Any]:
        """See `Transform.apply`."""
        return self._with_holes(volume, params, "fill_value", self.fill_value)

    def apply_to_mask(self, mask: NDArray[Any], params: Params) -> NDArray[Any]:
        """See `Transform.apply_to_mask`."""
        if self.mask_fill_value is None:
            return mask.copy()
        return self._with_holes(mask, params, "mask_fill_value", self.mask_fill_value)

    def _with_holes(
        self, target: NDArray[Any], params: Params, option: str, value: float
    ) -> NDArray[Any]:
        with np.errstate(invalid="ignore", over="ignore"):
            fill = np.array(value).astype(target.dtype)
        if fill != value and target.dtype.kind != "f":
            raise OptionError(
                f"{type(self).__name__}.{option} is {value!r}, which is no {target.dtype} value of "
                "the target"
            )
        out = target.copy(order="C")
        self.cut(out, params, fill)
        return out


def fill_plane(frames: NDArray[Any], plane: NDArray[np.bool_], fill: NDArray[Any]) -> None:
    """Fill a part of the plane in frames, in place.

    Args:
        frames: ``(n, y, x)`` or ``(n, y, x, c)``, contiguous.
        plane: ``(y, x)``, where.
        fill: one value of the frames' dtype.
    """
    channels = frames.shape[3] if frames.ndim == 4 else 1
    # Channels in one line: long runs are fast.
    lines = frames.reshape(*frames.shape[:2], -1)
    np.copyto(lines, fill, where=np.repeat(plane, channels, axis=1))
