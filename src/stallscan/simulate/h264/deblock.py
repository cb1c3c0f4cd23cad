"""H.264's deblocking filter (ITU-T H.264, 8.7)."""

from __future__ import annotations

import numpy as np
from numba import njit

from stallscan.simulate.h264.residual import CHROMA_QP, clip8
from stallscan.types import IntArray


def _from_qp(first: int, values: str) -> IntArray:
    """A table over qp 0–51, zero below ``first``."""
    return np.array([0] * first + [int(value) for value in values.split()], np.int32)


_ALPHA = _from_qp(
    16,
    "4 4 5 6 7 8 9 10 12 13 15 17 20 22 25 28 32 36 40 45 50 56 63 71 80 90 101 113 127 144 162 "
    "182 203 226 255 255",
)
_BETA = _from_qp(
    16, "2 2 2 3 3 3 3 4 4 4 6 6 7 7 8 8 9 9 10 10 11 11 12 12 13 13 14 14 15 15 16 16 17 17 18 18"
)
_TC0 = np.stack(
    [
        _from_qp(23, "1 1 1 1 1 1 1 1 1 1 2 2 2 2 3 3 3 4 4 4 5 6 6 7 8 9 10 11 13"),
        _from_qp(21, "1 1 1 1 1 1 1 1 1 1 2 2 2 2 3 3 3 4 4 5 5 6 7 8 8 10 11 12 13 15 17"),
        _from_qp(
            17,
            "1 1 1 1 1 1 1 1 1 1 2 2 2 2 3 3 3 4 4 4 5 6 6 7 8 9 10 11 13 14 16 18 20 23 25",
        ),
    ]
)


@njit(cache=True, nogil=True, error_model="numpy")
def deblock(luma, chroma, qps, state, source):  # type: ignore[no-untyped-def]
    """Filter the edges of the 4×4 blocks in place.

    Args:
        luma: ``(y, x)`` uint8.
        chroma: ``(2, y / 2, x / 2)`` uint8.
        qps: ``(y / 16, x / 16)`` int32.
        state: ``(y / 4, x / 4)`` uint8: 0 no residual, 1 residual, 2 intra.
        source: ``(y / 4, x / 4)`` uint8: which frames the block was predicted from.
    """
    for mb in range(qps.size):
        my, mx = mb // qps.shape[1], mb % qps.shape[1]
        for down in range(2):
            for e in range(4):
                for k in range(4):
                    by, bx = (4 * my + e, 4 * mx + k) if down else (4 * my + k, 4 * mx + e)
                    if (by if down else bx) == 0:
                        continue
                    cy, cx = (by - 1, bx) if down else (by, bx - 1)
                    here, there = state[by, bx], state[cy, cx]
                    if here == 2 or there == 2:
                        strength = 4 if e == 0 else 3
                    elif here or there:
                        strength = 2
                    elif source[by, bx] != source[cy, cx]:
                        strength = 1
                    else:
                        continue
                    one, other = qps[my, mx], qps[cy // 4, cx // 4]
                    qp = (one + other + 1) >> 1
                    tc0 = _TC0[min(strength, 3) - 1, qp]
                    dy, dx = (1, 0) if down else (0, 1)
                    for i in range(4):
                        y, x = 4 * by + i * dx, 4 * bx + i * dy
                        _filter(luma, y, x, dy, dx, _ALPHA[qp], _BETA[qp], strength, tc0)
                    if e % 2:
                        continue
                    qp = (CHROMA_QP[one] + CHROMA_QP[other] + 1) >> 1
                    tc = _TC0[min(strength, 3) - 1, qp] + 1
                    for i in range(2):
                        y, x = 2 * by + i * dx, 2 * bx + i * dy
                        for c in range(2):
                            _filter_chroma(
                                chroma[c], y, x, dy, dx, _ALPHA[qp], _BETA[qp], strength, tc
                            )


@njit(cache=True, nogil=True, error_model="numpy")
def _filter(plane, y, x, dy, dx, alpha, beta, strength, tc0):  # type: ignore[no-untyped-def]
    """One line of samples across an edge; (y, x) is q0, (dy, dx) the step across."""
    p0, p1 = np.int32(plane[y - dy, x - dx]), np.int32(plane[y - 2 * dy, x - 2 * dx])
    q0, q1 = np.int32(plane[y, x]), np.int32(plane[y + dy, x + dx])
    if abs(p0 - q0) >= alpha or abs(p1 - p0) >= beta or abs(q1 - q0) >= beta:
        return
    p2, q2 = np.int32(plane[y - 3 * dy, x - 3 * dx]), np.int32(plane[y + 2 * dy, x + 2 * dx])
    if strength < 4:
        tc = tc0
        if abs(p2 - p0) < beta:
            tc += 1
            if tc0:
                plane[y - 2 * dy, x - 2 * dx] = p1 + min(
                    max((p2 + ((p0 + q0 + 1) >> 1) - 2 * p1) >> 1, -tc0), tc0
                )
        if abs(q2 - q0) < beta:
            tc += 1
            if tc0:
                plane[y + dy, x + dx] = q1 + min(
                    max((q2 + ((p0 + q0 + 1) >> 1) - 2 * q1) >> 1, -tc0), tc0
                )
        d = min(max((((q0 - p0) * 4) + p1 - q1 + 4) >> 3, -tc), tc)
        plane[y - dy, x - dx] = clip8(p0 + d)
        plane[y, x] = clip8(q0 - d)
        return
    small = abs(p0 - q0) < (alpha >> 2) + 2
    if small and abs(p2 - p0) < beta:
        p3 = np.int32(plane[y - 4 * dy, x - 4 * dx])
        plane[y - dy, x - dx] = (p2 + 2 * p1 + 2 * p0 + 2 * q0 + q1 + 4) >> 3
        plane[y - 2 * dy, x - 2 * dx] = (p2 + p1 + p0 + q0 + 2) >> 2
        plane[y - 3 * dy, x - 3 * dx] = (2 * p3 + 3 * p2 + p1 + p0 + q0 + 4) >> 3
    else:
        plane[y - dy, x - dx] = (2 * p1 + p0 + q1 + 2) >> 2
    if small and abs(q2 - q0) < beta:
        q3 = np.int32(plane[y + 3 * dy, x + 3 * dx])
        plane[y, x] = (p1 + 2 * p0 + 2 * q0 + 2 * q1 + q2 + 4) >> 3
        plane[y + dy, x + dx] = (p0 + q0 + q1 + q2 + 2) >> 2
        plane[y + 2 * dy, x + 2 * dx] = (2 * q3 + 3 * q2 + q1 + q0 + p0 + 4) >> 3
    else:
        plane[y, x] = (2 * q1 + q0 + p1 + 2) >> 2


@njit(cache=True, nogil=True, error_model="numpy")
def _filter_chroma(plane, y, x, dy, dx, alpha, beta, strength, tc):  # type: ignore[no-untyped-def]
    """As `_filter`, for a chroma plane: only the two samples at the edge change."""
    p0, p1 = np.int32(plane[y - dy, x - dx]), np.int32(plane[y - 2 * dy, x - 2 * dx])
    q0, q1 = np.int32(plane[y, x]), np.int32(plane[y + dy, x + dx])
    if abs(p0 - q0) >= alpha or abs(p1 - p0) >= beta or abs(q1 - q0) >= beta:
        return
    if strength < 4:
        d = min(max((((q0 - p0) * 4) + p1 - q1 + 4) >> 3, -tc), tc)
        plane[y - dy, x - dx] = clip8(p0 + d)
        plane[y, x] = clip8(q0 - d)
    else:
        plane[y - dy, x - dx] = (2 * p1 + p0 + q1 + 2) >> 2
        plane[y, x] = (2 * q1 + q0 + p1 + 2) >> 2
