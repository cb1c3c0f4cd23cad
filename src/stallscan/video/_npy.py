"""Reading of NumPy's ``.npy``: one array, its axes named by its shape."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from stallscan.errors import VideoError
from stallscan.video._damage import broken_off, damage_after
from stallscan.video._limits import check_size
from stallscan.video._pixels import check_dtype, clip_of
from stallscan.video.clip import Clip


def read_npy(path: Path, max_gib: float) -> Clip:
    """Read ``(z, y, x)``, ``(z, y, x, 1)`` or ``(z, y, x, 3)`` uint8 or uint16.

    The file must be as long as its header says. ``damage`` of the clip says where it breaks off.

    Raises:
        VideoError: another shape or dtype, too large, no array at all, or not one whole frame.
    """
    n_bytes = path.stat().st_size
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            header = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0)
                else (np.lib.format.read_array_header_2_0)
            )
            shape, is_fortran, dtype = header(file)
            start = file.tell()
    # NumPy evaluates the header: a damaged one gives SyntaxError, TokenError and others.
    except Exception as error:
        raise VideoError(
            f"{path}: cannot be read as .npy ({error}); save the array again with numpy.save"
        ) from error
    check_dtype(dtype, path)
    if len(shape) not in (3, 4) or (*shape, 1)[3] not in (1, 3) or min(shape) < 1:
        raise VideoError(
            f"{path}: shape {shape} is not a stack of grey or RGB frames; allowed are (z, y, x), "
            "(z, y, x, 1) and (z, y, x, 3): reshape the array and save it again"
        )
    depth, height, width = shape[:3]
    check_size(path, depth, height, width, max_gib)
    n_frame_bytes = dtype.itemsize * int(np.prod(shape[1:]))
    n_announced = start + depth * n_frame_bytes
    damage = ""
    if n_announced != n_bytes:
        n_whole = 0 if is_fortran else min((n_bytes - start) // n_frame_bytes, depth)
        damage = damage_after(
            n_whole,
            depth,
            f"the file has {n_bytes:,} bytes, its header announces {n_announced:,}",
        )
        if n_whole == 0:
            raise broken_off(path, 0, damage)
        depth = n_whole
    # A damaged Fortran array has no whole frame: there its last axis runs slowest.
    order: Literal["C", "F"] = "F" if is_fortran else "C"
    mapped = np.memmap(path, dtype, "r", start, (depth, *shape[1:]), order)
    # A copy: the file may change while the clip is in use.
    return clip_of(np.array(mapped).reshape(depth, height, width, -1), path, damage=damage)
