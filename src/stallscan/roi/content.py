"""Is what lies inside the outline a vessel? Evidence for black masks and for empty tissue."""

from __future__ import annotations

import cv2
import numpy as np

from stallscan.roi._text import name_frames
from stallscan.roi.verdict import Verdict
from stallscan.roi.volume import Volume
from stallscan.types import BoolArray, FloatArray, UInt8Array

_MIN_INSIDE = 50  # pixels; fewer show neither vessel nor mask

MIN_MASKED = 0.15
"""Share of the inside that a black mask must cover. A capillary of 5 px takes up about a quarter of
its outline, so less than this leaves most of it to be seen."""

MAX_MASK_NOISE = 0.01
"""Share of grey levels above `_BLACK` in a mask, in 5×5 pixels and a block of frames: what rings
after H.264."""

MIN_NEVER_LIT = 0.35
"""Share of the inside that stays black in all frames, where the background is too dark to tell a
mask in a block of them. Of 60 clean phantoms the highest has 0.27, the second 0.17; masks over
one half of the inside give 0.35 and more in 55 of 60."""

_MAX_LIT = 0.001  # of 5×5 pixels and all frames, to count as never lit
_MIN_FLICKERS = 3  # of 5×5 pixels in all frames elsewhere; with less a black place may be chance
_VESSEL = 60  # grey level that noise in the background does not reach
_MIN_LIT_BACKGROUND = 0.05  # share of the box that must be left to see the background's noise in

_BLACK = 3  # grey level up to which what was 0 comes back from H.264
_MIN_NOISE = 0.02  # elsewhere, even in the darkest background
_MAX_QUIET = 0.01  # share of the background elsewhere that may be as quiet as a mask all the same
_MIN_ELSEWHERE = 0.1  # share of the box that must be left to see the background's noise in
_MASK_BLOCK = 12  # frames; in fewer dark noise looks flat
_MIN_BLOCKS = 2  # that overlap by half, so 18 to 23 frames: patches without noise come and go

MIN_RIDGE = 5.0
"""Grey levels by which a vessel must stand out as a ridge (`_ridges`), in its best slices and the
strongest twentieth of the inside: a tube 14 grey levels above its surroundings. Of 60 sound
phantoms (half of them stalled) the faintest reached 20.8 at full size and 9.2 at 320×240; outlines
moved to empty tissue at most 3.1. In seven real stacks (Teikari et al. 2016, arXiv:1606.02382,
interpolated to 1 µm in z, noise added) 4 of 280 circles on labelled vessels fall below it, and 102
of 133 circles without one."""

MIN_RIDGE_TO_NOISE = 6.0
"""The same in standard deviations of the ridges that noise makes: sound phantoms stay above 7.5,
white noise reaches 3.6 in 40 frames, and a detector's noise (photons, drawn out along the line,
specks, halos) 5–6. In long loud stacks empty tissue may pass for a vessel."""

MIN_BRIGHT = 40.0
"""Grey level, in the brightest twentieth of the inside, from which it counts as filled by a vessel
wider than ridges are. Tissue lies below: 38 in the noisiest real frame, 9 in phantoms; a real
outline drawn over a wide vessel lies at 200, without any ridge."""

_STRONGEST = 0.95
_RIDGE_PX = 2.0  # standard deviation: best for tubes 4 to 8 px wide
_RIDGE_BLOCK = 5  # frames; a capillary is in focus for 8–12


def judge_content(volume: Volume) -> list[tuple[Verdict, str]]:
    """What is suspect about the inside of an outline, each with its evidence in one sentence.

    A mask is looked for first; where there is one, the vessel may be below it and is not asked for.
    In a background that is nearly black it shows only where a vessel is. Both are judged away from
    the line, which smears 2 px into the grey.

    Args:
        volume: any Volume.

    Returns:
        At most one finding, `Verdict.MASKED` or `Verdict.OFF_VESSEL`; none where fewer than 50
        pixels are inside the line.
    """
    n_frames, height, width, n_channels = volume.array.shape
    free = ~_widen(volume.line)  # the line smears into the grey
    inside = volume.mask & free
    if np.count_nonzero(inside) < _MIN_INSIDE:
        return []
    # Green, where the three are not equal: half way between them in the line's smear.
    tall = np.ascontiguousarray(volume.array).reshape(n_frames * height, width, n_channels)
    green = np.asarray(cv2.extractChannel(tall, n_channels // 2), dtype=np.uint8)
    grey = green.reshape(n_frames, height, width)
    if evidence := _find_mask(grey, inside, free):
        return [(Verdict.MASKED, evidence)]
    if evidence := _find_nothing(grey, inside, free):
        return [(Verdict.OFF_VESSEL, evidence)]
    if evidence := _find_never_lit(grey, inside, free):
        return [(Verdict.MASKED, evidence)]
    return []


def _find_mask(grey: UInt8Array, inside: BoolArray, free: BoolArray) -> str:
    """Evidence of a black mask, empty without one.

    The tissue may be dark but is noisy; a mask is flat. Where the background has no noise either,
    they cannot be told apart, and nothing is found. Neither can they in fewer frames than a block.
    """
    if len(grey) < _MASK_BLOCK:
        return ""
    blocks = _blocks(len(grey), _MASK_BLOCK, step=_MASK_BLOCK // 2)
    activity = _block_means((grey > _BLACK).view(np.uint8), blocks)
    weight = free.astype(np.float32)
    norm = np.maximum(cv2.blur(weight, (5, 5)), 1e-6)
    noise = np.stack([cv2.blur(plane * weight, (5, 5)) / norm for plane in activity])
    # Flat is what lies in a flat square of 5×5.
    flat = np.stack([_widen((plane < MAX_MASK_NOISE) & free) & free for plane in noise])
    is_masked = flat[:, inside].mean(axis=1) >= MIN_MASKED
    if is_masked.sum() < min(_MIN_BLOCKS, len(blocks)):
        return ""
    mask = flat[is_masked].all(axis=0)
    share = float(mask[inside].mean())
    # The boundary belongs to neither.
    elsewhere = free & ~_widen(mask)
    quiet = noise < _MIN_NOISE
    others = quiet[~is_masked][:, mask]
    if (
        share < MIN_MASKED
        or elsewhere.sum() < _MIN_ELSEWHERE * free.sum()
        or quiet[:, elsewhere].mean() > _MAX_QUIET
        or (others.size and others.mean() > _MAX_QUIET)
    ):
        return ""
    blackened = {
        i for block, is_in in zip(blocks, is_masked, strict=True) if is_in for i in range(*block)
    }
    frames = name_frames(sorted(blackened), len(grey))
    return f"a black mask covers {share:.0%} of the inside in {frames}"


def _find_never_lit(grey: UInt8Array, inside: BoolArray, free: BoolArray) -> str:
    """Evidence of a black mask on all frames, empty without one.

    Even a background that is nearly always black is lit by noise now and then in a whole stack.
    Where it is not, because somebody has removed the noise, nothing tells it from a mask.
    """
    is_lit = grey > _BLACK
    weight = free.astype(np.float32)
    share_lit = is_lit.mean(axis=0, dtype=np.float32)
    near_lit = cv2.blur(share_lit * weight, (5, 5)) / np.maximum(cv2.blur(weight, (5, 5)), 1e-6)
    never: BoolArray = _widen((near_lit < _MAX_LIT) & free) & free
    share = float(never[inside].mean())
    background = free & ~_widen(never) & (grey.max(axis=0) < _VESSEL)
    if share < MIN_NEVER_LIT or background.sum() < _MIN_LIT_BACKGROUND * free.sum():
        return ""
    # Noise lights a pixel for a single frame.
    before_and_after = np.pad(is_lit, ((1, 1), (0, 0), (0, 0)))
    flickers = is_lit & ~before_and_after[:-2] & ~before_and_after[2:]
    if flickers[:, background].mean() * 25 * len(grey) < _MIN_FLICKERS:
        return ""
    return f"{share:.0%} of the inside stays black in all {len(grey)} frames, as below a mask"


def _find_nothing(grey: UInt8Array, inside: BoolArray, free: BoolArray) -> str:
    """Evidence that there is no vessel, empty if there is one."""
    weight = free.astype(np.float32)
    norm = np.maximum(_blur(weight), 1e-6)
    means = _block_means(grey, _blocks(len(grey), _RIDGE_BLOCK, step=_RIDGE_BLOCK))
    smooth = [_blur(plane * weight) / norm for plane in means]
    bright = np.quantile(np.max([plane[inside] for plane in smooth], axis=0), _STRONGEST)
    if bright >= MIN_BRIGHT:
        return ""
    ridges = np.stack([_ridges(plane)[inside] for plane in smooth])  # (blocks, pixels)
    strongest = np.quantile(ridges.max(axis=0), _STRONGEST)
    # What changes from block to block is noise, vessels take up too little to matter.
    changes = np.diff(ridges, axis=0) if len(ridges) > 1 else ridges - np.median(ridges)
    noise = 1.4826 * np.median(np.abs(changes)) / np.sqrt(2 if len(ridges) > 1 else 1)
    least = max(MIN_RIDGE, MIN_RIDGE_TO_NOISE * noise)
    if strongest >= least:
        return ""
    return (
        "nothing like a vessel is inside the outline: bright ridges stand out by "
        f"{strongest:.1f} grey levels, expected at least {least:.1f}"
    )


def _ridges(plane: FloatArray) -> FloatArray:
    """Strength of bright ridges in a smoothed ``(y, x)`` plane, grey levels.

    The negative smaller eigenvalue of the Hessian, normalised for scale (Lindeberg 1998, Edge
    detection and ridge detection with automatic scale selection): 0.35 of the height of a Gaussian
    ridge as wide as the smoothing.
    """
    dyy = cv2.filter2D(plane, cv2.CV_32F, _SECOND.T)
    dxx = cv2.filter2D(plane, cv2.CV_32F, _SECOND)
    dxy = cv2.filter2D(plane, cv2.CV_32F, _MIXED)
    strength = np.hypot((dxx - dyy) / 2, dxy) - (dxx + dyy) / 2
    return np.asarray(_RIDGE_PX**2 * strength, dtype=np.float32)


_SECOND = np.array([[1, -2, 1]], np.float32)
_MIXED = np.array([[1, 0, -1], [0, 0, 0], [-1, 0, 1]], np.float32) / 4


def _blur(plane: FloatArray) -> FloatArray:
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), _RIDGE_PX), dtype=np.float32)


def _widen(plane: BoolArray) -> BoolArray:
    """By 2 px: as far as chroma subsampling smears the line."""
    widened: BoolArray = cv2.dilate(plane.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    return widened


def _blocks(n_frames: int, size: int, *, step: int) -> list[tuple[int, int]]:
    """First and last frame (half open) of blocks of ``size`` frames that reach both ends."""
    n_steps = -(-max(n_frames - size, 0) // step)
    firsts = np.linspace(0, max(n_frames - size, 0), n_steps + 1).astype(int)
    return [(int(first), min(int(first) + size, n_frames)) for first in firsts]


def _block_means(grey: UInt8Array, blocks: list[tuple[int, int]]) -> FloatArray:
    """``(blocks, y, x)`` float32."""
    return np.stack([grey[slice(*block)].mean(axis=0, dtype=np.float32) for block in blocks])
