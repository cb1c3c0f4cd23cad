"""Volume: what is inside the outline's box, ready for a network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stallscan.errors import OptionError
from stallscan.types import BoolArray, Box, UInt8Array


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Volume:
    """The region of interest of one clip.

    Attributes:
        array: ``(z, y, x, c)`` uint8, c = 1 (grey) or 3 (RGB), 0–255.
        mask: ``(y, x)`` bool, the filled outline, line included.
        line: ``(y, x)`` bool, pixels of the drawn line, which hide what is below them.
        box: where it lies in the clip; ``box.size == array.shape[:3]`` unless it was resized.
        source: where it came from: a path, or ``"phantom"``.
        voxel_size_um: ``(z, y, x)`` in µm, None where the file does not say.
        rescaling: None for 8-bit input, else the ``(low, high)`` grey levels that became 0 and 255.
        resized: whether the box was resized to the array's shape.

    Raises:
        OptionError: shapes or dtypes that do not fit together.
    """

    array: UInt8Array
    mask: BoolArray
    line: BoolArray
    box: Box
    source: str
    voxel_size_um: tuple[float, float, float] | None = None
    rescaling: tuple[float, float] | None = None
    resized: bool = False

    def __post_init__(self) -> None:
        array = self.array
        if array.ndim != 4 or array.shape[3] not in (1, 3) or array.dtype != np.uint8:
            raise OptionError(
                f"{self.source}: a volume must be (z, y, x, 1) or (z, y, x, 3) uint8, got shape "
                f"{array.shape} of {array.dtype}"
            )
        fits = self.resized or self.box.size == array.shape[:3]
        if array.size == 0 or not fits:
            raise OptionError(
                f"{self.source}: the box is {self.box.size} voxels (z, y, x), the array "
                f"{array.shape[:3]}; they must be equal and not empty"
            )
        for name, plane in (("mask", self.mask), ("line", self.line)):
            if plane.shape != array.shape[1:3] or plane.dtype != np.bool_:
                raise OptionError(
                    f"{self.source}: {name} must be a bool array of shape {array.shape[1:3]} "
                    f"(y, x), got shape {plane.shape} of {plane.dtype}"
                )

    @property
    def n_frames(self) -> int:
        """Number of frames (slices)."""
        return int(self.array.shape[0])
