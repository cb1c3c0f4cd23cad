"""H.264's residual: integer transform, dead-zone quantisation, reconstruction (ITU-T H.264, 8.5).

Blocks are 16 int32 in raster order; ``qp`` is 0–51; ``dead`` is the quantiser's rounding in 1/64 of
a step. Which residuals are not worth their bits is x264's choice (decimation, plain quantiser).
"""

from __future__ import annotations

import numpy as np
from numba import njit

INTRA_DEAD, INTER_DEAD = 21, 11
"""Rounding of x264's plain quantiser, 1/64 of a step."""

_ABOVE_29 = (29, 30, 31, 32, 32, 33, 34, 34, 35, 35, 36, 36, 37, 37, 37, 38, 38, 38, 39, 39, 39, 39)
CHROMA_QP = np.array([*range(30), *_ABOVE_29])
"""Chroma qp over luma qp."""

_CLASS = np.array([[0, 2, 0, 2], [2, 1, 2, 1], [0, 2, 0, 2], [2, 1, 2, 1]])
_FORWARD = (
    np.array(
        [
            [13107, 5243, 8066],
            [11916, 4660, 7490],
            [10082, 4194, 6554],
            [9362, 3647, 5825],
            [8192, 3355, 5243],
            [7282, 2893, 4559],
        ],
    )[:, _CLASS]
    .reshape(6, 16)
    .astype(np.int32)
)
_BACKWARD = (
    np.array([[10, 16, 13], [11, 18, 14], [13, 20, 16], [14, 23, 18], [16, 25, 20], [18, 29, 23]])[
        :, _CLASS
    ]
    .reshape(6, 16)
    .astype(np.int32)
)
_ZIGZAG = np.array([0, 1, 4, 8, 5, 2, 3, 6, 9, 12, 13, 10, 7, 11, 14, 15])
_RUN_SCORE = np.array([3, 2, 2, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], np.int32)


@njit(cache=True, nogil=True, error_model="numpy")
def clip8(v):  # type: ignore[no-untyped-def]
    """Clip to 0–255."""
    return min(max(v, 0), 255)


@njit(cache=True, nogil=True, error_model="numpy")
def forward4(src, sy, sx, pred, oy, ox, w):  # type: ignore[no-untyped-def]
    """w: 16 int32 coefficients of source minus prediction."""
    for i in range(4):
        a = np.int32(src[sy + i, sx]) - np.int32(pred[oy + i, ox])
        b = np.int32(src[sy + i, sx + 1]) - np.int32(pred[oy + i, ox + 1])
        c = np.int32(src[sy + i, sx + 2]) - np.int32(pred[oy + i, ox + 2])
        d = np.int32(src[sy + i, sx + 3]) - np.int32(pred[oy + i, ox + 3])
        s, t, p, q = a + d, b + c, a - d, b - c
        w[4 * i], w[4 * i + 1], w[4 * i + 2], w[4 * i + 3] = s + t, 2 * p + q, s - t, p - 2 * q
    for j in range(4):
        a, b, c, d = w[j], w[4 + j], w[8 + j], w[12 + j]
        s, t, p, q = a + d, b + c, a - d, b - c
        w[j], w[4 + j], w[8 + j], w[12 + j] = s + t, 2 * p + q, s - t, p - 2 * q


@njit(cache=True, nogil=True, error_model="numpy")
def quantise(w, first, qp, dead):  # type: ignore[no-untyped-def]
    """In place; returns whether any level is left."""
    shift = 15 + qp // 6
    f = dead << (shift - 6)
    mf = _FORWARD[qp % 6]
    some = 0
    for k in range(first, 16):
        v = (abs(w[k]) * mf[k] + f) >> shift
        some |= v
        w[k] = v if w[k] >= 0 else -v
    return some != 0


@njit(cache=True, nogil=True, error_model="numpy")
def _scale(w, first, qp):  # type: ignore[no-untyped-def]
    """Levels → coefficients, in place, from index ``first`` on."""
    back = _BACKWARD[qp % 6]
    for k in range(first, 16):
        w[k] = (w[k] * back[k]) << (qp // 6)


@njit(cache=True, nogil=True, error_model="numpy")
def _inverse4(w, pred, oy, ox, out, sy, sx):  # type: ignore[no-untyped-def]
    """Add the inverse transform to a prediction."""
    for i in range(4):
        a, b, c, d = w[4 * i], w[4 * i + 1], w[4 * i + 2], w[4 * i + 3]
        s, t, p, q = a + c, a - c, (b >> 1) - d, b + (d >> 1)
        w[4 * i], w[4 * i + 1], w[4 * i + 2], w[4 * i + 3] = s + q, t + p, t - p, s - q
    for j in range(4):
        a, b, c, d = w[j], w[4 + j], w[8 + j], w[12 + j]
        s, t, p, q = a + c, a - c, (b >> 1) - d, b + (d >> 1)
        out[sy, sx + j] = clip8(np.int32(pred[oy, ox + j]) + ((s + q + 32) >> 6))
        out[sy + 1, sx + j] = clip8(np.int32(pred[oy + 1, ox + j]) + ((t + p + 32) >> 6))
        out[sy + 2, sx + j] = clip8(np.int32(pred[oy + 2, ox + j]) + ((t - p + 32) >> 6))
        out[sy + 3, sx + j] = clip8(np.int32(pred[oy + 3, ox + j]) + ((s - q + 32) >> 6))


@njit(cache=True, nogil=True, error_model="numpy")
def worth(w, first):  # type: ignore[no-untyped-def]
    """x264's decimate score: how little a block's levels are worth."""
    k = 15
    while k >= first and w[_ZIGZAG[k]] == 0:
        k -= 1
    score = 0
    while k >= first:
        if abs(w[_ZIGZAG[k]]) > 1:
            return 9
        k -= 1
        run = 0
        while k >= first and w[_ZIGZAG[k]] == 0:
            k -= 1
            run += 1
        score += _RUN_SCORE[run]
    return score


@njit(cache=True, nogil=True, error_model="numpy")
def _hadamard16(d):  # type: ignore[no-untyped-def]
    """4×4 Hadamard transform, in place."""
    for i in range(4):
        a, b, c, e = d[4 * i], d[4 * i + 1], d[4 * i + 2], d[4 * i + 3]
        s, t, p, q = a + b, a - b, c + e, c - e
        d[4 * i], d[4 * i + 1], d[4 * i + 2], d[4 * i + 3] = s + p, s - p, t - q, t + q
    for j in range(4):
        a, b, c, e = d[j], d[4 + j], d[8 + j], d[12 + j]
        s, t, p, q = a + b, a - b, c + e, c - e
        d[j], d[4 + j], d[8 + j], d[12 + j] = s + p, s - p, t - q, t + q


@njit(cache=True, nogil=True, error_model="numpy")
def leaves_residual(src, y0, x0, pred, qp, levels):  # type: ignore[no-untyped-def]
    """Whether the prediction leaves anything worth coding."""
    score = 0
    w = levels[0]
    for block in range(16):
        oy, ox = 4 * (block // 4), 4 * (block % 4)
        forward4(src, y0 + oy, x0 + ox, pred, oy, ox, w)
        if quantise(w, 0, qp, INTER_DEAD):
            score += worth(w, 0)
            if score >= 6:
                return True
    return False


@njit(cache=True, nogil=True, error_model="numpy")
def code_inter(src, y0, x0, pred, out, qp, levels, nnz):  # type: ignore[no-untyped-def]
    """Residual of a 16×16 prediction, with decimation; returns whether something is coded."""
    mb_score = 0
    for part in range(4):
        part_score = 0
        for sub in range(4):
            block = 4 * part + sub
            oy = 8 * (part // 2) + 4 * (sub // 2)
            ox = 8 * (part % 2) + 4 * (sub % 2)
            w = levels[block]
            forward4(src, y0 + oy, x0 + ox, pred, oy, ox, w)
            nnz[block] = quantise(w, 0, qp, INTER_DEAD)
            if nnz[block] and part_score < 6:
                part_score += worth(w, 0)
        mb_score += part_score
        if part_score < 4:
            for sub in range(4):
                nnz[4 * part + sub] = False
    if mb_score < 6:
        nnz[:] = False
    some = False
    for block in range(16):
        part, sub = block // 4, block % 4
        oy = 8 * (part // 2) + 4 * (sub // 2)
        ox = 8 * (part % 2) + 4 * (sub % 2)
        if nnz[block]:
            some = True
            _scale(levels[block], 0, qp)
            _inverse4(levels[block], pred, oy, ox, out, y0 + oy, x0 + ox)
        else:
            out[y0 + oy : y0 + oy + 4, x0 + ox : x0 + ox + 4] = pred[oy : oy + 4, ox : ox + 4]
    return some


@njit(cache=True, nogil=True, error_model="numpy")
def code_intra(src, y0, x0, pred, out, qp, levels, nnz, decimate):  # type: ignore[no-untyped-def]
    """Residual of an intra 16×16 prediction: the DCs are transformed once more."""
    dc = np.empty(16, np.int32)
    score = 0
    for block in range(16):
        oy, ox = 4 * (block // 4), 4 * (block % 4)
        w = levels[block]
        forward4(src, y0 + oy, x0 + ox, pred, oy, ox, w)
        dc[block] = w[0]
        w[0] = 0
        nnz[block] = quantise(w, 1, qp, INTRA_DEAD)
        if decimate and nnz[block] and score < 6:
            score += worth(w, 1)
    if decimate and score < 6:
        nnz[:] = False
    _hadamard16(dc)
    shift = 16 + qp // 6
    f = INTRA_DEAD << (shift - 6)
    mf = _FORWARD[qp % 6, 0]
    for k in range(16):
        v = (np.int64((abs(dc[k]) + 1) >> 1) * mf + f) >> shift
        dc[k] = v if dc[k] >= 0 else -v
    _hadamard16(dc)
    back = _BACKWARD[qp % 6, 0] << (qp // 6)
    for block in range(16):
        oy, ox = 4 * (block // 4), 4 * (block % 4)
        w = levels[block]
        if nnz[block]:
            _scale(w, 1, qp)
        else:
            w[:] = 0
        w[0] = (dc[block] * back + 2) >> 2
        _inverse4(w, pred, oy, ox, out, y0 + oy, x0 + ox)


@njit(cache=True, nogil=True, error_model="numpy")
def _squared_error(src, y0, x0, pred):  # type: ignore[no-untyped-def]
    """Of an 8×8 prediction."""
    error = np.int32(0)
    for i in range(8):
        for j in range(8):
            d = np.int32(src[y0 + i, x0 + j]) - np.int32(pred[i, j])
            error += d * d
    return error


@njit(cache=True, nogil=True, error_model="numpy")
def _chroma_threshold(qp):  # type: ignore[no-untyped-def]
    """The squared error of an 8×8 chroma block that x264 does not care for."""
    return (int(0.9 * 256 * 2 ** ((qp - 12) / 3)) + 32) >> 6


@njit(cache=True, nogil=True, error_model="numpy")
def code_chroma(src, y0, x0, pred, out, qp, dead, levels, decimate):  # type: ignore[no-untyped-def]
    """8×8 of one chroma plane."""
    error = _squared_error(src, y0, x0, pred)
    threshold = _chroma_threshold(qp) if decimate else 0
    if error <= threshold:
        out[y0 : y0 + 8, x0 : x0 + 8] = pred[:8, :8]
        return
    dc = np.empty(4, np.int32)
    score = 0
    for block in range(4):
        oy, ox = 4 * (block // 2), 4 * (block % 2)
        w = levels[block]
        forward4(src, y0 + oy, x0 + ox, pred, oy, ox, w)
        dc[block] = w[0]
        w[0] = 0
        if quantise(w, 1, qp, dead):
            score += worth(w, 1)
    keep = not decimate or (score >= 7 and error >= 4 * threshold)
    a, b, c, d = dc[0], dc[1], dc[2], dc[3]
    dc[0], dc[1], dc[2], dc[3] = a + b + c + d, a - b + c - d, a + b - c - d, a - b - c + d
    shift = 16 + qp // 6
    f = dead << (shift - 6)
    mf = _FORWARD[qp % 6, 0]
    for k in range(4):
        v = (np.int64(abs(dc[k])) * mf + f) >> shift
        dc[k] = v if dc[k] >= 0 else -v
    a, b, c, d = dc[0], dc[1], dc[2], dc[3]
    dc[0], dc[1], dc[2], dc[3] = a + b + c + d, a - b + c - d, a + b - c - d, a - b - c + d
    back = _BACKWARD[qp % 6, 0] << (qp // 6)
    for block in range(4):
        oy, ox = 4 * (block // 2), 4 * (block % 2)
        w = levels[block]
        if keep:
            _scale(w, 1, qp)
        else:
            w[:] = 0
        w[0] = (dc[block] * back) >> 1
        _inverse4(w, pred, oy, ox, out, y0 + oy, x0 + ox)
