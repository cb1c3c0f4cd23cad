"""A small H.264 encoder without the bit stream: what a decoder would show of x264's choices."""

from __future__ import annotations

import numpy as np
from numba import njit

from stallscan.simulate.h264.deblock import deblock
from stallscan.simulate.h264.predict import (
    blend,
    move_chroma,
    predict_intra,
    predict_intra_chroma,
    satd,
    search,
)
from stallscan.simulate.h264.residual import (
    CHROMA_QP,
    INTER_DEAD,
    INTRA_DEAD,
    code_chroma,
    code_inter,
    code_intra,
    leaves_residual,
)
from stallscan.simulate.h264.tree import tree_offsets

I_FRAME, P_FRAME, B_FRAME = 0, 1, 2

_QP_OVER_CRF = 2.23  # (1 − 0.6) · 13.5 of the macroblock tree + 6 log2((0.04 s · 10 fps) ** 0.4)


@njit(cache=True, nogil=True, error_model="numpy")
def encode(luma, chroma, crf, order, kinds, past, future):  # type: ignore[no-untyped-def]
    """Replace the planes by what a decoder would show.

    Args:
        luma: ``(z, y, x)`` uint8, y and x multiples of 16; changed in place.
        chroma: ``(2, z, y / 2, x / 2)`` uint8; changed in place.
        crf: x264's quality.
        order: ``(z,)`` frames in coding order.
        kinds: ``(z,)`` I_FRAME, P_FRAME or B_FRAME, in coding order, like the next two.
        past: ``(z,)`` frame to predict from.
        future: ``(z,)`` the other one, for B frames.
    """
    ny, nx = luma.shape[1:]
    out = np.empty((ny, nx), np.uint8)
    out_c = np.empty((2, ny // 2, nx // 2), np.uint8)
    qps = np.empty((ny // 16, nx // 16), np.int32)
    state = np.empty((ny // 4, nx // 4), np.uint8)  # 0 no residual, 1 residual, 2 intra
    source = np.empty((ny // 4, nx // 4), np.uint8)  # 0 past, 1 future, 2 both
    moves = np.zeros((4, 2, 2), np.int64)
    modes = np.empty(4, np.int64)
    planes = np.empty((3, 14, 14), np.int32)
    pred, pred_intra = np.empty((16, 16), np.uint8), np.empty((16, 16), np.uint8)
    trials, preds_c = np.empty((3, 8, 8), np.uint8), np.empty((2, 8, 8), np.uint8)
    levels = np.empty((16, 16), np.int32)
    coded = np.empty(16, np.bool_)
    tree = tree_offsets(luma, order, kinds, past, future)
    for step in range(len(order)):
        z, kind = order[step], kinds[step]
        src, a, b = luma[z], luma[past[step]], luma[future[step]]
        for mb in range(qps.size):
            i, j = mb // qps.shape[1], mb % qps.shape[1]
            y0, x0 = 16 * i, 16 * j
            # Adaptive quantisation: busy blocks are coded more coarsely.
            busy = np.log2(max(_energy(src, chroma[:, z], y0, x0), 1)) - 14.427
            qp = int(np.floor(crf + _QP_OVER_CRF + tree[z, i, j] + 1.0397 * busy + 0.5))
            qp = min(max(qp, 0), 51)
            qps[i, j] = qp
            price = max(1, int(2 ** ((qp - 12) / 6) + 0.5))
            blocks = state[4 * i : 4 * i + 4, 4 * j : 4 * j + 4]
            sources = source[4 * i : 4 * i + 4, 4 * j : 4 * j + 4]
            is_intra, is_skipped, cost = True, False, np.int64(1 << 30)
            if kind != I_FRAME:
                modes[:] = 0 if kind == P_FRAME else 2
                moves[:] = 0
                blend(a, b, y0, x0, 16, modes[0], pred, 0, 0)
                is_skipped = not leaves_residual(src, y0, x0, pred, qp, levels)
                if not is_skipped:
                    is_moving = _is_coloured(chroma[1, z], y0 // 2, x0 // 2)
                    cost = np.int64(3 * price)
                    for part in range(4):
                        oy, ox = 8 * (part // 2), 8 * (part % 2)
                        args = (y0 + oy, x0 + ox, price, planes, trials, moves[part], modes, part)
                        cost += _predict_inter(src, a, b, kind, is_moving, *args)
                        pred[oy : oy + 8, ox : ox + 8] = trials[modes[part]]
            if not is_skipped:
                cost_intra = predict_intra(src, out, y0, x0, pred_intra) + 4 * price
                is_intra = cost_intra < cost
            else:
                is_intra = False
            if is_intra:
                code_intra(src, y0, x0, pred_intra, out, qp, levels, coded, kind != I_FRAME)
                blocks[:] = 2
                sources[:] = 0
            else:
                if is_skipped:
                    out[y0 : y0 + 16, x0 : x0 + 16] = pred
                    coded[:] = False
                else:
                    code_inter(src, y0, x0, pred, out, qp, levels, coded)
                for block in range(16):
                    part, sub = block // 4, block % 4
                    by, bx = 2 * (part // 2) + sub // 2, 2 * (part % 2) + sub % 2
                    blocks[by, bx] = coded[block]
                    sources[by, bx] = modes[part]
            y1, x1 = y0 // 2, x0 // 2
            if is_intra:
                predict_intra_chroma(chroma[:, z], out_c, y1, x1, preds_c)
            dead = INTRA_DEAD if is_intra else INTER_DEAD
            decimate = kind != I_FRAME and qp >= (18 if is_intra else 12)
            for c in range(2):
                p = preds_c[c]
                if not is_intra:
                    past_c, future_c = chroma[c, past[step]], chroma[c, future[step]]
                    _predict_chroma(past_c, future_c, y1, x1, moves, modes, trials, p)
                if is_skipped:
                    out_c[c, y1 : y1 + 8, x1 : x1 + 8] = p
                else:
                    args_c = (CHROMA_QP[qp], dead, levels, decimate)
                    code_chroma(chroma[c, z], y1, x1, p, out_c[c], *args_c)
        deblock(out, out_c, qps, state, source)
        luma[z] = out
        chroma[:, z] = out_c


@njit(cache=True, nogil=True, error_model="numpy")
def _predict_inter(  # type: ignore[no-untyped-def]
    src, a, b, kind, is_moving, y0, x0, price, planes, trials, moves, modes, part
):
    """8×8 from the past (``trials[0]``), the future or both; returns the cost of the best."""
    if is_moving:
        best = np.int64(search(src, a, y0, x0, price, planes, trials[0], moves[0]))
    else:
        blend(a, b, y0, x0, 8, 0, trials[0], 0, 0)
        best = np.int64(satd(src, y0, x0, trials[0], 0, 0, 8))
    modes[part] = 0
    if kind == P_FRAME:
        return best
    if is_moving:
        cost = np.int64(search(src, b, y0, x0, price, planes, trials[1], moves[1]))
    else:
        best += price
        blend(a, b, y0, x0, 8, 1, trials[1], 0, 0)
        cost = np.int64(satd(src, y0, x0, trials[1], 0, 0, 8)) + price
    if cost < best:
        best = cost
        modes[part] = 1
    blend(trials[0], trials[1], 0, 0, 8, 2, trials[2], 0, 0)
    cost = np.int64(satd(src, y0, x0, trials[2], 0, 0, 8)) + (2 * price if is_moving else 0)
    if cost < best:
        best = cost
        modes[part] = 2
    return best


@njit(cache=True, nogil=True, error_model="numpy")
def _predict_chroma(a, b, y0, x0, moves, modes, trials, pred):  # type: ignore[no-untyped-def]
    """8×8 of a chroma plane, moved as the luma is."""
    for part in range(4):
        oy, ox = 4 * (part // 2), 4 * (part % 2)
        move_chroma(a, y0 + oy, x0 + ox, moves[part, 0, 0], moves[part, 0, 1], trials[0])
        move_chroma(b, y0 + oy, x0 + ox, moves[part, 1, 0], moves[part, 1, 1], trials[1])
        blend(trials[0], trials[1], 0, 0, 4, modes[part], pred, oy, ox)


@njit(cache=True, nogil=True, error_model="numpy")
def _energy(luma, chroma, y0, x0):  # type: ignore[no-untyped-def]
    """Sum of squares about the mean, over the macroblock's three planes."""
    total = _spread(luma, y0, x0, 16)
    return total + _spread(chroma[0], y0 // 2, x0 // 2, 8) + _spread(chroma[1], y0 // 2, x0 // 2, 8)


@njit(cache=True, nogil=True, error_model="numpy")
def _spread(plane, y0, x0, n):  # type: ignore[no-untyped-def]
    total, squares = np.int32(0), np.int32(0)
    for i in range(n):
        for j in range(n):
            p = np.int32(plane[y0 + i, x0 + j])
            total += p
            squares += p * p
    return squares - np.int64(total) * total // (n * n)


@njit(cache=True, nogil=True, error_model="numpy")
def _is_coloured(plane, y0, x0):  # type: ignore[no-untyped-def]
    """Whether the drawn line crosses an 8×8 block of the red-difference plane."""
    for i in range(8):
        for j in range(8):
            if abs(np.int32(plane[y0 + i, x0 + j]) - 128) > 8:
                return True
    return False
