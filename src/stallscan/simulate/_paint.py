"""The inner loop of the microscope: one tube into a stack, line by line in time."""

from __future__ import annotations

import numpy as np
from numba import njit

from stallscan.simulate.blood import TABLE_STEP_UM

SLEEVE_UM = 0.3
"""Light of plasma around a cell: the rim that the optics leave of it."""
LANE_UM = 2.5
"""Width of the file that a cell keeps to in a wide vessel."""
LANE_DARKNESS = 0.45
"""Of many cells above each other only a part is dark at once."""
_BULGE_UM = 1.2  # how far the middle of a cell runs ahead of its rim
_FAINT = 3.5  # axial decay lengths up to which a tube is seen

_STEP = TABLE_STEP_UM


@njit(cache=True, nogil=True)
def _chord(a, b2, k, radius):  # type: ignore[no-untyped-def]
    """Share of a two-sided exponential spread along z that falls into a disc.

    ``a``: place in the disc's plane along the spread, ``b2``: squared place across it, ``k``: decay
    a µm.
    """
    c2 = radius * radius - b2
    if c2 <= 0:
        return np.float32(0)
    c = np.sqrt(c2)
    a = abs(a)
    if a < c:
        return np.float32(1) - np.float32(0.5) * (np.exp(k * (a - c)) + np.exp(-k * (a + c)))
    return np.float32(0.5) * (np.exp(k * (c - a)) - np.exp(-k * (a + c)))


@njit(cache=True, nogil=True)
def _integral(total, place):  # type: ignore[no-untyped-def]
    """Darkness summed from 0 to a place in the repeating table, in samples."""
    m = len(total) - 1
    turns = np.floor(place / m)
    rest = place - turns * m
    i = int(rest)
    if i >= m:
        i = m - 1
    return turns * total[m] + total[i] + (rest - i) * (total[i + 1] - total[i])


@njit(cache=True, nogil=True, error_model="numpy")
def paint(  # type: ignore[no-untyped-def]  # numba decides the types, see Args
    stack, origin, points, arc, radius, pitch, decay, blur, total, shift, brightness, forward, wide
):
    """Add one tube to a stack, where it is brighter than what is there.

    A voxel shows the tube's cross-section blurred along z by the axial point spread (two-sided
    exponential), less what the cells take. A cell is where the blood was while the raster passed
    that very line: its darkness is averaged over the part of the line's time in which a pixel
    collects light, so fast blood blurs and slow blood does not.

    Args:
        stack: ``(z, y, x)`` float32.
        origin: ``(3,)`` int64, place of the stack's first voxel in the clip.
        points: ``(n, 3)`` float32 centreline in voxels of the clip.
        arc: ``(n,)`` float32 µm along the centreline.
        radius: of the lumen, µm.
        pitch: ``(3,)`` float32 voxel size ``(z, y, x)``, µm.
        decay: µm along z in which the axial spread falls to 1/e.
        blur: lateral spread, half its width, µm.
        total: ``(m + 1,)`` float64 running sum of the darkness of the cells, every 0.25 µm.
        shift: ``(2, z, y)`` float64 displacement of the blood, µm, when a line of the stack begins
            and ceases to collect light.
        brightness: grey level of plasma.
        forward: +1 or -1, where the cells' round side points.
        wide: many cells abreast, the faster the nearer the axis.
    """
    nz, ny, nx = stack.shape
    reach = radius + blur
    tall = reach + np.float32(_FAINT) * decay
    squeeze = reach / tall
    rz = int(np.ceil(tall / pitch[0]))
    ry = int(np.ceil(reach / pitch[1]))
    rx = int(np.ceil(reach / pitch[2]))
    n = len(points)
    z_lo, z_hi, y_lo, y_hi, x_lo, x_hi = nz, 0, ny, 0, nx, 0
    for i in range(n):
        z = int(np.floor(points[i, 0])) - origin[0]
        y = int(np.floor(points[i, 1])) - origin[1]
        x = int(np.floor(points[i, 2])) - origin[2]
        z_lo, z_hi = min(z_lo, z - rz), max(z_hi, z + rz + 2)
        y_lo, y_hi = min(y_lo, y - ry), max(y_hi, y + ry + 2)
        x_lo, x_hi = min(x_lo, x - rx), max(x_hi, x + rx + 2)
    z_lo, y_lo, x_lo = max(z_lo, 0), max(y_lo, 0), max(x_lo, 0)
    z_hi, y_hi, x_hi = min(z_hi, nz), min(y_hi, ny), min(x_hi, nx)
    if z_lo >= z_hi or y_lo >= y_hi or x_lo >= x_hi:
        return
    limit = reach * reach
    distance = np.full((z_hi - z_lo, y_hi - y_lo, x_hi - x_lo), limit, np.float32)
    nearest = np.full(distance.shape, -1, np.int32)
    for i in range(n):
        pz, py, px = points[i, 0] - origin[0], points[i, 1] - origin[1], points[i, 2] - origin[2]
        iz, iy = int(np.floor(pz)), int(np.floor(py))
        for z in range(max(iz - rz, z_lo), min(iz + rz + 2, z_hi)):
            dz = (z - pz) * pitch[0] * squeeze
            dz *= dz
            if dz >= limit:
                continue
            for y in range(max(iy - ry, y_lo), min(iy + ry + 2, y_hi)):
                dy = (y - py) * pitch[1]
                dzy = dz + dy * dy
                if dzy >= limit:
                    continue
                # Only the pixels of this line that are near enough.
                half = np.sqrt(limit - dzy) / pitch[2]
                row = distance[z - z_lo, y - y_lo]
                index = nearest[z - z_lo, y - y_lo]
                for x in range(max(int(np.ceil(px - half)), x_lo), min(int(px + half) + 1, x_hi)):
                    dx = (x - px) * pitch[2]
                    d = dzy + dx * dx
                    if d < row[x - x_lo]:
                        row[x - x_lo] = d
                        index[x - x_lo] = i
    # Tangents, in µm.
    tangent = np.empty((n, 3), np.float32)
    for i in range(n):
        j, k = min(i + 1, n - 1), max(i - 1, 0)
        norm = np.float32(1e-6)
        for axis in range(3):
            tangent[i, axis] = (points[j, axis] - points[k, axis]) * pitch[axis]
            norm += tangent[i, axis] ** 2
        for axis in range(3):
            tangent[i, axis] /= np.sqrt(norm)
    step = (arc[n - 1] - arc[0]) / max(n - 1, 1)
    inner = reach - np.float32(SLEEVE_UM)
    for z in range(z_lo, z_hi):
        for y in range(y_lo, y_hi):
            first, last = shift[0, z, y], shift[1, z, y]
            for x in range(x_lo, x_hi):
                i = nearest[z - z_lo, y - y_lo, x - x_lo]
                if i < 0:
                    continue
                dz = (z + origin[0] - points[i, 0]) * pitch[0]
                dy = (y + origin[1] - points[i, 1]) * pitch[1]
                dx = (x + origin[2] - points[i, 2]) * pitch[2]
                tz, ty, tx = tangent[i, 0], tangent[i, 1], tangent[i, 2]
                ahead = dz * tz + dy * ty + dx * tx
                # Across the tube: along the slope in which the axial spread lies, and beside it.
                slope = np.sqrt(max(np.float32(1) - tz * tz, np.float32(0.01)))
                across_z = dz - ahead * tz
                across_y = dy - ahead * ty
                across_x = dx - ahead * tx
                radial = across_z * across_z + across_y * across_y + across_x * across_x
                a = across_z / slope
                b2 = max(radial - a * a, np.float32(0))
                beyond = abs(ahead) - step
                if beyond > 0 and (i == 0 or i == n - 1):
                    b2 += beyond * beyond  # a round end
                k = np.float32(1) / (decay * slope)
                lumen = _chord(a, b2, k, reach)
                if wide:
                    # Wide vessels have no hard rim: scattered light softens it.
                    lumen *= min((reach - np.sqrt(b2)) / (np.float32(0.4) * radius), np.float32(1))
                light = brightness * lumen
                if light <= stack[z, y, x]:
                    continue
                ahead = min(max(ahead, -step), step)
                s = arc[i] + ahead
                if wide:
                    beside = (tx * across_y - ty * across_x) / slope
                    share = min(beside * beside / (reach * reach), np.float32(1))
                    pace = 1.5 * (1.0 - share) + 0.2
                    lane = np.floor(beside / np.float32(LANE_UM)) * 331.7
                    # Whole cells come and go: the axis moves at most a table in a few lines.
                    p = (s + lane - pace * first) / _STEP
                    q = (s + lane - pace * last) / _STEP
                    cell = lumen * np.float32(LANE_DARKNESS)
                else:
                    bulge = np.float32(_BULGE_UM) * min(radial / (radius * radius), np.float32(1))
                    p = (s + forward * bulge - first) / _STEP
                    q = (s + forward * bulge - last) / _STEP
                    cell = _chord(a, b2, k, inner)
                if p > q:
                    p, q = q, p
                # The optics never resolve less than half a micrometre.
                spare = 2.0 - (q - p)
                if spare > 0:
                    p -= 0.5 * spare
                    q += 0.5 * spare
                dark = (_integral(total, q) - _integral(total, p)) / (q - p)
                light -= brightness * cell * np.float32(dark)
                # A dark cell in this tube hides nothing of another one: brighter stays.
                if light > stack[z, y, x]:
                    stack[z, y, x] = light
