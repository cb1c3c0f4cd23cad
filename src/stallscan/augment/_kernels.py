"""Inner loops of resampling."""

from __future__ import annotations

import numpy as np
from numba import njit

CONSTANT, NEAREST, REFLECT = 0, 1, 2


@njit(cache=True, nogil=True)
def blend_bytes(frames, lower, upper, weight, out):  # type: ignore[no-untyped-def]
    """Frames between frames, 8 bits.

    Args:
        frames: ``(n, voxels)`` uint8.
        lower: ``(m,)`` frame before each of the result; negative leaves `out` as it is.
        upper: ``(m,)`` frame after it.
        weight: ``(m,)`` uint16, of `upper`, 0 to 256.
        out: ``(m, voxels)`` uint8.
    """
    for k in range(len(out)):
        if lower[k] < 0:
            continue
        before, after, row = frames[lower[k]], frames[upper[k]], out[k]
        u = np.uint16(weight[k])
        v = np.uint16(256 - u)
        if u == 0:
            row[:] = before
            continue
        for i in range(len(row)):
            total = np.uint16(before[i]) * v + np.uint16(after[i]) * u + np.uint16(128)
            row[i] = np.uint8(total >> np.uint16(8))


@njit(cache=True, nogil=True)
def blend(frames, lower, upper, weight, half, out):  # type: ignore[no-untyped-def]
    """Frames between frames, uint16 and float32.

    Args:
        frames: ``(n, voxels)``.
        lower: ``(m,)`` frame before each of the result; negative leaves `out` as it is.
        upper: ``(m,)`` frame after it.
        weight: ``(m,)`` float32, of `upper`, 0 to 1.
        half: 0.5 to round whole numbers, else 0; float32.
        out: ``(m, voxels)``.
    """
    for k in range(len(out)):
        if lower[k] < 0:
            continue
        before, after, row = frames[lower[k]], frames[upper[k]], out[k]
        u = np.float32(weight[k])
        if u == 0:
            row[:] = before
            continue
        v = np.float32(1) - u
        for i in range(len(row)):
            row[i] = np.float32(before[i]) * v + np.float32(after[i]) * u + half


@njit(cache=True, nogil=True)
def pick(source, z, y, x, out):  # type: ignore[no-untyped-def]
    """The nearest voxel, frame by frame the same plane map.

    Args:
        source: ``(z, y, x, c)``.
        z: ``(nz,)`` frame of each frame of the result; negative leaves `out` as it is.
        y, x: ``(ny, nx)`` place in the plane; a negative y leaves `out` as it is.
        out: ``(nz, ny, nx, c)``.
    """
    channels = source.shape[3]
    for k in range(out.shape[0]):
        if z[k] < 0:
            continue
        frame = source[z[k]]
        for i in range(out.shape[1]):
            for j in range(out.shape[2]):
                if y[i, j] < 0:
                    continue
                for c in range(channels):
                    out[k, i, j, c] = frame[y[i, j], x[i, j], c]


@njit(cache=True, nogil=True)
def pick_planes(source, z, y, x, run, begin, out):  # type: ignore[no-untyped-def]
    """Planes of all three axes at once.

    Args:
        source: ``(z, y, x)``, contiguous; channels are columns too.
        z, y: ``(nz,)``, ``(ny,)`` planes of the source.
        x: ``(nx,)`` its columns, uint64.
        run: ``(2,)`` start and stop in `x` of consecutive ones.
        begin: ``(3,)`` where the first of each comes to lie in `out`.
        out: larger or as large, contiguous; the rest stays as it is.
    """
    flat, target = source.reshape(-1), out.reshape(-1)
    height, width = source.shape[1], source.shape[2]
    # Unsigned, or every index would be tested for being counted from the end.
    first, last, n = np.uint64(run[0]), np.uint64(run[1]), np.uint64(len(x))
    for k in range(len(z)):
        for i in range(len(y)):
            row = np.uint64((z[k] * height + y[i]) * width)
            line = ((begin[0] + k) * out.shape[1] + begin[1] + i) * out.shape[2] + begin[2]
            line = np.uint64(line)
            for j in range(np.uint64(0), first):
                target[line + j] = flat[row + x[j]]
            start = row + x[first]
            for j in range(np.uint64(0), last - first):
                target[line + first + j] = flat[start + j]
            for j in range(last, n):
                target[line + j] = flat[row + x[j]]


@njit(cache=True, nogil=True, error_model="numpy")
def _frame(lattice, near, share, plane):  # type: ignore[no-untyped-def]
    """A frame of a lattice between two frames of nodes: ``(3 m, nodes y, x)`` into `plane`."""
    far = min(near + 1, lattice.shape[1] - 1)
    for part in range(plane.shape[0]):
        for node in range(plane.shape[1]):
            before, after = lattice[part, near, node], lattice[part, far, node]
            row = plane[part, node]
            for j in range(len(row)):
                row[j] = before[j] + share * (after[j] - before[j])


@njit(cache=True, nogil=True, error_model="numpy")
def _trace(plane, near, share, limits, border, places, outside):  # type: ignore[no-untyped-def]
    """Places in the source of a row's voxels, ``(3, x)``, and which lie where a constant does."""
    half, zero = np.float32(0.5), np.float32(0)
    far = min(near + 1, plane.shape[1] - 1)
    last_part = len(limits) - 1
    n = len(outside)
    outside[:] = 0
    for m in range(last_part + 1):
        for axis in range(3):
            before, after = plane[3 * m + axis, near], plane[3 * m + axis, far]
            edge = np.float32(limits[m, axis]) - half
            if m < last_part:  # volumes between: only their extent matters
                for j in range(n):
                    place = before[j] + share * (after[j] - before[j])
                    outside[j] |= (place < -half) | (place > edge)
                continue
            row, last = places[axis], edge - half
            for j in range(n):
                row[j] = before[j] + share * (after[j] - before[j])
            if border == CONSTANT:
                for j in range(n):
                    outside[j] |= (row[j] < -half) | (row[j] > edge)
            elif border == REFLECT:
                extent = edge + half
                period = extent + extent
                for j in range(n):
                    place = row[j] + half
                    place = place - np.floor(place / period) * period
                    row[j] = min(place, period - place) - half
            for j in range(n):
                row[j] = min(max(row[j], zero), last)


@njit(cache=True, nogil=True, error_model="numpy")
def gather(  # type: ignore[no-untyped-def]
    source, lattice, limits, zk, zw, yi, yw, border, linear, half, out
):
    """The one interpolation of a smooth map in three dimensions.

    Args:
        source: ``(z, y, x, c)``.
        lattice: ``(3 m, nodes z, nodes y, x)`` float32: places in the m − 1 volumes between, the
            last three in the source; nodes along z and y, all voxels along x.
        limits: ``(m, 3)`` int: extents of those volumes.
        zk, yi: by frame and row of the result, the node before it.
        zw, yw: by frame and row of the result, the share of the node after it; float32.
        border: `CONSTANT`, `NEAREST` or `REFLECT`.
        linear: False takes the nearest voxel.
        half: 0.5 to round whole numbers, else 0; float32.
        out: ``(nz, ny, nx, c)``, filled with the constant.
    """
    channels = source.shape[3]
    depth, height, width = source.shape[0], source.shape[1], source.shape[2]
    one, middle = np.float32(1), np.float32(0.5)
    plane = np.empty((lattice.shape[0], lattice.shape[2], lattice.shape[3]), np.float32)
    places = np.empty((3, out.shape[2]), np.float32)
    outside = np.empty(out.shape[2], np.uint8)
    for k in range(out.shape[0]):
        _frame(lattice, zk[k], zw[k], plane)
        for i in range(out.shape[1]):
            _trace(plane, yi[i], yw[i], limits, border, places, outside)
            for j in range(out.shape[2]):
                if outside[j]:
                    continue
                z, y, x = places[0, j], places[1, j], places[2, j]
                if not linear:
                    z0, y0, x0 = int(z + middle), int(y + middle), int(x + middle)
                    for c in range(channels):
                        out[k, i, j, c] = source[z0, y0, x0, c]
                    continue
                z0, y0, x0 = int(z), int(y), int(x)
                u, v, w = z - np.float32(z0), y - np.float32(y0), x - np.float32(x0)
                z1, y1, x1 = min(z0 + 1, depth - 1), min(y0 + 1, height - 1), min(x0 + 1, width - 1)
                a, b = (one - u) * (one - v), (one - u) * v
                d, e = u * (one - v), u * v
                for c in range(channels):
                    left = (
                        a * np.float32(source[z0, y0, x0, c])
                        + b * np.float32(source[z0, y1, x0, c])
                        + d * np.float32(source[z1, y0, x0, c])
                        + e * np.float32(source[z1, y1, x0, c])
                    )
                    right = (
                        a * np.float32(source[z0, y0, x1, c])
                        + b * np.float32(source[z0, y1, x1, c])
                        + d * np.float32(source[z1, y0, x1, c])
                        + e * np.float32(source[z1, y1, x1, c])
                    )
                    out[k, i, j, c] = left + w * (right - left) + half


# Three bytes ride in one word of 64 bits, 21 bits each, so that one multiplication serves three
# channels. Weights have 8 bits; what a step gains is cut back to 13 bits before the next.
_LANES = np.uint64(0x1FFF | 0x1FFF << 21 | 0x1FFF << 42)
_HALF = np.uint64(1 << 12 | 1 << 33 | 1 << 54)
_FULL = np.uint64(256)
_3, _8, _13, _21, _34, _42, _55 = (np.uint64(n) for n in (3, 8, 13, 21, 34, 42, 55))


@njit(cache=True, nogil=True)
def pack(source, first, packed):  # type: ignore[no-untyped-def]
    """Up to three channels from `first` on into words; one more plane at each far border.

    Args:
        source: ``(z, y, x, c)`` uint8.
        first: channel.
        packed: ``(z + 1, y + 1, x + 1)`` uint64.
    """
    count = min(source.shape[3] - first, 3)
    for z in range(packed.shape[0]):
        plane = source[min(z, source.shape[0] - 1)]
        for y in range(packed.shape[1]):
            line = plane[min(y, source.shape[1] - 1)]
            for x in range(source.shape[2]):
                word = np.uint64(line[x, first])
                if count > 1:
                    word |= np.uint64(line[x, first + 1]) << _21
                if count > 2:
                    word |= np.uint64(line[x, first + 2]) << _42
                packed[z, y, x] = word
            packed[z, y, source.shape[2]] = packed[z, y, source.shape[2] - 1]


@njit(cache=True, nogil=True, error_model="numpy")
def gather_packed(  # type: ignore[no-untyped-def]
    packed, lattice, limits, zk, zw, yi, yw, border, first, out
):
    """`gather` of packed bytes, linear; arguments as there, `first` as in `pack`."""
    count = min(out.shape[3] - first, 3)
    words = packed.reshape(-1)
    down = packed.shape[2]
    deep = packed.shape[1] * down
    scale, byte, eight = np.float32(256), np.int32(255), np.int32(8)
    rounding = np.float32(0.5)
    n = out.shape[2]
    plane = np.empty((lattice.shape[0], lattice.shape[2], lattice.shape[3]), np.float32)
    places = np.empty((3, n), np.float32)
    fixed = np.empty((3, n), np.int32)  # places in 1/256 voxel
    outside = np.empty(n, np.uint8)
    for k in range(out.shape[0]):
        _frame(lattice, zk[k], zw[k], plane)
        for i in range(out.shape[1]):
            _trace(plane, yi[i], yw[i], limits, border, places, outside)
            for axis in range(3):
                for j in range(n):
                    fixed[axis, j] = np.int32(places[axis, j] * scale + rounding)
            line = out[k, i]
            for j in range(n):
                if outside[j]:
                    continue
                z, y, x = fixed[0, j], fixed[1, j], fixed[2, j]
                o = np.int64(z >> eight) * deep + np.int64(y >> eight) * down + np.int64(x >> eight)
                u, v, w = np.uint64(z & byte), np.uint64(y & byte), np.uint64(x & byte)
                t = _FULL - w
                p = o + deep
                a = ((words[o] * t + words[o + 1] * w) >> _3) & _LANES
                b = ((words[o + down] * t + words[o + down + 1] * w) >> _3) & _LANES
                c = ((words[p] * t + words[p + 1] * w) >> _3) & _LANES
                d = ((words[p + down] * t + words[p + down + 1] * w) >> _3) & _LANES
                t = _FULL - v
                a = ((a * t + b * v) >> _8) & _LANES
                c = ((c * t + d * v) >> _8) & _LANES
                a = a * (_FULL - u) + c * u + _HALF
                line[j, first] = np.uint8(a >> _13)
                if count > 1:
                    line[j, first + 1] = np.uint8(a >> _34)
                if count > 2:
                    line[j, first + 2] = np.uint8(a >> _55)
