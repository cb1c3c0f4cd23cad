"""How much of a macroblock later frames will reuse, and how much finer it is coded for that."""

from __future__ import annotations

import numpy as np
from numba import njit

from stallscan.simulate.h264.predict import blend, fill_dc, satd

_MATCH = np.float32(0.9)  # a motion search finds that much better matches than no motion
_LOOK = np.float32(1.2)  # what a lookahead of ten frames still sees, measured as qp of x264
_LOOK_FIRST = np.float32(3.0)


@njit(cache=True, nogil=True, error_model="numpy")
def tree_offsets(luma, order, kinds, past, future):  # type: ignore[no-untyped-def]
    """x264's macroblock tree: blocks that later frames are predicted from get finer steps.

    Args:
        luma: ``(z, y, x)`` uint8, y and x multiples of 16.
        order: ``(z,)`` frames in coding order.
        kinds: ``(z,)`` 0 I, 1 P, 2 B frame, in coding order, like the next two.
        past: ``(z,)`` frame to predict from.
        future: ``(z,)`` the other one, for B frames.

    Returns:
        ``(z, y / 16, x / 16)`` float32, 0 or less, to add to the qp.
    """
    nz, ny, nx = luma.shape
    my, mx = ny // 16, nx // 16
    small = np.empty((nz, ny // 2, nx // 2), np.uint8)
    for z in range(nz):
        for i in range(ny // 2):
            for j in range(nx // 2):
                small[z, i, j] = (
                    np.int32(luma[z, 2 * i, 2 * j])
                    + luma[z, 2 * i, 2 * j + 1]
                    + luma[z, 2 * i + 1, 2 * j]
                    + luma[z, 2 * i + 1, 2 * j + 1]
                    + 2
                ) >> 2
    cost = np.empty((nz, my, mx), np.float32)
    share = np.zeros((nz, my, mx), np.float32)
    pred = np.empty((8, 8), np.uint8)
    for step in range(len(order)):
        z = order[step]
        src, a, b = small[z], small[past[step]], small[future[step]]
        for mb in range(my * mx):
            i, j = mb // mx, mb % mx
            y0, x0 = 8 * i, 8 * j
            fill_dc(src, y0, x0, 8, pred)
            best = satd(src, y0, x0, pred, 0, 0, 8)
            if i > 0:
                for k in range(8):
                    pred[k] = src[y0 - 1, x0 : x0 + 8]
                best = min(best, satd(src, y0, x0, pred, 0, 0, 8))
            if j > 0:
                for k in range(8):
                    pred[k] = src[y0 + k, x0 - 1]
                best = min(best, satd(src, y0, x0, pred, 0, 0, 8))
            intra = np.float32(best + 5)
            cost[z, i, j] = intra
            if kinds[step] == 0:
                continue
            best = satd(src, y0, x0, a, y0, x0, 8)
            if kinds[step] == 2:
                best = min(best, satd(src, y0, x0, b, y0, x0, 8))
                blend(a, b, y0, x0, 8, 2, pred, 0, 0)
                best = min(best, satd(src, y0, x0, pred, 0, 0, 8))
            share[z, i, j] = max(1 - _MATCH * np.float32(best) / intra, 0)
    # Backwards in coding order: what a frame is worth, a part of it passes on to its references.
    offset = np.zeros((nz, my, mx), np.float32)
    value = np.zeros((nz, my, mx), np.float32)
    for back in range(len(order)):
        step = len(order) - 1 - back
        z, p, f, kind = order[step], past[step], future[step], kinds[step]
        for i in range(my):
            for j in range(mx):
                v = value[z, i, j]
                offset[z, i, j] = -2 * np.log2(1 + v / cost[z, i, j])
                passed = share[z, i, j] * (cost[z, i, j] + v)
                if kind == 1:
                    look = _LOOK_FIRST if p == 0 else _LOOK
                    passed = share[z, i, j] * (cost[z, i, j] + min(v, look * cost[z, i, j]))
                    value[p, i, j] += passed
                elif kind == 2:
                    value[p, i, j] += passed / 2
                    value[f, i, j] += passed / 2
    return offset
