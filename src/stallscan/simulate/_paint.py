"""The inner loop of the microscope: one tube into a stack, line by line in time."""

from __future__ import annotations

import numpy as np
from numba import njit

from stallscan.simulate.blood import TABLE_STEP_UM

_STEP = np.float32(TABLE_STEP_UM)


@njit(cache=True, nogil=True, error_model="numpy")
def paint(  # type: ignore[no-untyped-def]  # numba decides the types, see Args
    stack, origin, points, arc, radius_um, pitch_um, axial_um, cells, shift_um, brightness
):
    """Add one tube to a stack.

    A voxel belongs to the nearest point of the centreline. Distances along z are shrunk by
    radius / (radius + axial): the microscope sees a tube that much longer in z. The darkness of the
    cells is read where the blood was when the raster passed that very line.

    Args:
        stack: ``(z, y, x)`` float32, added to.
        origin: ``(3,)`` int64, place of the stack's first voxel in the clip.
        points: ``(n, 3)`` float32 centreline in voxels of the clip.
        arc: ``(n,)`` float32 µm along the centreline.
        radius_um: lumen radius.
        pitch_um: ``(3,)`` float32 voxel size ``(z, y, x)``.
        axial_um: how much farther than its radius a tube is seen along z.
        cells: ``(m,)`` float32 darkness, every 0.25 µm.
        shift_um: ``(2, z, y)`` float32 displacement of the blood in each line of the stack, at the
            beginning and in the middle of the line's time.
        brightness: grey level of the plasma.
    """
    nz, ny, nx = stack.shape
    edge = max(np.float32(0.45), np.float32(0.22) * radius_um)
    reach = radius_um + edge
    squeeze = radius_um / (radius_um + axial_um)
    rz = int(np.ceil(reach / (pitch_um[0] * squeeze)))
    ry = int(np.ceil(reach / pitch_um[1]))
    rx = int(np.ceil(reach / pitch_um[2]))
    n = len(points)
    z_lo, z_hi, y_lo, y_hi, x_lo, x_hi = nz, 0, ny, 0, nx, 0
    for i in range(n):
        z = int(points[i, 0]) - origin[0]
        y = int(points[i, 1]) - origin[1]
        x = int(points[i, 2]) - origin[2]
        z_lo, z_hi = min(z_lo, z - rz), max(z_hi, z + rz + 2)
        y_lo, y_hi = min(y_lo, y - ry), max(y_hi, y + ry + 2)
        x_lo, x_hi = min(x_lo, x - rx), max(x_hi, x + rx + 2)
    z_lo, y_lo, x_lo = max(z_lo, 0), max(y_lo, 0), max(x_lo, 0)
    z_hi, y_hi, x_hi = min(z_hi, nz), min(y_hi, ny), min(x_hi, nx)
    if z_lo >= z_hi or y_lo >= y_hi or x_lo >= x_hi:
        return
    nearest = np.full((z_hi - z_lo, y_hi - y_lo, x_hi - x_lo), reach * reach, np.float32)
    place = np.empty(nearest.shape, np.float32)
    for i in range(n):
        pz, py, px = points[i, 0] - origin[0], points[i, 1] - origin[1], points[i, 2] - origin[2]
        j = min(i + 1, n - 1)
        k = max(i - 1, 0)
        span = max(arc[j] - arc[k], np.float32(1e-3))
        # Unit tangent in µm, to place a voxel between the points of the centreline.
        tz = (points[j, 0] - points[k, 0]) * pitch_um[0] / span
        ty = (points[j, 1] - points[k, 1]) * pitch_um[1] / span
        tx = (points[j, 2] - points[k, 2]) * pitch_um[2] / span
        half = span * np.float32(0.25)
        for z in range(max(int(pz) - rz, z_lo), min(int(pz) + rz + 2, z_hi)):
            dz = (z - pz) * pitch_um[0] * squeeze
            for y in range(max(int(py) - ry, y_lo), min(int(py) + ry + 2, y_hi)):
                dy = (y - py) * pitch_um[1]
                dzy = dz * dz + dy * dy
                if dzy >= reach * reach:
                    continue
                for x in range(max(int(px) - rx, x_lo), min(int(px) + rx + 2, x_hi)):
                    dx = (x - px) * pitch_um[2]
                    d = dzy + dx * dx
                    if d < nearest[z - z_lo, y - y_lo, x - x_lo]:
                        nearest[z - z_lo, y - y_lo, x - x_lo] = d
                        along = dz / squeeze * tz + dy * ty + dx * tx
                        along = min(max(along, -half), half)
                        place[z - z_lo, y - y_lo, x - x_lo] = arc[i] + along
    m = len(cells)
    for z in range(z_lo, z_hi):
        for y in range(y_lo, y_hi):
            first = shift_um[0, z, y]
            second = shift_um[1, z, y]
            for x in range(x_lo, x_hi):
                d = nearest[z - z_lo, y - y_lo, x - x_lo]
                if d >= reach * reach:
                    continue
                d = np.sqrt(d)
                lumen = min((reach - d) / (2 * edge), np.float32(1.0))
                # A thin sleeve of plasma stays bright between the cells and the wall.
                core = min(max((reach - np.float32(0.3) - d) / (2 * edge), np.float32(0)), lumen)
                s = place[z - z_lo, y - y_lo, x - x_lo]
                a = cells[int(np.floor((s - first) / _STEP)) % m]
                b = cells[int(np.floor((s - second) / _STEP)) % m]
                stack[z, y, x] += brightness * (lumen - core * np.float32(0.5) * (a + b))
