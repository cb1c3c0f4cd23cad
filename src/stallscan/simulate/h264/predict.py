"""H.264's predictions: from the frame's own neighbours or from other frames, and their cost.

The candidates are a small choice out of x264's: enough for its statistics, few enough to be fast.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from stallscan.simulate.h264.residual import clip8

# Candidates of the motion search: two planes (0 whole pixels, 1 between columns, 2 between rows),
# each with its first row and column, which are averaged; motion (y, x) in quarter pixels; bits.
_HERE = (0, 3, 3)
_ASIDE = [(1, 0, s, 0, 2 * s - 1) for s in (0, 1)] + [(2, s, 0, 2 * s - 1, 0) for s in (0, 1)]
_CANDIDATES = np.array(
    [(*_HERE, *_HERE, 0, 0, 1)]
    + [(*_HERE, *side[:3], *side[3:], 4) for side in _ASIDE]
    + [(*side[:3], *side[:3], 2 * side[3], 2 * side[4], 5) for side in _ASIDE]
    + [(*h[:3], *v[:3], v[3], h[4], 6) for h in _ASIDE[:2] for v in _ASIDE[2:]]
    + [
        (0, 3 + y, 3 + x, 0, 3 + y, 3 + x, 4 * y, 4 * x, 7 if abs(y) + abs(x) == 1 else 10)
        for y, x in (
            *((0, 1), (0, -1), (1, 0), (-1, 0)),
            *((0, 2), (0, -2), (2, 1), (2, -1), (-2, 1), (-2, -1)),
        )
    ]
)


@njit(cache=True, nogil=True, error_model="numpy")
def satd(a, ay, ax, b, by, bx, n):  # type: ignore[no-untyped-def]
    """Half the sum of the absolute 4×4 Hadamard transforms of a − b over n×n pixels."""
    total = np.int32(0)
    for oy in range(0, n, 4):
        for ox in range(0, n, 4):
            first = _row(a, ay + oy, ax + ox, b, by + oy, bx + ox)
            second = _row(a, ay + oy + 1, ax + ox, b, by + oy + 1, bx + ox)
            third = _row(a, ay + oy + 2, ax + ox, b, by + oy + 2, bx + ox)
            fourth = _row(a, ay + oy + 3, ax + ox, b, by + oy + 3, bx + ox)
            for j in range(4):
                p, q, r, s = _butterfly(first[j], second[j], third[j], fourth[j])
                total += abs(p) + abs(q) + abs(r) + abs(s)
    return total >> 1


@njit(cache=True, nogil=True, error_model="numpy")
def _row(a, ay, ax, b, by, bx):  # type: ignore[no-untyped-def]
    return _butterfly(
        np.int32(a[ay, ax]) - np.int32(b[by, bx]),
        np.int32(a[ay, ax + 1]) - np.int32(b[by, bx + 1]),
        np.int32(a[ay, ax + 2]) - np.int32(b[by, bx + 2]),
        np.int32(a[ay, ax + 3]) - np.int32(b[by, bx + 3]),
    )


@njit(cache=True, nogil=True, error_model="numpy")
def _butterfly(a, b, c, d):  # type: ignore[no-untyped-def]
    s, t, p, q = a + b, a - b, c + d, c - d
    return s + p, t + q, s - p, t - q


@njit(cache=True, nogil=True, error_model="numpy")
def predict_intra(src, rec, y0, x0, pred):  # type: ignore[no-untyped-def]
    """The best of DC, vertical and horizontal 16×16 prediction; returns its cost."""
    best, chosen = np.int32(1 << 30), 0
    for mode in (0, 1, 2):
        if (mode == 1 and y0 == 0) or (mode == 2 and x0 == 0):
            continue
        _fill_intra(rec, y0, x0, mode, pred)
        cost = satd(src, y0, x0, pred, 0, 0, 16)
        if cost < best:
            best, chosen = cost, mode
    _fill_intra(rec, y0, x0, chosen, pred)
    return best


@njit(cache=True, nogil=True, error_model="numpy")
def _fill_intra(rec, y0, x0, mode, pred):  # type: ignore[no-untyped-def]
    if mode == 0:
        fill_dc(rec, y0, x0, 16, pred)
    elif mode == 1:
        for i in range(16):
            pred[i] = rec[y0 - 1, x0 : x0 + 16]
    else:
        for i in range(16):
            pred[i] = rec[y0 + i, x0 - 1]


@njit(cache=True, nogil=True, error_model="numpy")
def fill_dc(rec, y0, x0, n, pred):  # type: ignore[no-untyped-def]
    """Mean of the pixels above and to the left of an n×n block."""
    total, count = np.int32(0), 0
    if y0 > 0:
        for j in range(n):
            total += rec[y0 - 1, x0 + j]
        count += n
    if x0 > 0:
        for i in range(n):
            total += rec[y0 + i, x0 - 1]
        count += n
    value = (total + count // 2) // count if count else 128
    pred[:n, :n] = value


@njit(cache=True, nogil=True, error_model="numpy")
def predict_intra_chroma(src, rec, y0, x0, preds):  # type: ignore[no-untyped-def]
    """The better of DC, vertical and horizontal prediction, one choice for both planes."""
    best = np.int32(1 << 30)
    chosen = 0
    for mode in range(3):
        if (mode == 1 and y0 == 0) or (mode == 2 and x0 == 0):
            continue
        cost = np.int32(8 * (mode > 0))
        for c in range(2):
            _fill_chroma(rec[c], y0, x0, mode, preds[c])
            cost += satd(src[c], y0, x0, preds[c], 0, 0, 8)
        if cost < best:
            best, chosen = cost, mode
        if best == 0:
            return
    if chosen != 2 or x0 == 0:
        for c in range(2):
            _fill_chroma(rec[c], y0, x0, chosen, preds[c])


@njit(cache=True, nogil=True, error_model="numpy")
def _fill_chroma(rec, y0, x0, mode, pred):  # type: ignore[no-untyped-def]
    if mode == 0:
        _fill_chroma_dc(rec, y0, x0, pred)
    elif mode == 1:
        for i in range(8):
            pred[i] = rec[y0 - 1, x0 : x0 + 8]
    else:
        for i in range(8):
            pred[i] = rec[y0 + i, x0 - 1]


@njit(cache=True, nogil=True, error_model="numpy")
def _fill_chroma_dc(rec, y0, x0, pred):  # type: ignore[no-untyped-def]
    """DC of each 4×4 quarter of an 8×8 block, by the standard's choice of neighbours."""
    for quarter in range(4):
        oy, ox = 4 * (quarter // 2), 4 * (quarter % 2)
        above, left = y0 > 0, x0 > 0
        if above and left:
            above = quarter != 2
            left = quarter != 1
        total, count = np.int32(0), 0
        if above:
            for j in range(4):
                total += rec[y0 - 1, x0 + ox + j]
            count += 4
        if left:
            for i in range(4):
                total += rec[y0 + oy + i, x0 - 1]
            count += 4
        value = (total + count // 2) // count if count else 128
        pred[oy : oy + 4, ox : ox + 4] = value


@njit(cache=True, nogil=True, error_model="numpy")
def blend(a, b, y0, x0, n, mode, pred, oy, ox):  # type: ignore[no-untyped-def]
    """Copy n×n pixels of a (mode 0), b (1) or their mean (2)."""
    for i in range(n):
        for j in range(n):
            p, q = np.int32(a[y0 + i, x0 + j]), np.int32(b[y0 + i, x0 + j])
            pred[oy + i, ox + j] = p if mode == 0 else (q if mode == 1 else (p + q + 1) >> 1)


@njit(cache=True, nogil=True, error_model="numpy")
def search(src, ref, y0, x0, price, planes, pred, motion):  # type: ignore[no-untyped-def]
    """Find where an 8×8 block comes from: at most half a pixel away, or a few whole pixels.

    Args:
        src: ``(y, x)`` uint8, holds the block at ``(y0, x0)``.
        ref: ``(y, x)`` uint8, the frame to predict from.
        y0: top of the block.
        x0: left of the block.
        price: cost of a bit.
        planes: ``(3, 14, 14)`` int32 scratch.
        pred: ``(8, 8)`` uint8, becomes the prediction.
        motion: ``(2,)`` becomes the motion ``(y, x)`` in quarter pixels.
    """
    ny, nx = ref.shape
    for i in range(14):
        y = min(max(y0 + i - 3, 0), ny - 1)
        for j in range(14):
            planes[0, i, j] = ref[y, min(max(x0 + j - 3, 0), nx - 1)]
    window, half_x, half_y = planes[0], planes[1], planes[2]
    for i in range(8):
        for j in range(9):
            w = window[i + 3]
            half_x[i, j] = _six(w[j], w[j + 1], w[j + 2], w[j + 3], w[j + 4], w[j + 5])
    for i in range(9):
        for j in range(8):
            half_y[i, j] = _six(
                window[i, j + 3],
                window[i + 1, j + 3],
                window[i + 2, j + 3],
                window[i + 3, j + 3],
                window[i + 4, j + 3],
                window[i + 5, j + 3],
            )
    best = np.int64(1 << 30)
    chosen = 0
    for k in range(len(_CANDIDATES)):
        _fill_candidate(planes, k, pred)
        cost = satd(src, y0, x0, pred, 0, 0, 8) + _CANDIDATES[k, 8] * price
        if cost < best:
            best, chosen = cost, k
    _fill_candidate(planes, chosen, pred)
    motion[0], motion[1] = _CANDIDATES[chosen, 6], _CANDIDATES[chosen, 7]
    return best


@njit(cache=True, nogil=True, error_model="numpy")
def _fill_candidate(planes, k, pred):  # type: ignore[no-untyped-def]
    pa, ay, ax, pb, by, bx = _CANDIDATES[k, :6]
    a = planes[pa].reshape(-1)
    b = planes[pb].reshape(-1)
    for i in range(8):
        start, other = 14 * (ay + i) + ax, 14 * (by + i) + bx
        row_a, row_b, row = a[start : start + 8], b[other : other + 8], pred[i]
        for j in range(8):
            row[j] = (row_a[j] + row_b[j] + 1) >> 1


@njit(cache=True, nogil=True, error_model="numpy")
def _six(a, b, c, d, e, f):  # type: ignore[no-untyped-def]
    """Half-pel sample between c and d."""
    return clip8((a - 5 * b + 20 * c + 20 * d - 5 * e + f + 16) >> 5)


@njit(cache=True, nogil=True, error_model="numpy")
def move_chroma(ref, y0, x0, my, mx, pred):  # type: ignore[no-untyped-def]
    """4×4 chroma prediction: motion in eighths of a pixel, bilinear."""
    if my == 0 and mx == 0:
        for i in range(4):
            for j in range(4):
                pred[i, j] = ref[y0 + i, x0 + j]
        return
    ny, nx = ref.shape
    fy, fx = my & 7, mx & 7
    dy, dx = my >> 3, mx >> 3
    for i in range(4):
        a = min(max(y0 + i + dy, 0), ny - 1)
        b = min(max(y0 + i + dy + 1, 0), ny - 1)
        for j in range(4):
            c = min(max(x0 + j + dx, 0), nx - 1)
            d = min(max(x0 + j + dx + 1, 0), nx - 1)
            pred[i, j] = (
                (8 - fy) * ((8 - fx) * np.int32(ref[a, c]) + fx * np.int32(ref[a, d]))
                + fy * ((8 - fx) * np.int32(ref[b, c]) + fx * np.int32(ref[b, d]))
                + 32
            ) >> 6
