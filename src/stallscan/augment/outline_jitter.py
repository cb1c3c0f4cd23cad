"""An outline as another annotator would draw it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from stallscan.augment import _checks
from stallscan.augment._checks import Range
from stallscan.augment._field import on_plane, plane_fields
from stallscan.augment._transform import MaskOnly, Params, Shape
from stallscan.augment._values import ends


@dataclass(frozen=True)
class OutlineJitter(MaskOnly):
    """Draw the mask's outline a little otherwise, the same on all frames; the image stays.

    Another annotator would mark the same vessel a little beside, wider or narrower, with another
    hand. The outline, between what is 0 and what is not, is moved, then widened or narrowed, and
    then it wobbles, in or out at each place, on both sides of a vessel independently. Labels move
    together and take what grows beside them; where an outline follows the grid, it goes by whole
    voxels. A mask that reaches the border goes on beyond it. A frame keeps at least its innermost
    voxel; one that is empty or full stays.

    Attributes:
        shift_limit: voxels along y and along x, a pair, or n for (−n, n).
        grow_limit: voxels by which the outline moves outwards (below 0: inwards), or n for (−n, n).
        wobble_limit: standard deviation of the wobble in voxels, a range, or n for (0, n).
        wobble_length: voxels along the outline over which the wobble's correlation falls to 1/e.
        always_apply: whatever p says.
        p: probability.

    Example:
        >>> redrawn = OutlineJitter(shift_limit=1, grow_limit=1, wobble_limit=0.5, p=0.3)
    """

    shift_limit: Range = (-1, 1)
    grow_limit: Range = (-1, 1)
    wobble_limit: Range = (0, 0.5)
    wobble_length: float = 10
    always_apply: bool = False
    p: float = 0.5

    def check(self) -> None:
        """See `Transform.check`."""
        where = "OutlineJitter"
        self._set(
            shift_limit=_checks.pair(f"{where}.shift_limit", self.shift_limit, -1e4, 1e4),
            grow_limit=_checks.pair(f"{where}.grow_limit", self.grow_limit, -1e4, 1e4),
            wobble_limit=_checks.pair(
                f"{where}.wobble_limit", self.wobble_limit, 0, 1e4, number="from_zero"
            ),
        )
        _checks.number(f"{where}.wobble_length", self.wobble_length, 1, 1e6)

    def does_nothing(self) -> str | None:
        """See `Transform.does_nothing`."""
        limits = (self.shift_limit, self.grow_limit, self.wobble_limit)
        return None if np.any(limits) else "all limits are 0 voxels"

    def sample(self, rng: np.random.Generator, shape: Shape) -> Params:
        """Shift along y and x, growth, the wobble's strength, in voxels; the seed of its noise."""
        return {
            "shift": rng.uniform(*ends(self.shift_limit), size=2).tolist(),
            "grow": float(rng.uniform(*ends(self.grow_limit))),
            "wobble": float(rng.uniform(*ends(self.wobble_limit))),
            "noise_seed": int(rng.integers(2**63)),
        }

    def apply_to_mask(self, mask: NDArray[Any], params: Params) -> NDArray[Any]:
        """See `Transform.apply_to_mask`."""
        if not (any(params["shift"]) or params["grow"] or params["wobble"]):
            return mask.copy(order="C")
        _, height, width = mask.shape[:3]
        rng = np.random.default_rng(params["noise_seed"])
        fields, step = plane_fields(rng, 3, self.wobble_length / 2, (height, width))
        wobble = params["wobble"] / 2**0.5 * on_plane(fields, step, (height, width))
        found = np.empty(mask.shape, mask.dtype)
        before, last = None, None
        for frame, out in zip(mask, found, strict=True):
            if before is not None and np.array_equal(frame, before):
                out[:] = last
            else:
                planes, targets = (a.reshape(height, width, -1) for a in (frame, out))
                for channel in range(planes.shape[2]):
                    targets[..., channel] = _redrawn(planes[..., channel], params, wobble)
            before, last = frame, out
        return found


def _redrawn(labels: NDArray[Any], params: Params, wobble: NDArray[np.float32]) -> NDArray[Any]:
    """One frame ``(y, x)``.

    Args:
        labels: with what is inside and what is not.
        params: see `OutlineJitter.sample`.
        wobble: ``(3, y, x)`` voxels: outwards, along y and along x. What the first does to both
            sides of a vessel alike and the others do oppositely makes them independent.
    """
    inside = labels != 0
    if inside.all() or not inside.any():
        return labels
    down, right = params["shift"]
    there = np.array([[1.0, 0.0, right], [0.0, 1.0, down]])
    distance = _signed_distance(inside)
    level = cv2.warpAffine(distance, there, inside.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
    slope, one = np.array([-0.5, 0, 0.5], np.float32), np.ones(1, np.float32)
    along_y = cv2.sepFilter2D(level, -1, one, slope, borderType=cv2.BORDER_REPLICATE)
    along_x = cv2.sepFilter2D(level, -1, slope, one, borderType=cv2.BORDER_REPLICATE)
    level -= wobble[0] + wobble[1] * along_y + wobble[2] * along_x + np.float32(params["grow"])
    kept = level < 0
    if not kept.any():
        kept = level == level.min()
    drawn = np.zeros_like(labels)
    present = labels[inside]
    if (present == present[0]).all():
        drawn[kept] = present[0]
        return drawn
    nearest = distance_transform_edt(~inside, return_distances=False, return_indices=True)
    y, x = (
        np.clip(np.floor(np.arange(extent) - shift + 0.5), 0, extent - 1).astype(np.intp)
        for extent, shift in zip(inside.shape, params["shift"], strict=True)
    )
    rows, columns = nearest[:, y[:, None], x]
    drawn[kept] = labels[rows, columns][kept]
    return drawn


def _signed_distance(inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """To the outline, which runs half a voxel beside the outermost voxels; negative inside."""
    within = inside.view(np.uint8)
    inwards, outwards = (
        cv2.distanceTransform(part, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        for part in (within, 1 - within)
    )
    return np.where(inside, np.float32(0.5) - inwards, outwards - np.float32(0.5))
